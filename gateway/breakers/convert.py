"""Pure mapping between messages and models."""

from clarion.operations.v1 import breaker_pb2, breaker_service_pb2
from gateway.breakers.models import Breaker, Force
from mesh.errors import InvalidArgument
from mesh.rpc.timestamps import to_timestamp


def breaker_message(breaker: Breaker) -> breaker_pb2.Breaker:
    """A breaker for operators."""
    return breaker_pb2.Breaker(
        name=breaker.name,
        state=breaker_pb2.BreakerState.ValueType(breaker.state),
        failures=breaker.failures,
        retry_time=to_timestamp(breaker.retry_time),
        change_time=to_timestamp(breaker.change_time),
        force=breaker_pb2.BreakerForce.ValueType(breaker.force),
        force_time=to_timestamp(breaker.force_time),
        force_expire_time=to_timestamp(breaker.force_expire_time),
        forced_by=breaker.forced_by,
        note=breaker.note,
        seen_time=to_timestamp(breaker.seen_time),
    )


def force_of(request: breaker_service_pb2.ForceBreakerRequest) -> Force:
    """What is wanted. Raises InvalidArgument for an enum number that does not exist."""
    try:
        return Force(request.force)
    except ValueError:
        raise InvalidArgument.of("force", "must be BREAKER_FORCE_OPEN, BREAKER_FORCE_CLOSED or BREAKER_FORCE_AUTO") from None


def duration_of(request: breaker_service_pb2.ForceBreakerRequest) -> float | None:
    """The duration in seconds, None when it is unset."""
    return request.duration.seconds + request.duration.nanos / 1e9 if request.HasField("duration") else None
