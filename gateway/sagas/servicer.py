"""clarion.notification.v1.SagaService, and the gateway's own DeleteUser and DeleteProject: messages in, one use case, messages out."""

from clarion.notification.v1 import saga_service_pb2 as rpc
from clarion.notification.v1.saga_service_pb2_grpc import SagaServiceServicer
from clarion.user.v1 import project_service_pb2, user_service_pb2
from gateway.sagas.convert import filters_of, saga_message
from gateway.sagas.erasure import Erasures
from gateway.sagas.project_erasure import ProjectErasures
from gateway.sagas.use_cases import SagaDesk
from mesh.context import current

# What is left of the call's time for telling how far the saga is.
_ANSWER_S = 0.25
_LONGEST_WAIT_S = 5.0


class SagaServicer(SagaServiceServicer):
    """Serves sagas. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, desk: SagaDesk) -> None:
        self._desk = desk

    async def ListSagas(self, request: rpc.ListSagasRequest, context: object) -> rpc.ListSagasResponse:
        page = await self._desk.list_sagas(filters_of(current().caller.project, request), request.page_size, request.page_token)
        return rpc.ListSagasResponse(sagas=map(saga_message, page.items), next_page_token=page.next_token)

    async def GetSaga(self, request: rpc.GetSagaRequest, context: object) -> rpc.GetSagaResponse:
        return rpc.GetSagaResponse(saga=saga_message(await self._desk.get(current().caller, request.id)))

    async def ResumeSaga(self, request: rpc.ResumeSagaRequest, context: object) -> rpc.ResumeSagaResponse:
        return rpc.ResumeSagaResponse(saga=saga_message(await self._desk.resume(current().caller, request.id)))


class ErasureServicer:
    """Serves one method of UserService and one of ProjectService in place of user_svc."""

    def __init__(self, erasures: Erasures, projects: ProjectErasures) -> None:
        self._erasures = erasures
        self._projects = projects

    async def DeleteProject(
        self, request: project_service_pb2.DeleteProjectRequest, context: object
    ) -> project_service_pb2.DeleteProjectResponse:
        saga = await self._projects.erase(current().caller, request.id, timeout_s=_time_left())
        return project_service_pb2.DeleteProjectResponse(saga_id=str(saga.id), completed=saga.is_over)

    async def DeleteUser(self, request: user_service_pb2.DeleteUserRequest, context: object) -> user_service_pb2.DeleteUserResponse:
        saga = await self._erasures.erase(current().caller, request.id, timeout_s=_time_left())
        return user_service_pb2.DeleteUserResponse(saga_id=str(saga.id), completed=saga.is_over)


def _time_left() -> float:
    """Seconds that a call can wait for a saga."""
    deadline = current().deadline
    timeout_s = min(_LONGEST_WAIT_S, deadline.remaining_s()) if deadline is not None else _LONGEST_WAIT_S
    return max(0.0, timeout_s - _ANSWER_S)
