"""Between Python values and the API's JSON: dataclasses, enums, times and durations."""

from __future__ import annotations

import base64
import dataclasses
import enum
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any, TypeVar, cast

T = TypeVar("T")

_DURATION = re.compile(r"(-?)(\d+)(?:\.(\d{1,9}))?s")
_FRACTION = re.compile(r"\.(\d+)")


def encode(value: Any) -> Any:
    """The JSON form of an argument. Raises TypeError for what has none, and ValueError for a time without a zone."""
    if value is None or isinstance(value, (bool, int, float)) and not isinstance(value, enum.Enum):
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a time needs a zone: datetime.now(timezone.utc), not datetime.now()")
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: encode(item) for field in dataclasses.fields(value) if _is_set(item := getattr(value, field.name))}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [encode(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no JSON form")


def body_of(**fields: Any) -> dict[str, Any]:
    """The JSON object of a call's arguments; those that are None are left out."""
    return {name: encode(value) for name, value in fields.items() if value is not None}


def decode(kind: type[T], data: Mapping[str, Any]) -> T:
    """The dataclass of a JSON object. Fields that this version does not know are ignored, so that a newer server may have more."""
    values = {name: read(data[name]) for name, read in _readers(cast(Any, kind)).items() if data.get(name) is not None}
    return kind(**values)


def _is_set(value: Any) -> bool:
    return value is not None and value != "" and value != b"" and value != () and value != {}


@cache
def _readers(kind: Any) -> Mapping[str, Callable[[Any], Any]]:
    return {field.name: field.metadata["read"] for field in dataclasses.fields(kind)}


def time(text: str) -> datetime:
    """An RFC 3339 time; what is finer than a microsecond is cut off."""
    trimmed = _FRACTION.sub(lambda match: "." + match[1][:6].ljust(6, "0"), text)
    return datetime.fromisoformat(trimmed.replace("Z", "+00:00"))


def duration(text: str) -> timedelta:
    """A duration such as "1.5s"."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no duration")
    sign, seconds, fraction = match.groups()
    value = timedelta(seconds=int(seconds), microseconds=int((fraction or "").ljust(6, "0")[:6]))
    return -value if sign else value


def same(value: Any) -> Any:
    """A value whose JSON form is itself."""
    return value


def integer(value: Any) -> int:
    """A number; 64-bit ones are strings in JSON."""
    return int(value)


def data(text: str) -> bytes:
    """Bytes, base64 in JSON."""
    return base64.b64decode(text)


def member(kind: type[enum.Enum]) -> Callable[[Any], Any]:
    """A member of an enum; one that this version does not know stays the text that it is."""

    def read(value: Any) -> Any:
        try:
            return kind(value)
        except ValueError:
            return value

    return read


def message(kind: Callable[[], type[T]]) -> Callable[[Any], T]:
    """A nested object; `kind` is called late, since the class may not be defined yet."""
    return lambda value: decode(kind(), value)


def many(read: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    """A list."""
    return lambda values: tuple(read(value) for value in values)


def table(read: Callable[[Any], T]) -> Callable[[Any], dict[str, T]]:
    """A map."""
    return lambda values: {key: read(value) for key, value in values.items()}
