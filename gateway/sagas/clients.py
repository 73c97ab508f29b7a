"""What erasing a person and exporting their data ask of user_svc."""

from typing import Any

import grpc.aio

from clarion.user.v1.erasure_service_pb2 import (
    CheckErasableRequest,
    EraseUserRequest,
    GetPersonalDataRequest,
    GetPersonalDataResponse,
    RevokeCredentialsRequest,
)
from clarion.user.v1.erasure_service_pb2_grpc import ErasureServiceStub
from gateway.accepting.clients import UserClient
from gateway.sagas.errors import UserNotFound
from mesh.errors import NotFound


class PeopleClient:
    """Implements `gateway.sagas.erasure.People` and `gateway.personal_data.use_cases.People`."""

    def __init__(self, channel: grpc.aio.Channel, users: UserClient) -> None:
        self._stub: Any = ErasureServiceStub(channel)
        self._users = users

    async def check_erasable(self, project: str, user_id: str, *, administrators: bool) -> None:
        """Raises UserNotFound, PermissionDenied, or Unavailable when it can't be found out."""
        try:
            await self._stub.CheckErasable(CheckErasableRequest(project=project, user_id=user_id, administrators=administrators))
        except NotFound:
            raise UserNotFound from None

    async def find(self, project: str, reference: str) -> str | None:
        """Our id of the project's person. Raises Unavailable."""
        return await self._users.find(project, reference)

    async def held(self, project: str, user_id: str, asked_by: str) -> GetPersonalDataResponse:
        """What user_svc keeps of them; it puts who asks into the audit log. Raises NotFound or Unavailable."""
        request = GetPersonalDataRequest(project=project, user_id=user_id, asked_by=asked_by)
        held: GetPersonalDataResponse = await self._stub.GetPersonalData(request)
        return held

    async def revoke_credentials(self, user_id: str) -> None:
        """Raises ServiceError."""
        await self._stub.RevokeCredentials(RevokeCredentialsRequest(user_id=user_id))

    async def erase(self, user_id: str, asked_by: str) -> None:
        """Raises ServiceError. From here on this gateway accepts nothing for them any more."""
        await self._stub.EraseUser(EraseUserRequest(user_id=user_id, asked_by=asked_by))
        self._users.forget(user_id)
