"""Hypothesis strategies over descriptors: messages of any type, and JSON that is nearly right for one.

The JSON leaves out what google.protobuf.json_format takes against the mapping; `test_codec.py` names those one by one.
"""

import base64
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from transcoding.json_scalar import integer_range

F = FieldDescriptor
FLOAT_MAX = 3.4028234663852886e38  # json_format refuses its own print of it, 3.4028235e+38
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | FINITE | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
NO_SCALAR = st.sampled_from([{}, [], {"a": 1}, [1], None])
PATHS = st.lists(st.sampled_from(["a", "foo_bar", "foo.bar_baz.q", "x1_y"]), max_size=3)


def map_entry(field: FieldDescriptor) -> Descriptor | None:
    kind = field.message_type
    return kind if kind is not None and kind.GetOptions().map_entry else None


def is_null(field: FieldDescriptor) -> bool:
    return field.enum_type is not None and field.enum_type.full_name == "google.protobuf.NullValue"


# --- messages


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor, *, depth: int = 2, unknown_enums: bool = True) -> Message:
    """A message of the type with up to six fields set."""
    message = GetMessageClass(descriptor)()
    special = SPECIAL_MESSAGES.get(descriptor.full_name)
    if special is not None:
        special(draw, message)
        return message
    fields = [field for field in descriptor.fields if depth or field.message_type is None]
    for field in draw(st.lists(st.sampled_from(fields), max_size=6, unique_by=lambda f: f.name)) if fields else []:
        _set_field(draw, message, field, depth, unknown_enums)
    return message


def _set_field(draw: st.DrawFn, message: Any, field: FieldDescriptor, depth: int, unknown_enums: bool) -> None:
    def value_of(part: FieldDescriptor) -> Any:
        if part.message_type is not None:
            return draw(messages(part.message_type, depth=depth - 1, unknown_enums=unknown_enums))
        return draw(scalars(part, unknown_enums=unknown_enums))

    name = field.name
    entry = map_entry(field)
    if entry is not None:
        key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
        for _ in range(draw(st.integers(0, 2))):
            if value.message_type is not None:
                getattr(message, name)[draw(scalars(key))].CopyFrom(value_of(value))
            else:
                getattr(message, name)[draw(scalars(key))] = value_of(value)
    elif field.is_repeated:
        getattr(message, name).extend([value_of(field) for _ in range(draw(st.integers(0, 3)))])
    elif field.message_type is not None:
        getattr(message, name).CopyFrom(value_of(field))
    else:
        setattr(message, name, value_of(field))


def scalars(field: FieldDescriptor, *, unknown_enums: bool = True) -> st.SearchStrategy[Any]:
    """A value of a scalar field."""
    bounds = integer_range(field)
    if bounds is not None:
        return st.integers(*bounds) | st.sampled_from([0, 1, *bounds])
    if is_null(field):
        return st.just(0)
    if field.enum_type is not None:
        known = st.sampled_from([value.number for value in field.enum_type.values])
        return known | st.integers(-(2**31), 2**31 - 1) if unknown_enums else known
    return {
        F.TYPE_BOOL: st.booleans(),
        F.TYPE_STRING: TEXT,
        F.TYPE_BYTES: st.binary(max_size=8),
        F.TYPE_FLOAT: st.floats(width=32).map(_one_nan),
        F.TYPE_DOUBLE: st.floats().map(_one_nan),
    }[field.type]


def _one_nan(number: float) -> float:
    """JSON has one NaN, IEEE 754 has many."""
    return math.nan if math.isnan(number) else number


def _set_time(draw: st.DrawFn, message: Any) -> None:
    message.seconds = draw(st.integers(-62_135_596_800, 253_402_300_799) | st.integers(-2, 2))
    message.nanos = draw(st.sampled_from([0, 1, 1_000, 120_000_000, 123_456_000]) | st.integers(0, 999_999_999))


def _set_duration(draw: st.DrawFn, message: Any) -> None:
    sign = draw(st.sampled_from([-1, 1]))
    message.seconds = sign * draw(st.integers(0, 315_576_000_000 - 1) | st.integers(0, 2))
    message.nanos = sign * draw(st.sampled_from([0, 1_000, 120_000_000]) | st.integers(0, 999_999_999))


