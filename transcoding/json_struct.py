"""Well-known types that are JSON themselves: Struct, Value and ListValue, in and out."""

import math
from typing import Any

from transcoding.json_scalar import BAD_TEXT, BadValue
from transcoding.json_text import RoundedNumber

VALUE = "google.protobuf.Value"
LIST_VALUE = "google.protobuf.ListValue"
STRUCT = "google.protobuf.Struct"

# Messages inside messages, a Struct counting three per object. The protobuf library refuses to decode more than 100, and a request is
# stored and sent on inside other messages.
MAX_DEPTH = 64
TOO_DEEP = "is nested too deeply"
_MOST_EXACT = 2**53  # up to here a double carries every whole number
INEXACT = "send it as a string: as a number (a 64-bit float) it would lose digits"


def read_value(message: Any, value: Any, depth: int) -> None:
    """Sets a Value that lies `depth` messages deep. Raises BadValue."""
    kind = type(value)
    if kind is str:
        message.string_value = value
    elif kind is bool:
        message.bool_value = value
    elif kind is int or kind is float or kind is RoundedNumber:
        message.number_value = _exact(value)
    elif value is None:
        message.null_value = 0
    elif kind is dict:
        message.struct_value.SetInParent()
        read_struct(message.struct_value, value, depth + 1)
    else:
        message.list_value.SetInParent()
        read_list(message.list_value, value, depth + 1)


def read_struct(message: Any, value: Any, depth: int) -> None:
    """Sets a Struct that lies `depth` messages deep. Raises BadValue."""
    if type(value) is not dict:
        raise BadValue("must be an object")
    if depth + 2 > MAX_DEPTH:  # the map's entry is a message as well
        raise BadValue(TOO_DEEP)
    fields = message.fields
    for key, item in value.items():
        try:
            read_value(fields[key], item, depth + 2)
        except BadValue as bad:
            raise BadValue.of(bad.under(key)) from None
        except UnicodeEncodeError:
            raise BadValue.of(BadValue(BAD_TEXT).under(key)) from None


def read_list(message: Any, value: Any, depth: int) -> None:
    """Sets a ListValue that lies `depth` messages deep. Raises BadValue."""
    if type(value) is not list:
        raise BadValue("must be a list")
    if depth + 1 > MAX_DEPTH:
        raise BadValue(TOO_DEEP)
    values = message.values
    for index, item in enumerate(value):
        try:
            read_value(values.add(), item, depth + 1)
        except BadValue as bad:
            raise BadValue.of(bad.under(f"[{index}]")) from None
        except UnicodeEncodeError:
            raise BadValue.of(BadValue(BAD_TEXT).under(f"[{index}]")) from None


def write_value(message: Any) -> Any:
    """The JSON value of a Value. Raises ValueError for a number that JSON lacks."""
    kind = message.WhichOneof("kind")
    if kind == "string_value":
        return message.string_value
    if kind == "number_value":
        return _written(message.number_value)
    if kind == "bool_value":
        return message.bool_value
    if kind == "struct_value":
        return write_struct(message.struct_value)
    if kind == "list_value":
        return write_list(message.list_value)
    return None


def write_struct(message: Any) -> dict[str, Any]:
    """The JSON value of a Struct. Raises ValueError."""
    return {key: write_value(value) for key, value in message.fields.items()}


def write_list(message: Any) -> list[Any]:
    """The JSON value of a ListValue. Raises ValueError."""
    return [write_value(value) for value in message.values]


def _written(number: float) -> int | float:
    """3 and not 3.0, which typed clients can't read as the whole number that was sent."""
    if not math.isfinite(number):
        raise ValueError("a number of a Value is not finite")
    whole = number.is_integer() and abs(number) <= _MOST_EXACT and (number or math.copysign(1, number) > 0)
    return int(number) if whole else number


def _exact(value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):  # the text had an exponent or digits beyond a double
        raise BadValue("must be a finite number")
    if type(value) is RoundedNumber or (type(value) is int and int(number) != value):
        raise BadValue(INEXACT)
    return number
