"""Facts about what an issuer's groups let people do: the keys that they make, and who may change them."""

from functools import partial
from typing import Any

import grpc.aio
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from clarion.user.v1 import api_key_pb2, auth_service_pb2, erasure_service_pb2, user_pb2, user_service_pb2
from clarion.user.v1.erasure_service_pb2_grpc import ErasureServiceStub
from clarion.user.v1.user_service_pb2_grpc import UserServiceStub
from mesh.context import FIRST_PROJECT
from mesh.errors import PermissionDenied, Unauthenticated
from mesh.rpc.channel import to_service_error
from tests.user_svc.issuer import Issuer
from tests.user_svc.sign_in_door import Door
from tests.user_svc.test_erasure import GATEWAY
from tests.waiting import until_answered


async def _is_refused(door: Door, credential: str) -> bool:
    """A revocation is read each second."""
    try:
        await door.scopes(credential)
    except Unauthenticated:
        return True
    return False


async def test_keys_end_that_may_do_more_than_the_person_may_by_their_groups_now(door: Door, issuer: Issuer) -> None:
    """With all that were made by them; those that the person could still make go on."""
    issuer.claims["groups"] = ["staff", "readers"]
    token = (await door.sign_in(issuer)).access_token

    async def make(by: str, *scopes: str) -> str:
        return str((await door.call("CreateApiKey", api_key_pb2.CreateApiKeyRequest(name="k", scopes=scopes), by)).secret)

    wide = await make(token, "templates:read", "apikeys:write")
    child, narrow = await make(wide, "templates:read"), await make(token, "notifications:read")
    await door.sign_in(issuer)
    for key in (wide, child, narrow):
        assert await door.scopes(key)
    issuer.claims["groups"] = ["staff"]
    await door.sign_in(issuer)
    for key in (wide, child):
        await until_answered(partial(_is_refused, door, key))
    assert await door.scopes(narrow) == {"notifications:read"}
    # a session of before goes on with what it may, and makes no key that would outlive that
    assert "templates:read" in await door.scopes(token)
    with pytest.raises(PermissionDenied) as refused:
        await make(token, "templates:read")
    assert refused.value.reason == "SCOPE_NOT_HELD"


async def test_who_is_in_no_group_any_more_loses_sessions_and_keys_when_they_come_back(door: Door, issuer: Issuer) -> None:
    tokens = await door.sign_in(issuer)
    made = await door.call("CreateApiKey", api_key_pb2.CreateApiKeyRequest(name="k", scopes=["notifications:read"]), tokens.access_token)
    issuer.claims["groups"] = ["strangers"]
    with pytest.raises(PermissionDenied):
        await door.sign_in(issuer)
    for credential in (tokens.access_token, made.secret):
        await until_answered(partial(_is_refused, door, credential))
    with pytest.raises(Unauthenticated):
        await door.call("Refresh", auth_service_pb2.RefreshRequest(refresh_token=tokens.refresh_token))


async def test_an_administrator_by_an_issuers_word_is_protected_as_one_by_role(door: Door, issuer: Issuer) -> None:
    issuer.claims["groups"] = ["root"]
    root = await door.sign_in(issuer)
    request = api_key_pb2.CreateApiKeyRequest(name="support", scopes=["users:write", "users:read"])
    support = (("authorization", f"Bearer {(await door.call('CreateApiKey', request, root.access_token)).secret}"),)
    users: Any = UserServiceStub(door.channel)
    thief = user_pb2.User(email="thief@example.com")
    change = user_service_pb2.UpdateUserRequest(id=root.user_id, user=thief, update_mask=FieldMask(paths=["email"]))
    own = [("authorization", f"Bearer {root.access_token}")]
    named = user_service_pb2.UpdateUserRequest(
        id=root.user_id, user=user_pb2.User(external_id="root"), update_mask=FieldMask(paths=["external_id"])
    )
    await users.UpdateUser(named, metadata=own)
    batch = user_service_pb2.BatchUpsertUsersRequest(users=[user_pb2.User(external_id="root", email="thief@example.com")])

    async def refused(call: Any) -> str:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call
        return to_service_error(error.value).reason

    assert await refused(users.UpdateUser(change, metadata=support)) == "SCOPE_MISSING"
    (result,) = (await users.BatchUpsertUsers(batch, metadata=support)).results
    assert "users:admin" in result.error.message
    erasure: Any = ErasureServiceStub(door.channel)
    asked = erasure_service_pb2.CheckErasableRequest(project=FIRST_PROJECT, user_id=root.user_id)
    assert await refused(erasure.CheckErasable(asked, metadata=GATEWAY)) == "SCOPE_MISSING"
    issuer.claims["groups"] = ["readers"]
    await door.sign_in(issuer)
    await erasure.CheckErasable(asked, metadata=GATEWAY)