def _set_value(draw: st.DrawFn, message: Any) -> None:
    value = draw(JSON)
    if value is None:
        message.null_value = 0
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, str):
        message.string_value = value
    elif isinstance(value, int | float):
        message.number_value = value
    elif isinstance(value, dict):
        message.struct_value.update(value)
        message.struct_value.SetInParent()
    else:
        message.list_value.extend(value)
        message.list_value.SetInParent()


def _set_any(draw: st.DrawFn, message: Any) -> None:
    names = [f"google.protobuf.{name}" for name in ("Duration", "Struct", "StringValue", "Empty")] + ["edgetest.v1.Kinds"]
    pool = message.DESCRIPTOR.file.pool
    if draw(st.booleans()):
        descriptor = pool.FindMessageTypeByName(draw(st.sampled_from(names)))
        message.Pack(draw(messages(descriptor, depth=0, unknown_enums=False)), deterministic=True)


SPECIAL_MESSAGES: dict[str, Callable[[st.DrawFn, Any], None]] = {
    "google.protobuf.Timestamp": _set_time,
    "google.protobuf.Duration": _set_duration,
    "google.protobuf.FieldMask": lambda draw, message: message.paths.extend(draw(PATHS)),
    "google.protobuf.Value": _set_value,
    "google.protobuf.Struct": lambda draw, message: message.update(draw(st.dictionaries(TEXT, JSON, max_size=3))),
    "google.protobuf.ListValue": lambda draw, message: message.extend(draw(st.lists(JSON, max_size=3))),
    "google.protobuf.Any": _set_any,
}


# --- JSON


@st.composite
def objects(draw: st.DrawFn, descriptor: Descriptor, *, depth: int = 2) -> Any:
    """A JSON value that may or may not stand for a message of the type."""
    if descriptor.file.name == "google/protobuf/wrappers.proto":
        return draw(scalar_json(descriptor.fields_by_name["value"]))
    special = SPECIAL_JSON.get(descriptor.full_name)
    if special is not None:
        return draw(special)
    if draw(st.integers(0, 15)) == 0:
        return draw(st.sampled_from([1, "x", [1], [{}], True]))
    result: dict[str, Any] = {}
    fields = [field for field in descriptor.fields if depth or field.message_type is None]
    for field in draw(st.lists(st.sampled_from(fields), max_size=4, unique_by=lambda f: f.name)) if fields else []:
        result[draw(st.sampled_from([field.name, field.json_name]))] = draw(field_json(field, depth))
    if draw(st.integers(0, 15)) == 0:
        result[draw(st.sampled_from(["nope", "", "[a.b]", "aDOUBLE"]))] = 1
    if sum(key.startswith("choice") for key in result) > 1:  # json_format forgets a null there
        result = {key: value for key, value in result.items() if value is not None or not key.startswith("choice")}
    return result


@st.composite
def field_json(draw: st.DrawFn, field: FieldDescriptor, depth: int) -> Any:
    def one(part: FieldDescriptor) -> Any:
        return draw(objects(part.message_type, depth=depth - 1) if part.message_type is not None else scalar_json(part))

    if draw(st.integers(0, 20)) == 0:
        return None
    entry = map_entry(field)
    if entry is not None:
        key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
        if draw(st.integers(0, 15)) == 0:
            return draw(st.sampled_from([[], "x", 1]))
        items = {draw(key_json(key)): one(value) for _ in range(draw(st.integers(0, 2)))}
        return {k: v for k, v in items.items() if v is not None or value.message_type is not None}
    if field.is_repeated:
        if draw(st.integers(0, 15)) == 0:
            return draw(st.sampled_from([{}, "x", 1]))
        return [one(field) for _ in range(draw(st.integers(0, 3)))]
    return one(field)


def key_json(field: FieldDescriptor) -> st.SearchStrategy[str]:
    if field.type == F.TYPE_STRING:
        return TEXT
    if field.type == F.TYPE_BOOL:
        return st.sampled_from(["true", "false", "True", "1", ""])
    bounds = integer_range(field)
    assert bounds is not None
    return (st.integers(*bounds) | st.sampled_from([bounds[1] + 1, bounds[0] - 1])).map(str) | st.sampled_from(["", "x", "1.5", " 1"])


