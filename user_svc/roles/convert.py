"""Roles between their messages and models."""

from collections.abc import Sequence

from clarion.user.v1 import role_pb2
from clarion.user.v1 import role_service_pb2 as rpc
from mesh.errors import InvalidArgument
from mesh.rpc.masks import masked_fields
from mesh.rpc.timestamps import to_timestamp
from naming.text import check_text
from user_svc.auth.models import Scope
from user_svc.roles.models import OperatorRole, RoleChanges
from user_svc.users.models import Role


def role_to_proto(role: OperatorRole) -> role_pb2.OperatorRole:
    return role_pb2.OperatorRole(
        id=role.id,
        description=role.description,
        scopes=role.scopes,
        user_ids=role.user_ids,
        create_time=to_timestamp(role.create_time),
        update_time=to_timestamp(role.update_time),
        etag=role.etag,
    )


def new_role_from_proto(role: role_pb2.OperatorRole) -> RoleChanges:
    """All of it but the id. Raises InvalidArgument."""
    if not role.id:
        raise InvalidArgument.of("role.id", "is required")
    if role.id in {*Role}:
        raise InvalidArgument.of("role.id", f"is that of a role which is built in ({', '.join(Role)})")
    return RoleChanges(check_text("role.description", role.description), _scopes(role.scopes))


def changes_from_proto(request: rpc.UpdateRoleRequest) -> RoleChanges:
    """What the mask names (AIP-134). Raises InvalidArgument."""
    given = request.role
    fields = masked_fields(request.update_mask, given, ("description", "scopes"))
    description = check_text("role.description", given.description) if "description" in fields else None
    return RoleChanges(description, _scopes(given.scopes) if "scopes" in fields else None)


def _scopes(scopes: Sequence[str]) -> tuple[str, ...]:
    known = frozenset(Scope)
    for index, scope in enumerate(scopes):
        if scope not in known:
            raise InvalidArgument.of(f"role.scopes[{index}]", f"is not a scope; there are {', '.join(sorted(known))}")
    if not scopes:
        raise InvalidArgument.of("role.scopes", "is required: a role lets people do something")
    return tuple(sorted(set(scopes)))
