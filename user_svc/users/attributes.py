"""Free data about people, which templates read as members of `user`."""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from mesh.errors import InvalidArgument

MOST_NAMES = 100
MOST_CHARACTERS = 16 * 1024
# Each is an object of its own in every process that the person's notifications come through.
MOST_VALUES = 1_000
_LONGEST_NAME = 64
_MOST_DIGITS = 50
# What `user` holds of the person itself, or may hold one day.
RESERVED = frozenset({"id", "external_id", "email", "name", "locale", "timezone"})


def check_attributes(field: str, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The attributes as they are kept: JSON's kinds of values, in their normal form. Raises InvalidArgument."""
    if len(attributes) > MOST_NAMES:
        raise InvalidArgument.of(field, f"must have at most {MOST_NAMES} names")
    for name in attributes:
        if not name or len(name) > _LONGEST_NAME:
            raise InvalidArgument.of(field, f"must have names of 1 to {_LONGEST_NAME} characters")
        if name in RESERVED:
            raise InvalidArgument.of(f"{field}.{name}", f"is a field of the user itself; {', '.join(sorted(RESERVED))} are no attributes")
    if len(text_of(attributes)) > MOST_CHARACTERS:
        raise InvalidArgument.of(field, f"must have at most {MOST_CHARACTERS} characters of JSON")
    values = list(_values(attributes))
    if len(values) > MOST_VALUES:
        raise InvalidArgument.of(field, f"must have at most {MOST_VALUES} names and values, those inside of lists and objects included")
    if any(_is_long(value) for value in values):
        raise InvalidArgument.of(field, f"must have numbers of at most {_MOST_DIGITS} digits, written out; send longer ones as texts")
    if any("\0" in value for value in values if isinstance(value, str)):
        raise InvalidArgument.of(field, "must not contain NUL characters")
    kept: Mapping[str, Any] = normal(attributes)
    return kept


def text_of(attributes: Mapping[str, Any]) -> str:
    """As JSON, the same for equal ones."""
    return json.dumps(attributes, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def normal(value: Any) -> Any:
    """With every number as a float, as protobuf has them, and one zero: a database that keeps decimals writes 1e16 out and drops a sign."""
    if isinstance(value, Mapping):
        return {name: normal(member) for name, member in value.items()}
    if isinstance(value, list):
        return [normal(element) for element in value]
    return float(value) + 0.0 if isinstance(value, int | float) and not isinstance(value, bool) else value


def _values(value: Any) -> Iterator[Any]:
    """The value, and all in it; the names of objects too."""
    yield value
    if isinstance(value, Mapping):
        for name, member in value.items():
            yield name
            yield from _values(member)
    elif isinstance(value, list):
        for element in value:
            yield from _values(element)


def _is_long(value: Any) -> bool:
    """The database writes a number out: 1e308, five characters, would come back as 309 of them, thousands of times in one person."""
    return isinstance(value, int | float) and not isinstance(value, bool) and len(f"{Decimal(repr(value)):f}") > _MOST_DIGITS