def scalar_json(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """What a scalar field may be given; mostly right."""
    bounds = integer_range(field)
    if bounds is not None:
        numbers = st.integers(*bounds) | st.integers(-2, 2) | st.sampled_from([bounds[0], bounds[1], bounds[0] - 1, bounds[1] + 1, 2**200])
        odd = st.sampled_from([1.0, 1.5, 1e2, 1e300, "1e2", "1.5", "1.0", "", "x", " 1", "1 ", "-1", "1e400", True, False])
        return numbers | numbers.map(str) | odd | NO_SCALAR
    if is_null(field):
        return st.sampled_from(["NULL_VALUE", 0, "x"])
    if field.enum_type is not None:
        names = st.sampled_from([value.name for value in field.enum_type.values])
        return names | st.sampled_from(["x", "", "color_red", 0, 1, 2, 77, -1, 2**31, -(2**31) - 1]) | NO_SCALAR
    texts = FINITE.filter(lambda number: abs(number) < FLOAT_MAX).map(repr)
    numbers_or_text = FINITE | st.integers(-(2**100), 2**100) | texts | st.sampled_from(["NaN", "Infinity", "-Infinity", "nan", "x", ""])
    return {
        F.TYPE_BOOL: st.sampled_from([True, False, True, False, "true", 0, 1, ""]) | NO_SCALAR,
        F.TYPE_STRING: TEXT | st.sampled_from([1, 1.5, True, "\ud800", "a\udc00"]) | NO_SCALAR,
        F.TYPE_BYTES: st.binary(max_size=6).flatmap(_base64_forms) | st.sampled_from(["A", 1, True]) | NO_SCALAR,
        F.TYPE_FLOAT: numbers_or_text | NO_SCALAR,
        F.TYPE_DOUBLE: numbers_or_text | NO_SCALAR,
    }[field.type]


def _base64_forms(content: bytes) -> st.SearchStrategy[str]:
    forms = [base64.b64encode(content).decode(), base64.urlsafe_b64encode(content).decode()]
    return st.sampled_from([*forms, *(form.rstrip("=") for form in forms)])


@st.composite
def _time_json(draw: st.DrawFn) -> Any:
    if draw(st.integers(0, 3)) == 0:
        day = "2020-01-01"
        odd = [day, f"{day}T00:00:00", f"{day}T00:00:00z", f"{day}t00:00:00Z", f"{day}T25:00:00Z", "2020-02-30T00:00:00Z", "", "x"]
        return draw(st.sampled_from([*odd, f"{day}T00:00:00.1234567890Z", f"{day}T00:00:00+0100", f"{day} 00:00:00Z", f"{day}T00:00:00Z "]))
    moment = draw(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)))  # noqa: DTZ001  the zone comes below
    zone = draw(st.just(UTC) | st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))))
    text = moment.replace(tzinfo=zone).isoformat()
    return text.replace("+00:00", "Z") if draw(st.booleans()) else text


DURATION_JSON = st.sampled_from(
    ["0s", "1s", "-1.5s", "1.000000001s", "-0.25s", "315576000000s", "315576000001s", "1", "s", "x", "", 1, {}, "1.5"]
)
MASK_JSON = st.sampled_from(["", "a", "fooBar", "fooBar,bazQux.x", "foo_bar", 1, {}, []])
ANY_JSON = st.sampled_from(
    [
        {},
        {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"},
        {"@type": "type.googleapis.com/google.protobuf.Duration", "value": 1},
        {"@type": "type.googleapis.com/google.protobuf.Duration"},
        {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"a": [1, None]}},
        {"@type": "type.googleapis.com/google.protobuf.Empty"},
        {"@type": "type.googleapis.com/edgetest.v1.Kinds", "aString": "x", "an_int64": "7"},
        {"@type": "type.googleapis.com/edgetest.v1.Kinds", "aString": 1},
        {
            "@type": "type.googleapis.com/google.protobuf.Any",
            "value": {"@type": "type.googleapis.com/google.protobuf.Int64Value", "value": "3"},
        },
        {"@type": "type.googleapis.com/no.such.Type"},
        {"@type": 1},
        {"value": 1},
        [],
        1,
    ]
)
SPECIAL_JSON: dict[str, st.SearchStrategy[Any]] = {
    "google.protobuf.Timestamp": _time_json(),
    "google.protobuf.Duration": DURATION_JSON,
    "google.protobuf.FieldMask": MASK_JSON,
    "google.protobuf.Value": JSON,
    "google.protobuf.Struct": st.dictionaries(TEXT, JSON, max_size=3) | st.sampled_from([[], 1, "x", True]),
    "google.protobuf.ListValue": st.lists(JSON, max_size=3) | st.sampled_from([{}, 1, "x", True]),
    "google.protobuf.Any": ANY_JSON,
}
