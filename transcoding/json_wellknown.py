"""Well-known types: which they are, and those whose JSON is text (Timestamp, Duration and FieldMask), in and out."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from transcoding.json_scalar import BadValue
from transcoding.json_struct import LIST_VALUE, STRUCT, VALUE

ANY = "google.protobuf.Any"
TYPE_KEY = "@type"
TIMESTAMP = "google.protobuf.Timestamp"
DURATION = "google.protobuf.Duration"
FIELD_MASK = "google.protobuf.FieldMask"

_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
_DURATION = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,9}))?s")
_CAMEL_PATH = re.compile(r"[a-z][A-Za-z0-9]*(?:\.[a-z][A-Za-z0-9]*)*")
_ANY_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_CAPITAL = re.compile(r"[A-Z]")
_UNDERSCORE = re.compile(r"_([a-z])")
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  a naive one in UTC: an aware one costs time and helps nothing here
_LONGEST_DURATION_S = 315_576_000_000  # 10,000 years, by definition of the type
_FIRST_S, _LAST_S = -62_135_596_800, 253_402_300_799  # the years 1 to 9999
_RULE_TIME = "must be a time in RFC 3339 form, such as 2026-01-31T12:00:00Z"
_RULE_REAL = "must be a time that there is: the day is in the calendar, hours go to 23, minutes and seconds to 59"
_LOST_PLUS = re.compile(r".* [0-9]{2}:[0-9]{2}")  # what a query's plus sign becomes
_RULE_DURATION = "must be a duration in seconds, such as 1.5s"
_RULE_MASK = "must be field paths separated by commas"


def descriptor_of(message: Message) -> Descriptor:
    """The message's type. The stubs know two names for its class."""
    return cast(Descriptor, message.DESCRIPTOR)


def is_wrapper(descriptor: Descriptor) -> bool:
    """Whether the type is one of google.protobuf's wrappers, such as StringValue."""
    return bool(descriptor.file.name == "google/protobuf/wrappers.proto")


def has_own_json(descriptor: Descriptor) -> bool:
    """Whether the type has a JSON form of its own; an Any holds it under the key `value`."""
    return is_wrapper(descriptor) or descriptor.full_name in {TIMESTAMP, DURATION, FIELD_MASK, VALUE, LIST_VALUE, STRUCT, ANY}


def read_timestamp(message: Any, value: Any) -> None:
    """Sets a Timestamp from its JSON value. Raises BadValue."""
    found = _TIMESTAMP.fullmatch(value) if type(value) is str else None
    if found is None:
        raise BadValue(_time_rule(value))
    year, month, day, hour, minute, second, fraction, sign, offset_hour, offset_minute = found.groups()
    try:
        passed = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second)) - _EPOCH  # noqa: DTZ001  both sides are naive UTC, only the difference counts
    except ValueError:
        raise BadValue(_RULE_REAL) from None
    seconds = passed.days * 86_400 + passed.seconds
    if sign:
        if int(offset_hour) > 23 or int(offset_minute) > 59:
            raise BadValue(_RULE_REAL)
        offset_s = (int(offset_hour) * 60 + int(offset_minute)) * 60
        seconds += offset_s if sign == "-" else -offset_s
    if not _FIRST_S <= seconds <= _LAST_S:
        raise BadValue("must be a time in the years 0001 to 9999")
    message.seconds = seconds
    message.nanos = int(fraction.ljust(9, "0")) if fraction else 0


def _time_rule(value: Any) -> str:
    """What is wrong with a value that has not the form of a time, for the mistakes that are made most."""
    text = value if type(value) is str else ""
    if _TIMESTAMP.fullmatch(text.upper()):
        return f"{_RULE_TIME}: T and Z are in upper case"
    if _LOST_PLUS.fullmatch(text):
        return f"{_RULE_TIME}: in a query, + is sent as %2B"
    return _RULE_TIME


def write_timestamp(message: Any) -> str:
    """The JSON value of a Timestamp. Raises ValueError when it is out of range."""
    seconds, nanos = message.seconds, message.nanos
    if not (_FIRST_S <= seconds <= _LAST_S and 0 <= nanos < 1_000_000_000):
        raise ValueError("a time is out of range")
    return f"{(_EPOCH + timedelta(seconds=seconds)).isoformat()}{_fraction(nanos)}Z"


def read_duration(message: Any, value: Any) -> None:
    """Sets a Duration from its JSON value. Raises BadValue."""
    found = _DURATION.fullmatch(value) if type(value) is str else None
    if found is None:
        raise BadValue(_RULE_DURATION)
    sign, whole, fraction = found.groups()
    seconds, nanos = int(whole), int(fraction.ljust(9, "0")) if fraction else 0
    if seconds > _LONGEST_DURATION_S:
        raise BadValue("must be a duration of at most 10,000 years")
    message.seconds = -seconds if sign else seconds
    message.nanos = -nanos if sign else nanos


def write_duration(message: Any) -> str:
    """The JSON value of a Duration. Raises ValueError when it is out of range."""
    seconds, nanos = message.seconds, message.nanos
    if abs(seconds) > _LONGEST_DURATION_S or abs(nanos) >= 1_000_000_000 or seconds * nanos < 0:
        raise ValueError("a duration is out of range")
    sign = "-" if seconds < 0 or nanos < 0 else ""
    return f"{sign}{abs(seconds)}{_fraction(abs(nanos))}s"


def mask_reader(*, short: bool) -> Callable[[Any, Any], None]:
    """Sets a FieldMask from its JSON value; with `short` in either spelling, and `*`. The function raises BadValue."""
    pattern = _ANY_PATH if short else _CAMEL_PATH

    def read(message: Any, value: Any) -> None:
        if type(value) is not str:
            raise BadValue(_RULE_MASK)
        for path in value.split(",") if value else ():
            if short and path == "*":
                message.paths.append(path)
            elif pattern.fullmatch(path):
                message.paths.append(_CAPITAL.sub(lambda capital: "_" + capital[0].lower(), path))
            else:
                raise BadValue(_RULE_MASK)

    return read


def mask_writer(*, short: bool) -> Callable[[Any], str]:
    """The JSON value of a FieldMask: the proto's own spelling with `short`, else lowerCamelCase. The function raises ValueError."""

    def write(message: Any) -> str:
        if short:
            return ",".join(message.paths)
        camel = [_UNDERSCORE.sub(lambda found: found[1].upper(), path) for path in message.paths]
        if any("_" in path for path in camel) or any(_CAPITAL.search(path) for path in message.paths):
            raise ValueError("a field mask has a path that lowerCamelCase can't carry")
        return ",".join(camel)

    return write


def _fraction(nanos: int) -> str:
    if nanos == 0:
        return ""
    if nanos % 1_000_000 == 0:
        return f".{nanos // 1_000_000:03d}"
    if nanos % 1_000 == 0:
        return f".{nanos // 1_000:06d}"
    return f".{nanos:09d}"
