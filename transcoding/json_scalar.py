"""Scalars of the proto3 JSON mapping: what each kind takes from JSON, from a query's text and from a map's key, and what it gives."""

import binascii
import math
import re
import struct
from base64 import b64encode
from collections.abc import Callable, Collection
from difflib import get_close_matches
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from transcoding.json_enum import EnumNames

Convert = Callable[[Any], Any]

MAX_PROBLEMS = 20
NO_NULL = "must not be null"
BAD_TEXT = "must be Unicode text; it has half of a surrogate pair"

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_URL_SAFE = str.maketrans("-_", "+/")
_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_FLOAT_LIMIT = float.fromhex("0x1.ffffffp+127")  # the least number that rounds to infinity as a 32-bit float
_LONGEST_KEY = 64  # characters of a key of the caller's that an error repeats
_LONGEST_NUMBER = 400  # characters; beyond the widest double, and far below what Python needs long to read

_F = FieldDescriptor
_INT_BITS = {
    _F.TYPE_INT32: (32, True),
    _F.TYPE_SINT32: (32, True),
    _F.TYPE_SFIXED32: (32, True),
    _F.TYPE_UINT32: (32, False),
    _F.TYPE_FIXED32: (32, False),
    _F.TYPE_INT64: (64, True),
    _F.TYPE_SINT64: (64, True),
    _F.TYPE_SFIXED64: (64, True),
    _F.TYPE_UINT64: (64, False),
    _F.TYPE_FIXED64: (64, False),
}


class BadValue(Exception):
    """Values that break a rule, each with its path below the place that raised."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.problems: list[tuple[str, str]] = [("", rule)]

    @classmethod
    def of(cls, problems: list[tuple[str, str]]) -> "BadValue":
        """Several problems at once, cut to MAX_PROBLEMS. `problems` must not be empty."""
        bad = cls(problems[0][1])
        bad.problems = problems[:MAX_PROBLEMS]
        return bad

    def under(self, name: str) -> list[tuple[str, str]]:
        """The problems as seen from the object or list that holds `name` (a field, a key or `[index]`)."""
        return [(join_path(name[:_LONGEST_KEY], path), rule) for path, rule in self.problems]


def unknown(rule: str, name: str, known: Collection[str]) -> str:
    """The rule that an unknown name breaks, with the known name that was probably meant."""
    cut = name[:_LONGEST_KEY]
    near = get_close_matches(cut, known, 1) or get_close_matches(cut.lower(), known, 1)
    return f"{rule}; did you mean {near[0]}?" if near else rule


def join_path(name: str, path: str) -> str:
    """`name` and a path below it."""
    return f"{name}{path}" if not path or path.startswith("[") else f"{name}.{path}"


def integer_range(field: FieldDescriptor) -> tuple[int, int] | None:
    """Least and greatest value of an integer field, None for other kinds."""
    if field.type not in _INT_BITS:
        return None
    bits, signed = _INT_BITS[field.type]
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def is_wide(field: FieldDescriptor) -> bool:
    """Whether JSON carries the integer as a string."""
    return field.type in _INT_BITS and _INT_BITS[field.type][0] == 64


def scalar_reader(field: FieldDescriptor, enum: EnumNames | None) -> Convert:
    """Turns a JSON value into what the field takes. The function raises BadValue."""
    bounds = integer_range(field)
    if bounds is not None:
        return _integer_reader(*bounds)
    if field.type == _F.TYPE_BOOL:
        return _read_bool
    if field.type == _F.TYPE_STRING:
        return _read_string
    if field.type == _F.TYPE_BYTES:
        return _read_bytes
    if enum is not None:
        return _enum_reader(enum)
    return _float_reader(_FLOAT_LIMIT if field.type == _F.TYPE_FLOAT else math.inf)


def text_reader(field: FieldDescriptor, enum: EnumNames | None) -> Convert:
    """Turns the text of a query parameter or path variable into what the field takes. The function raises BadValue."""
    if field.type == _F.TYPE_BOOL:
        return _read_bool_text
    read = scalar_reader(field, enum)
    if enum is None:
        return read
    return lambda text: read(int(text) if _INTEGER.fullmatch(text) and len(text) < 12 else text)


def key_reader(field: FieldDescriptor) -> Convert:
    """Turns the key of a JSON object into a map's key. The function raises BadValue."""
    if field.type == _F.TYPE_STRING:
        return _read_string
    if field.type == _F.TYPE_BOOL:
        return _read_bool_text
    read = scalar_reader(field, None)

    def read_key(key: str) -> Any:
        if not _INTEGER.fullmatch(key):
            raise BadValue("must have whole numbers as keys")
        return read(key)

    return read_key


