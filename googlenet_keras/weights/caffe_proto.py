"""The messages of Caffe's caffe.proto that are needed to read weights."""

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

# message: {field: (number, type)}. `data` are packed floats, taken as bytes for speed.
CAFFE_MESSAGES = {
    "BlobShape": {"dim": (1, "repeated INT64")},
    "BlobProto": {
        "num": (1, "optional INT32"),
        "channels": (2, "optional INT32"),
        "height": (3, "optional INT32"),
        "width": (4, "optional INT32"),
        "data": (5, "optional BYTES"),
        "shape": (7, "optional BlobShape"),
    },
    "LayerParameter": {
        "name": (1, "optional BYTES"),
        "blobs": (7, "repeated BlobProto"),
    },
    "V1LayerParameter": {  # how layers were written until 2014
        "name": (4, "optional BYTES"),
        "blobs": (6, "repeated BlobProto"),
    },
    "NetParameter": {
        "layers": (2, "repeated V1LayerParameter"),
        "layer": (100, "repeated LayerParameter"),
    },
}


def _field(name: str, number: int, kind: str) -> FieldDescriptorProto:
    label, _, type_name = kind.partition(" ")
    field = FieldDescriptorProto(name=name, number=number)
    field.label = FieldDescriptorProto.Label.Value(f"LABEL_{label.upper()}")
    if type_name in CAFFE_MESSAGES:
        field.type_name = type_name
    else:
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{type_name}")
    return field


def _file() -> FileDescriptorProto:
    messages = [
        DescriptorProto(name=name, field=[_field(f, *row) for f, row in fields.items()])
        for name, fields in CAFFE_MESSAGES.items()
    ]
    return FileDescriptorProto(name="caffe_weights.proto", message_type=messages)


_pool = DescriptorPool()
_pool.Add(_file())
NetParameter = GetMessageClass(_pool.FindMessageTypeByName("NetParameter"))
