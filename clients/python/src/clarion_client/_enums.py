"""The REST edge writes an enum as its short lower-case name ("email"), protobuf's own JSON as the long one ("CHANNEL_EMAIL")."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_ENUM = 14
_MESSAGE = 11
_OWN_JSON = "google.protobuf."


def short_enums(message: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    """JSON of a message with its enums' names cut short."""
    return _walk(message, data, _short)


def long_enums(message: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    """JSON of a message with its enums' full names."""
    return _walk(message, data, _long)


def prefix_of(enum: Any) -> str:
    """What all names of an enum begin with: `CHANNEL_` of clarion.channel.v1.Channel."""
    first = str(enum.values[0].name)
    return first[: -len("UNSPECIFIED")] if first.endswith("_UNSPECIFIED") else ""


def _short(enum: Any, value: Any) -> Any:
    return str(value).removeprefix(prefix_of(enum)).lower() if isinstance(value, str) else value


def _long(enum: Any, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    name = value.upper()
    return name if name in enum.values_by_name else prefix_of(enum) + name


def _walk(message: Any, data: Mapping[str, Any], name_of: Callable[[Any, Any], Any]) -> dict[str, Any]:
    walked: dict[str, Any] = {}
    for key, value in data.items():
        field = message.fields_by_name.get(key)
        walked[key] = value if field is None else _field(field, value, name_of)
    return walked


def _field(field: Any, value: Any, name_of: Callable[[Any, Any], Any]) -> Any:
    if field.type == _ENUM:
        return [name_of(field.enum_type, item) for item in value] if isinstance(value, list) else name_of(field.enum_type, value)
    if field.type != _MESSAGE or field.message_type.full_name.startswith(_OWN_JSON):
        return value
    if field.message_type.GetOptions().map_entry:
        kind = field.message_type.fields_by_name["value"]
        return {key: _field(kind, item, name_of) for key, item in value.items()}
    if isinstance(value, list):
        return [_walk(field.message_type, item, name_of) for item in value]
    return _walk(field.message_type, value, name_of)