def scalar_writer(field: FieldDescriptor, enum: EnumNames | None) -> Convert | None:
    """Turns the field's value into a JSON value; None where it is one already."""
    if is_wide(field):
        return str
    if field.type == _F.TYPE_BYTES:
        return _write_bytes
    if field.type == _F.TYPE_FLOAT:
        return _write_float
    if field.type == _F.TYPE_DOUBLE:
        return _write_double
    if enum is None:
        return None
    names = enum.by_number
    return lambda number: names.get(number, number)


def _integer_reader(least: int, greatest: int) -> Convert:
    rule = f"must be a whole number from {least} to {greatest}"

    def read(value: Any) -> int:
        if type(value) is not int:
            value = _whole(value, rule)
        if not least <= value <= greatest:
            raise BadValue(rule)
        return int(value)

    return read


def _whole(value: Any, rule: str) -> int:
    """A whole number in one of the other forms that the mapping allows: 1.0, 1e2, "1", "1e2"."""
    if type(value) is str and len(value) <= _LONGEST_NUMBER:
        if _INTEGER.fullmatch(value):
            return int(value)
        if _NUMBER.fullmatch(value):
            value = float(value)
    if type(value) is float and value.is_integer():
        return int(value)
    raise BadValue(rule)


def _float_reader(limit: float) -> Convert:
    def read(value: Any) -> float:
        if type(value) is str:
            if value in _NON_FINITE:
                return _NON_FINITE[value]
            if len(value) > _LONGEST_NUMBER or not _NUMBER.fullmatch(value):
                raise BadValue("must be a number")
        elif isinstance(value, bool) or not isinstance(value, float | int):
            raise BadValue("must be a number")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if abs(number) >= limit:
            raise BadValue("must be a number within the range of the field")
        return number

    return read


def _read_bool(value: Any) -> bool:
    if type(value) is not bool:
        raise BadValue("must be true or false")
    return value


def _read_bool_text(text: str) -> bool:
    if text == "true":
        return True
    if text == "false":
        return False
    raise BadValue("must be true or false")


def _read_string(value: Any) -> str:
    if type(value) is not str:
        raise BadValue("must be a string")
    return value


def _read_bytes(value: Any) -> bytes:
    if type(value) is not str or not _BASE64.fullmatch(value):
        raise BadValue("must be a string in base64")
    digits = value.rstrip("=")
    if len(digits) % 4 == 1 or (digits != value and len(value) % 4):
        raise BadValue("must be a string in base64")
    return binascii.a2b_base64(digits.translate(_URL_SAFE) + "=" * (-len(digits) % 4))


def _enum_reader(enum: EnumNames) -> Convert:
    def read(value: Any) -> int:
        if type(value) is str:
            number = enum.find(value)
            if number is not None:
                return number
        elif type(value) is int and (value in enum.by_number or (enum.open and -(1 << 31) <= value < 1 << 31)):
            return value
        raise BadValue(enum.rule)

    return read


def _write_bytes(value: bytes) -> str:
    return b64encode(value).decode()


def _write_double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _write_float(value: float) -> float | str:
    """The shortest decimal that is the same 32-bit float."""
    if not math.isfinite(value):
        return _write_double(value)
    for digits in (6, 7, 8):
        shorter = float(f"{value:.{digits}g}")
        if abs(shorter) < _FLOAT_LIMIT and struct.unpack("<f", struct.pack("<f", shorter))[0] == value:
            return shorter
    return float(f"{value:.9g}")
