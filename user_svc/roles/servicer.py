"""clarion.user.v1.RoleService: messages in, one use case, messages out."""

from typing import Protocol

from clarion.user.v1 import role_service_pb2 as rpc
from clarion.user.v1.role_service_pb2_grpc import RoleServiceServicer
from mesh.context import Caller, current
from user_svc.roles.convert import changes_from_proto, new_role_from_proto, role_to_proto
from user_svc.roles.use_cases import Roles


class People(Protocol):
    """Who is meant."""

    async def resolve(self, caller: Caller, reference: str) -> str:
        """Our id for an id of ours or an external one; what belongs to no person comes back as it is."""


class RoleServicer(RoleServiceServicer):
    """Serves roles. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, roles: Roles, people: People) -> None:
        self._roles = roles
        self._people = people

    async def CreateRole(self, request: rpc.CreateRoleRequest, context: object) -> rpc.CreateRoleResponse:
        role = await self._roles.create_role(current().caller, request.role.id, new_role_from_proto(request.role))
        return rpc.CreateRoleResponse(role=role_to_proto(role))

    async def GetRole(self, request: rpc.GetRoleRequest, context: object) -> rpc.GetRoleResponse:
        return rpc.GetRoleResponse(role=role_to_proto(await self._roles.get_role(current().caller, request.id)))

    async def ListRoles(self, request: rpc.ListRolesRequest, context: object) -> rpc.ListRolesResponse:
        page = await self._roles.list_roles(current().caller, request.page_size, request.page_token)
        return rpc.ListRolesResponse(roles=map(role_to_proto, page.items), next_page_token=page.next_token)

    async def UpdateRole(self, request: rpc.UpdateRoleRequest, context: object) -> rpc.UpdateRoleResponse:
        changes = changes_from_proto(request)
        role = await self._roles.update_role(current().caller, request.id, changes, etag=request.role.etag)
        return rpc.UpdateRoleResponse(role=role_to_proto(role))

    async def DeleteRole(self, request: rpc.DeleteRoleRequest, context: object) -> rpc.DeleteRoleResponse:
        await self._roles.delete_role(current().caller, request.id)
        return rpc.DeleteRoleResponse()

    async def AssignRole(self, request: rpc.AssignRoleRequest, context: object) -> rpc.AssignRoleResponse:
        caller = current().caller
        user_id = await self._people.resolve(caller, request.user_id)
        return rpc.AssignRoleResponse(user_id=await self._roles.assign_role(caller, user_id, request.role), role=request.role)
