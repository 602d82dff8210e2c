"""Changes TFLite files through the objects of their schema."""

from typing import Any


def unpack(data: bytes) -> Any:
    """The TFLite file `data` as objects of the schema, a ModelT."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))


def pack(model: Any) -> bytes:
    """The TFLite file of `model`, a ModelT."""
    import flatbuffers

    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def name_tensors(data: bytes) -> bytes:
    """Names the input and the outputs of the TFLite file `data` as its signature does.

    The converter calls them "serving_default_image:0" and "StatefulPartitionedCall:0".
    """
    model = unpack(data)
    for signature in model.signatureDefs:
        tensors = model.subgraphs[signature.subgraphIndex].tensors
        for end in (*signature.inputs, *signature.outputs):
            tensors[end.tensorIndex].name = end.name
    return pack(model)
