"""clarion.user.v1.ErasureService: messages in, one use case, messages out."""

from clarion.user.v1 import erasure_service_pb2 as rpc
from clarion.user.v1.erasure_service_pb2_grpc import ErasureServiceServicer
from mesh.context import FIRST_PROJECT
from user_svc.erasure.use_cases import Erasure


class ErasureServicer(ErasureServiceServicer):
    """Serves the gateway's saga. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, erasure: Erasure) -> None:
        self._erasure = erasure

    async def CheckErasable(self, request: rpc.CheckErasableRequest, context: object) -> rpc.CheckErasableResponse:
        project = request.project or FIRST_PROJECT
        await self._erasure.check_erasable(project, request.user_id, administrators=request.administrators)
        return rpc.CheckErasableResponse()

    async def RevokeCredentials(self, request: rpc.RevokeCredentialsRequest, context: object) -> rpc.RevokeCredentialsResponse:
        await self._erasure.revoke_credentials(request.user_id)
        return rpc.RevokeCredentialsResponse()

    async def EraseUser(self, request: rpc.EraseUserRequest, context: object) -> rpc.EraseUserResponse:
        await self._erasure.erase_user(request.user_id)
        return rpc.EraseUserResponse()
