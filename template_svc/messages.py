"""The two messages that a render process reads and writes: variables in, a finished content out. Free of gRPC, as that process is."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value

from clarion.template.v1 import template_pb2
from template_svc.blocks import PLATFORMS
from template_svc.models import SOURCES, Content

# Greater numbers have lost their last digits on the way already; as an int they would show digits that were not sent.
_MAX_INTEGRAL = 2.0**63


def variables_from_bytes(data: bytes) -> dict[str, Any]:
    """A serialized google.protobuf.Struct as plain data."""
    return variables_from_struct(Struct.FromString(data))


def content_to_bytes(content: Content) -> bytes:
    """A content as a serialized clarion.template.v1.Content."""
    message = template_pb2.Content()
    content_to_proto(content, message)
    return message.SerializeToString()


def content_to_proto(content: Content, message: template_pb2.Content) -> None:
    """Fills `message`."""
    for name in SOURCES:
        value = getattr(content, name)
        if value:
            setattr(message, name, value)
    if content.data:
        message.data.update(content.data)
    for platform in PLATFORMS:
        if block := getattr(content, platform):
            getattr(message, platform).update(block)


def variables_from_struct(struct: Struct) -> dict[str, Any]:
    """Plain data. Whole numbers become ints, so that JSON's 1 prints as 1. A null member counts as not given, as if it were left out."""
    variables: dict[str, Any] = {}
    for name, value in struct.fields.items():
        # most are texts, and reading one costs less than asking which kind it is
        text = value.string_value
        if text:
            variables[name] = text
            continue
        plain = _plain(value)
        if plain is not None:
            variables[name] = plain
    return variables


def json_of_struct(struct: Struct) -> dict[str, Any]:
    """The object as it was written in JSON: whole numbers without a fraction, nulls kept."""
    return {name: _json(value) for name, value in struct.fields.items()}


def _json(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return json_of_struct(value.struct_value)
    if kind == "list_value":
        return [_json(element) for element in value.list_value.values]
    return _plain(value)


def variables_to_bytes(variables: Mapping[str, Any]) -> bytes:
    """Plain data as a serialized google.protobuf.Struct."""
    struct = Struct()
    struct.update(variables)
    return struct.SerializeToString()


def variables_like_sent(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data in the form that it has when it was sent as variables."""
    return variables_from_bytes(variables_to_bytes(variables))


def _plain(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) < _MAX_INTEGRAL else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "struct_value":
        return variables_from_struct(value.struct_value)
    if kind == "list_value":
        return [_plain(element) for element in value.list_value.values]
    return None
