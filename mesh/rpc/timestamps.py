"""Moments between datetime (always UTC-aware) and google.protobuf.Timestamp."""

from datetime import UTC, datetime, timedelta
from typing import overload

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.errors import InvalidArgument

_FIRST = datetime.min.replace(tzinfo=UTC) + timedelta(microseconds=1)
_LAST = datetime.max.replace(tzinfo=UTC) - timedelta(microseconds=1)


@overload
def to_timestamp(moment: datetime) -> Timestamp: ...
@overload
def to_timestamp(moment: None) -> None: ...
def to_timestamp(moment: datetime | None) -> Timestamp | None:
    """The message; None stays None, which leaves a field unset."""
    if moment is None:
        return None
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def from_timestamp(field: str, message: Timestamp) -> datetime:
    """The moment. Raises InvalidArgument, which names the field, for what lies outside the years 1 to 9999.

    The very first and last microsecond become their neighbours: asyncpg stores them as infinities, and reads those without a zone.
    """
    try:
        return min(max(message.ToDatetime(tzinfo=UTC), _FIRST), _LAST)
    except (ValueError, OverflowError):
        raise InvalidArgument.of(field, "must be a time from the year 1 to the year 9999") from None
