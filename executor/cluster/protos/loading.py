"""From a described file of messages to their classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


def message_classes(name: str) -> dict[str, Any]:
    """The class of each message in ``NAME.binpb``."""
    described = descriptor_pb2.FileDescriptorSet.FromString(Path(__file__).with_name(f"{name}.binpb").read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in described.file:
        pool.Add(file)
    classes: dict[str, Any] = {}
    for file in described.file:
        for message in file.message_type:
            found = pool.FindMessageTypeByName(f"{file.package}.{message.name}")
            classes[message.name] = message_factory.GetMessageClass(found)
    return classes
