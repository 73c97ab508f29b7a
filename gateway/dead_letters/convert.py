"""Pure mapping between messages and models."""

from clarion.channel.v1 import channel_pb2
from clarion.notification.v1 import dead_letter_pb2, dead_letter_service_pb2
from gateway.dead_letters.models import DeadLetter, DeadLetterFilters, State
from gateway.notifications.convert import channel_of
from mesh.errors import InvalidArgument
from mesh.timestamps import to_timestamp


def dead_letter_message(letter: DeadLetter) -> dead_letter_pb2.DeadLetter:
    """A dead letter for its reviewers."""
    return dead_letter_pb2.DeadLetter(
        notification_id=str(letter.notification_id),
        user_id=str(letter.user_id),
        channel=channel_pb2.Channel.ValueType(letter.channel),
        template=letter.template,
        state=dead_letter_pb2.DeadLetterState.ValueType(letter.state),
        reason=letter.reason,
        detail=letter.detail,
        attempts=letter.attempts,
        create_time=to_timestamp(letter.create_time),
        resolve_time=to_timestamp(letter.resolve_time),
        resolved_by=letter.resolved_by,
        note=letter.note,
        correlation_id=letter.correlation_id,
    )


def filters_of(request: dead_letter_service_pb2.ListDeadLettersRequest) -> DeadLetterFilters:
    """The filters of a list; without a state, those that wait. Raises InvalidArgument for an enum number that does not exist."""
    try:
        state = State(request.state or State.OPEN)
    except ValueError:
        raise InvalidArgument.of("state", f"must be one of {', '.join(state.name.lower() for state in State)}") from None
    return DeadLetterFilters(
        state=state,
        channel=channel_of(request.channel) if request.channel else None,
        template=request.template.replace("\0", "") or None,
        reason=request.reason.replace("\0", "") or None,
    )
