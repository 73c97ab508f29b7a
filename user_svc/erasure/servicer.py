"""clarion.user.v1.ErasureService: messages in, one use case, messages out."""

from collections.abc import Sequence
from typing import Protocol

from clarion.user.v1 import erasure_service_pb2 as rpc
from clarion.user.v1.erasure_service_pb2_grpc import ErasureServiceServicer
from mesh.context import FIRST_PROJECT
from user_svc.addresses.convert import address_to_proto
from user_svc.devices.convert import device_to_proto
from user_svc.erasure.use_cases import Erasure, PersonalData
from user_svc.preferences.convert import preferences_to_proto
from user_svc.sign_in.convert import identity_to_proto
from user_svc.suppressions.convert import suppression_to_proto
from user_svc.users.convert import user_to_proto


class Projects(Protocol):
    """What user_svc keeps of projects that are being erased."""

    async def close(self, project: str) -> None:
        """Raises ProjectNotFound or ProjectNotArchived."""

    async def people(self, project: str) -> Sequence[str]:
        """Ids of some who are left."""

    async def erase(self, project: str, asked_by: str) -> None:
        """Removes what is left. Raises PeopleLeft."""


class ErasureServicer(ErasureServiceServicer):
    """Serves the gateway's sagas. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, erasure: Erasure, personal_data: PersonalData, projects: Projects) -> None:
        self._projects = projects
        self._erasure = erasure
        self._personal_data = personal_data

    async def GetPersonalData(self, request: rpc.GetPersonalDataRequest, context: object) -> rpc.GetPersonalDataResponse:
        held = await self._personal_data.held(request.project, request.user_id, request.asked_by, request.audit_id)
        own = held.user.email.lower()
        whole = next((one for one in held.suppressions if one.address == own and not one.category), None)
        return rpc.GetPersonalDataResponse(
            user=user_to_proto(held.user),
            preferences=preferences_to_proto(held.preferences),
            devices=map(device_to_proto, held.devices),
            suppression=None if whole is None else suppression_to_proto(whole),
            category_suppressions=[suppression_to_proto(one) for one in held.suppressions if one is not whole],
            addresses=map(address_to_proto, held.addresses),
            identities=map(identity_to_proto, held.identities),
        )

    async def CheckErasable(self, request: rpc.CheckErasableRequest, context: object) -> rpc.CheckErasableResponse:
        project = request.project or FIRST_PROJECT
        await self._erasure.check_erasable(project, request.user_id, administrators=request.administrators)
        return rpc.CheckErasableResponse()

    async def RevokeCredentials(self, request: rpc.RevokeCredentialsRequest, context: object) -> rpc.RevokeCredentialsResponse:
        await self._erasure.revoke_credentials(request.user_id)
        return rpc.RevokeCredentialsResponse()

    async def EraseUser(self, request: rpc.EraseUserRequest, context: object) -> rpc.EraseUserResponse:
        await self._erasure.erase_user(request.user_id, request.asked_by)
        return rpc.EraseUserResponse()

    async def CloseProject(self, request: rpc.CloseProjectRequest, context: object) -> rpc.CloseProjectResponse:
        await self._projects.close(request.project)
        return rpc.CloseProjectResponse()

    async def ListProjectPeople(self, request: rpc.ListProjectPeopleRequest, context: object) -> rpc.ListProjectPeopleResponse:
        return rpc.ListProjectPeopleResponse(user_ids=await self._projects.people(request.project))

    async def EraseProject(self, request: rpc.EraseProjectRequest, context: object) -> rpc.EraseProjectResponse:
        await self._projects.erase(request.project, request.asked_by)
        return rpc.EraseProjectResponse()
