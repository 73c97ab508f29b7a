"""Scheduled publications between their messages and models."""

from clarion.template.v1 import scheduled_publication_pb2 as proto
from mesh.errors import InvalidArgument
from mesh.rpc.timestamps import to_timestamp
from template_svc.schedules.models import Plan, State

_TO_STATE = {state: proto.ScheduledPublicationState.Value(f"SCHEDULED_PUBLICATION_STATE_{state.name}") for state in State}
_STATES = {number: state for state, number in _TO_STATE.items()}


def plan_to_proto(plan: Plan) -> proto.ScheduledPublication:
    return proto.ScheduledPublication(
        id=str(plan.key.id),
        template=plan.version.template,
        version=plan.version.version,
        publish_at=to_timestamp(plan.publish_at),
        previous_version=plan.previous_version,
        note=plan.mark.note,
        state=_TO_STATE[plan.state],
        scheduled_by=plan.mark.by,
        create_time=to_timestamp(plan.create_time),
        end_time=to_timestamp(plan.end_time),
        ended_by=plan.ended_by,
        reason=plan.reason,
        description=plan.description,
    )


def state_from_proto(number: int) -> State | None:
    """None for the unspecified one. Raises InvalidArgument for a number that stands for nothing."""
    if number and number not in _STATES:
        raise InvalidArgument.of("state", "must be planned, published, failed, cancelled or replaced")
    return _STATES.get(number)  # type: ignore[call-overload, no-any-return]  # an enum's number is an int in every way
