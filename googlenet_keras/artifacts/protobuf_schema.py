"""Protobuf classes from a list of the fields that are needed of somebody's schema."""

import re
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass


def message_class(fields: str, root: str) -> Any:
    """The protobuf class of the message `root`.

    fields: a line for each, such as `Shape: repeated int64 dim = 1`. Fields that are
    not listed are skipped when a message is parsed.
    """
    lines = [re.findall(r"\w+", line) for line in fields.strip().splitlines()]
    file = FileDescriptorProto(name=f"{root}.proto")
    messages: dict[str, DescriptorProto] = {}
    for message, *_ in lines:
        if message not in messages:
            messages[message] = file.message_type.add(name=message)
    for message, label, kind, name, number in lines:
        field = messages[message].field.add(name=name, number=int(number))
        field.label = field.Label.Value(f"LABEL_{label.upper()}")
        if kind in messages:
            field.type_name = kind
        else:
            field.type = field.Type.Value(f"TYPE_{kind.upper()}")
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(root))
