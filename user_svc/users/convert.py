"""People between their messages and models."""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from clarion.user.v1 import user_pb2, user_service_pb2
from mesh.errors import InvalidArgument, ServiceError
from mesh.rpc.masks import masked_fields
from mesh.rpc.status import to_status
from mesh.rpc.timestamps import to_timestamp
from mesh.rpc.validation import validate
from user_svc.users.models import Role, User, UserChanges

_ROLES = {Role.MEMBER: user_pb2.ROLE_MEMBER, Role.ADMINISTRATOR: user_pb2.ROLE_ADMINISTRATOR}
_CHANGEABLE = ("email", "name", "locale", "timezone", "external_id", "attributes")


def user_to_proto(user: User) -> user_pb2.User:
    return user_pb2.User(
        id=user.id,
        email=user.email,
        name=user.name,
        locale=user.locale,
        timezone=user.timezone,
        role=_ROLES[user.role],
        create_time=to_timestamp(user.create_time),
        update_time=to_timestamp(user.update_time),
        etag=user.etag,
        external_id=user.external_id,
        attributes=struct_of(user.attributes),
        email_verified=user.email_verified,
        assigned_role=user.assigned_role,
    )


def new_user_from_proto(request: user_service_pb2.CreateUserRequest) -> UserChanges:
    return _given(request, _CHANGEABLE)


def changes_from_proto(request: user_service_pb2.UpdateUserRequest) -> UserChanges:
    """The fields that the mask names (AIP-134). Raises InvalidArgument for one that can't be changed."""
    return _given(request.user, masked_fields(request.update_mask, request.user, _CHANGEABLE))


def check_makes_person(reference: str) -> None:
    """Raises InvalidArgument for what can be no external id, so that no one is made by it. Every id of ours could be one."""
    try:
        validate(user_pb2.User(external_id=reference))
    except InvalidArgument as error:
        raise InvalidArgument.of("id", error.violations[0].description) from None


def person_from_proto(user: user_pb2.User) -> UserChanges:
    """What is set of a person."""
    return _given(user, _CHANGEABLE)


def struct_of(attributes: Mapping[str, Any]) -> Struct | None:
    """Plain data as a message; None for none."""
    if not attributes:
        return None
    struct = Struct()
    struct.update(attributes)
    return struct


def upsert_result_to_proto(result: str | ServiceError) -> user_service_pb2.UpsertResult:
    """An id or an error."""
    if isinstance(result, ServiceError):
        return user_service_pb2.UpsertResult(error=to_status(result))
    return user_service_pb2.UpsertResult(id=result)


def plain(struct: Struct) -> dict[str, Any]:
    """As JSON has it."""
    return MessageToDict(struct)


def _given(message: user_service_pb2.CreateUserRequest | user_pb2.User, names: Iterable[str]) -> UserChanges:
    values: dict[str, Any] = {name: getattr(message, name) for name in names}
    if "attributes" in values:
        values["attributes"] = plain(values["attributes"])
    return UserChanges(**values)
