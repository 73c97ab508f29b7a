"""What exporting asks of user_svc."""

from typing import Any

import grpc.aio

from clarion.user.v1.erasure_service_pb2 import GetPersonalDataRequest, GetPersonalDataResponse
from clarion.user.v1.erasure_service_pb2_grpc import ErasureServiceStub
from gateway.accepting.clients import UserClient


class PeopleClient:
    """Implements `gateway.personal_data.use_cases.People`."""

    def __init__(self, channel: grpc.aio.Channel, users: UserClient) -> None:
        self._stub: Any = ErasureServiceStub(channel)
        self._users = users

    async def find(self, project: str, reference: str) -> str | None:
        """Our id of the project's person. Raises Unavailable."""
        return await self._users.find(project, reference)

    async def held(self, project: str, user_id: str) -> GetPersonalDataResponse:
        """Raises NotFound or Unavailable."""
        held: GetPersonalDataResponse = await self._stub.GetPersonalData(GetPersonalDataRequest(project=project, user_id=user_id))
        return held
