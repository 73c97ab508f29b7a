"""What erasing people and projects, and exporting a person's data, ask of user_svc and template_svc."""

from collections.abc import Sequence
from typing import Any

import grpc.aio

from clarion.template.v1.project_erasure_service_pb2 import EraseProjectTemplatesRequest
from clarion.template.v1.project_erasure_service_pb2_grpc import ProjectErasureServiceStub
from clarion.user.v1.erasure_service_pb2 import (
    CheckErasableRequest,
    CloseProjectRequest,
    EraseProjectRequest,
    EraseUserRequest,
    GetPersonalDataRequest,
    GetPersonalDataResponse,
    ListProjectPeopleRequest,
    RevokeCredentialsRequest,
)
from clarion.user.v1.erasure_service_pb2_grpc import ErasureServiceStub
from gateway.accepting.clients import UserClient
from gateway.sagas.errors import UserNotFound
from mesh.errors import NotFound
from mesh.ids import new_id


class ProjectTemplates:
    """Implements `gateway.sagas.project_erasure.Templates`, by template_svc."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = ProjectErasureServiceStub(channel)

    async def erase_project(self, project: str) -> None:
        """Raises ServiceError."""
        await self._stub.EraseProjectTemplates(EraseProjectTemplatesRequest(project=project))


class PeopleClient:
    """Implements `gateway.sagas.erasure.People`, `gateway.sagas.project_erasure.Projects` and `gateway.personal_data.use_cases.People`."""

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
        # a call that takes long is made a second time beside the first (mesh/rpc/hedging.py), and one that fails is repeated
        request = GetPersonalDataRequest(project=project, user_id=user_id, asked_by=asked_by, audit_id=new_id())
        held: GetPersonalDataResponse = await self._stub.GetPersonalData(request)
        return held

    async def close_project(self, project: str) -> None:
        """Raises ServiceError."""
        await self._stub.CloseProject(CloseProjectRequest(project=project))

    async def list_people(self, project: str) -> Sequence[str]:
        """Raises ServiceError."""
        return tuple((await self._stub.ListProjectPeople(ListProjectPeopleRequest(project=project))).user_ids)

    async def erase_project(self, project: str, asked_by: str) -> None:
        """Raises ServiceError."""
        await self._stub.EraseProject(EraseProjectRequest(project=project, asked_by=asked_by))

    async def revoke_credentials(self, user_id: str) -> None:
        """Raises ServiceError."""
        await self._stub.RevokeCredentials(RevokeCredentialsRequest(user_id=user_id))

    async def erase(self, user_id: str, asked_by: str) -> None:
        """Raises ServiceError. From here on this gateway accepts nothing for them any more."""
        await self._stub.EraseUser(EraseUserRequest(user_id=user_id, asked_by=asked_by))
        self._users.forget(user_id)
