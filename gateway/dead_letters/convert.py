"""Pure mapping between messages and models."""

from clarion.channel.v1 import channel_pb2
from clarion.notification.v1 import dead_letter_pb2, dead_letter_service_pb2
from gateway.dead_letters.models import Audit, Cause, DeadLetter, DeadLetterFilters, Preview, State, View
from gateway.notifications.convert import channel_of
from mesh.errors import InvalidArgument
from mesh.rpc.paging import filter_text
from mesh.rpc.timestamps import from_timestamp, to_timestamp


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
        cause=dead_letter_pb2.DeadLetterCause.ValueType(letter.cause),
        run=letter.run,
        audit=map(_audit_message, letter.audit),
        preview=None if letter.preview is None else _preview_message(letter.preview),
    )


def _audit_message(entry: Audit) -> dead_letter_pb2.DeadLetterAudit:
    return dead_letter_pb2.DeadLetterAudit(
        time=to_timestamp(entry.time),
        action=dead_letter_pb2.DeadLetterAction.ValueType(entry.action),
        actor_kind=entry.actor_kind,
        actor_id=entry.actor_id,
        note=entry.note,
        run=entry.run,
        job_id="" if entry.job_id is None else str(entry.job_id),
        changed=entry.changed,
        former_user_id="" if entry.former_user_id is None else str(entry.former_user_id),
        redirected_to=entry.redirected_to,
    )


def _preview_message(preview: Preview) -> dead_letter_pb2.DeadLetterPreview:
    return dead_letter_pb2.DeadLetterPreview(
        redacted=preview.redacted,
        recipient=preview.recipient,
        recipient_edited=preview.recipient_edited,
        devices=preview.devices,
        decision=preview.decision,
        rule=preview.rule,
        locale=preview.locale,
        content=preview.content,
        variables=preview.variables,
        problem=preview.problem,
    )


def list_filters_of(project: str, request: dead_letter_service_pb2.ListDeadLettersRequest) -> DeadLetterFilters:
    """The filters of a list; without a state, those that wait. Raises InvalidArgument for an enum number that does not exist."""
    try:
        state = State(request.state or State.OPEN)
    except ValueError:
        raise InvalidArgument.of("state", f"must be one of {', '.join(state.name.lower() for state in State)}") from None
    return filters_of(project, request)._replace(state=state)


def filters_of(
    project: str, request: dead_letter_service_pb2.ListDeadLettersRequest | dead_letter_pb2.DeadLetterFilter, prefix: str = ""
) -> DeadLetterFilters:
    """The filters that both messages have. Raises InvalidArgument for an enum number or a time that does not exist."""
    try:
        cause = Cause(request.cause) if request.cause else None
    except ValueError:
        raise InvalidArgument.of(f"{prefix}cause", f"must be one of {', '.join(cause.name.lower() for cause in Cause)}") from None
    after, before = request.created_after, request.created_before
    return DeadLetterFilters(
        project,
        channel=channel_of(request.channel, f"{prefix}channel") if request.channel else None,
        template=filter_text(request.template),
        reason=filter_text(request.reason),
        cause=cause,
        created_after=from_timestamp(f"{prefix}created_after", after) if request.HasField("created_after") else None,
        created_before=from_timestamp(f"{prefix}created_before", before) if request.HasField("created_before") else None,
    )


def view_of(number: int) -> View:
    """The view of a number; redacted for none. Raises InvalidArgument."""
    try:
        return View(number or View.REDACTED)
    except ValueError:
        raise InvalidArgument.of("view", f"must be one of {', '.join(view.name.lower() for view in View)}") from None
