"""Moments between datetime (always UTC-aware) and google.protobuf.Timestamp."""

from datetime import UTC, datetime
from typing import overload

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.errors import InvalidArgument


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
    """The moment. Raises InvalidArgument, which names the field, for what lies outside the years 1 to 9999."""
    try:
        return message.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidArgument.of(field, "must be a time from the year 1 to the year 9999") from None
