"""Pure mapping from a worker's outcome to ours."""

from datetime import UTC, datetime
from uuid import UUID

from clarion.delivery.v1 import delivery_pb2
from gateway.notifications.models import DeviceResult, Entry, Fact, Outcome, Status

_FACTS = frozenset(map(int, Fact))


def outcome_of(message: delivery_pb2.Outcome) -> Outcome | None:
    """A worker's outcome; None when it names no notification or no status that we know."""
    try:
        identifier, status = UUID(message.notification_id), Status(message.status)
        when = message.time.ToDatetime(UTC) if message.HasField("time") else datetime.now(UTC)
        entry = Entry(
            time=when,
            status=status,
            run=message.run,
            attempt=message.attempt,
            reason=message.reason.replace("\0", ""),
            detail=message.detail.replace("\0", ""),
            next_attempt_time=message.next_attempt_time.ToDatetime(UTC) if message.HasField("next_attempt_time") else None,
            start_time=message.start_time.ToDatetime(UTC) if message.HasField("start_time") else None,
            devices=tuple(DeviceResult(d.device_id, d.accepted, d.reason) for d in message.devices),
            provider=message.provider.replace("\0", ""),
        )
    except (ValueError, OverflowError):
        return None
    facts = tuple(Fact(value) for value in map(int, message.facts) if value in _FACTS)
    return Outcome(identifier, entry, message.locale, message.fault, message.transient, _next_of(message), facts)


def _next_of(message: delivery_pb2.Outcome) -> bytes:
    return message.next.SerializeToString() if message.HasField("next") and message.HasField("next_attempt_time") else b""
