"""Pure mapping between messages and sagas."""

from clarion.notification.v1 import saga_pb2, saga_service_pb2
from gateway.sagas.models import SagaFilters
from mesh.errors import InvalidArgument
from mesh.rpc.paging import filter_text
from mesh.rpc.timestamps import to_timestamp
from mesh.sagas.state import Saga, SagaState, StepRecord


def saga_message(saga: Saga) -> saga_pb2.Saga:
    """A saga for operators. Its data is for its steps only."""
    # while a process is at it, `due_at` is the end of that one's lease, which says nothing to people
    waits = saga.is_active and (saga.attempts > 0 or saga.version == 0)
    return saga_pb2.Saga(
        id=str(saga.id),
        kind=saga.kind,
        key=saga.key,
        state=saga_pb2.SagaState.ValueType(saga.state),
        steps=map(_step_message, saga.steps),
        attempts=saga.attempts,
        reason=saga.reason,
        next_attempt_time=to_timestamp(saga.due_at if waits else None),
        create_time=to_timestamp(saga.create_time),
        update_time=to_timestamp(saga.update_time),
        correlation_id=saga.correlation_id,
    )


def filters_of(project: str, request: saga_service_pb2.ListSagasRequest) -> SagaFilters:
    """The filters of a list. Raises InvalidArgument for an enum number that does not exist."""
    try:
        state = SagaState(request.state) if request.state else None
    except ValueError:
        raise InvalidArgument.of("state", f"must be one of {', '.join(state.name.lower() for state in SagaState)}") from None
    return SagaFilters(project, kind=filter_text(request.kind), state=state)


def _step_message(step: StepRecord) -> saga_pb2.SagaStep:
    return saga_pb2.SagaStep(
        name=step.name,
        state=saga_pb2.SagaStepState.ValueType(step.state),
        start_time=to_timestamp(step.start_time),
        end_time=to_timestamp(step.end_time),
    )
