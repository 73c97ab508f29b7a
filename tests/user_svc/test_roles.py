"""Facts about roles: user_svc over gRPC, its tables in PostgreSQL, and a real issuer."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc.aio
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy import text

from clarion.user.v1 import (
    api_key_pb2,
    audit_service_pb2,
    auth_service_pb2,
    erasure_service_pb2,
    project_pb2,
    project_service_pb2,
    role_pb2,
    session_pb2,
    user_pb2,
    user_service_pb2,
)
from clarion.user.v1 import role_service_pb2 as rpc
from clarion.user.v1.audit_service_pb2_grpc import AuditServiceStub
from clarion.user.v1.auth_service_pb2_grpc import AuthServiceStub
from clarion.user.v1.erasure_service_pb2_grpc import ErasureServiceStub
from clarion.user.v1.project_service_pb2_grpc import ProjectServiceStub
from clarion.user.v1.role_service_pb2_grpc import RoleServiceStub
from clarion.user.v1.user_service_pb2_grpc import UserServiceStub
from mesh.context import FIRST_PROJECT
from mesh.errors import InvalidArgument, NotFound, ServiceError
from mesh.ids import new_id
from mesh.process.settings import Env
from mesh.rpc.channel import to_service_error
from mesh.stores.database import Database, open_database
from mesh.stores.settings import DatabaseSettings
from tests.fixtures_postgres import NewDatabase
from tests.user_svc.factories import environ
from tests.user_svc.issuer import Issuer
from tests.user_svc.sign_in_door import GROUPS, Door, OpenDoor, described
from tests.user_svc.test_app import API_KEY
from tests.user_svc.test_erasure import GATEWAY
from tests.waiting import until_answered
from user_svc.app import open_app
from user_svc.roles.models import MOST_ROLES
from user_svc.settings import Settings

EMAIL, PASSWORD = "ada@example.com", "correct horse battery"


def bearer(credential: str) -> Any:
    return (("authorization", f"Bearer {credential}"),)


OPERATOR = bearer(API_KEY)


@dataclass
class Service:
    """user_svc with a person who signs in, and its database."""

    channel: grpc.aio.Channel
    database: Database
    user_id: str = ""

    async def call(self, stub: Any, method: str, request: Any, metadata: Any = OPERATOR) -> Any:
        try:
            return await getattr(stub(self.channel), method)(request, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise to_service_error(error) from None

    async def make(self, identifier: str, *scopes: str, by: Any = OPERATOR) -> Any:
        request = rpc.CreateRoleRequest(role=role_pb2.OperatorRole(id=identifier, scopes=scopes))
        return (await self.call(RoleServiceStub, "CreateRole", request, by)).role

    async def change(self, identifier: str, *scopes: str, by: Any = OPERATOR, etag: str = "") -> Any:
        role = role_pb2.OperatorRole(scopes=scopes, etag=etag)
        request = rpc.UpdateRoleRequest(id=identifier, role=role, update_mask=FieldMask(paths=["scopes"]))
        return (await self.call(RoleServiceStub, "UpdateRole", request, by)).role

    async def delete(self, identifier: str, by: Any = OPERATOR) -> None:
        await self.call(RoleServiceStub, "DeleteRole", rpc.DeleteRoleRequest(id=identifier), by)

    async def assign(self, identifier: str, user_id: str = "", by: Any = OPERATOR) -> Any:
        request = rpc.AssignRoleRequest(user_id=user_id or self.user_id, role=identifier)
        return await self.call(RoleServiceStub, "AssignRole", request, by)

    async def key(self, *scopes: str, by: Any = OPERATOR, test: bool = False) -> Any:
        request = api_key_pb2.CreateApiKeyRequest(name="k", scopes=scopes, test=test)
        return bearer((await self.call(AuthServiceStub, "CreateApiKey", request, by)).secret)

    async def log_in(self, email: str = EMAIL) -> Any:
        return await self.call(AuthServiceStub, "Login", auth_service_pb2.LoginRequest(email=email, password=PASSWORD), ())

    async def refresh(self, tokens: Any) -> Any:
        return await self.call(AuthServiceStub, "Refresh", auth_service_pb2.RefreshRequest(refresh_token=tokens.refresh_token), ())

    async def scopes(self, credential: Any) -> set[str]:
        metadata = credential if isinstance(credential, tuple) else bearer(credential.access_token)
        return set((await self.call(AuthServiceStub, "GetMe", session_pb2.GetMeRequest(), metadata)).me.scopes)

    async def ended(self, key: Any) -> bool:
        """A revocation is read each second."""
        try:
            await self.scopes(key)
        except ServiceError as error:
            return error.reason == "CREDENTIAL_REVOKED"
        return False

    async def events(self, *kinds: str) -> list[tuple[str, str, dict[str, str]]]:
        wanted = [audit_service_pb2.AuditEventKind.Value(f"AUDIT_EVENT_KIND_{kind}") for kind in kinds]
        page = await self.call(AuditServiceStub, "ListAuditEvents", audit_service_pb2.ListAuditEventsRequest(kinds=wanted))
        return [(audit_service_pb2.AuditEventKind.Name(one.kind)[17:], one.subject, dict(one.details)) for one in page.audit_events][::-1]


async def refused(call: Any) -> str:
    with pytest.raises(ServiceError) as error:
        await call
    return error.value.reason


@pytest.fixture
def settings() -> dict[str, str]:
    """What a test has otherwise."""
    return {}


@pytest.fixture
async def service(postgres_url: NewDatabase, settings: dict[str, str]) -> AsyncIterator[Service]:
    url = await postgres_url("user_svc")
    async with (
        open_app(Settings.from_env(Env(environ(url, CLARION_BOOTSTRAP_API_KEY=API_KEY, **settings)))) as app,
        grpc.aio.insecure_channel(f"127.0.0.1:{app.ports['grpc']}") as channel,
        open_database(DatabaseSettings(url)) as database,
    ):
        await app.health.probe()
        made = Service(channel, database)
        request = user_service_pb2.CreateUserRequest(email=EMAIL, password=PASSWORD, name="Ada", external_id="ada")
        made.user_id = (await made.call(UserServiceStub, "CreateUser", request)).user.id
        yield made


async def test_a_role_counts_from_the_next_access_token_on(service: Service) -> None:
    """Assigned, changed and taken away, also for a session that is open."""
    await service.make("support", "notifications:read", "deadletters:review")
    tokens = await service.log_in()
    assert await service.scopes(tokens) == set()
    assert (await service.assign("support", "ada")).user_id == service.user_id  # by the external id, too
    tokens = await service.refresh(tokens)
    assert await service.scopes(tokens) == {"notifications:read", "deadletters:review"}
    assert await service.scopes(await service.log_in()) == {"notifications:read", "deadletters:review"}
    await service.change("support", "templates:read")
    tokens = await service.refresh(tokens)
    assert await service.scopes(tokens) == {"templates:read"}
    role = (await service.call(RoleServiceStub, "GetRole", rpc.GetRoleRequest(id="support"))).role
    assert (list(role.scopes), list(role.user_ids)) == (["templates:read"], [service.user_id])
    user = (await service.call(UserServiceStub, "GetUser", user_service_pb2.GetUserRequest(id="ada"))).user
    assert (user.assigned_role, user.role) == ("support", user_pb2.ROLE_MEMBER)
    await service.assign("")
    assert await service.scopes(await service.refresh(tokens)) == set()


async def test_no_one_gives_or_takes_what_they_may_not_do_themselves(service: Service) -> None:
    lesser = await service.key("roles:write", "roles:read", "templates:read", "users:admin")
    await service.make("auditor", "audit:read")
    await service.make("reader", "templates:read", by=lesser)
    await service.assign("auditor")
    for attempt in (
        service.make("root", "templates:read", "audit:read", by=lesser),
        service.change("reader", "audit:read", by=lesser),
        service.change("auditor", "templates:read", by=lesser),  # taking is as bad as giving
        service.delete("auditor", by=lesser),
        service.assign("reader", by=lesser),  # in place of one that is more
        service.assign("", by=lesser),
        service.assign("auditor", by=lesser),
    ):
        assert await refused(attempt) == "SCOPE_NOT_HELD"
    assert await refused(service.make("mine", "templates:read", by=await service.key("templates:read", "roles:read"))) == "SCOPE_MISSING"
    await service.assign("")
    await service.assign("reader", by=lesser)


async def test_no_one_gives_themselves_a_role_or_widens_their_own(service: Service) -> None:
    """What they may do for a time, by an issuer's word or a key, must not become theirs for good."""
    await service.make("lead", "roles:write", "templates:read", "apikeys:write")
    await service.make("reader", "templates:read")
    await service.assign("lead")
    own = bearer((await service.log_in()).access_token)
    key = await service.key("roles:write", "templates:read", "apikeys:write", by=own)
    child = await service.key("roles:write", "templates:read", by=key)
    for credential in (own, key, child):
        assert await refused(service.assign("reader", by=credential)) in {"OWN_ROLE", "SCOPE_NOT_HELD"}
    assert await refused(service.assign("lead", by=own)) == "OWN_ROLE"
    assert await refused(service.assign("lead", by=key)) == "OWN_ROLE"
    await service.change("lead", "roles:write", "templates:read", "apikeys:write", "templates:write")
    wider = bearer((await service.log_in()).access_token)
    await service.change("lead", "roles:write", "templates:read", "apikeys:write")
    # the token still has what the person has lost
    assert "templates:write" in await service.scopes(wider)
    assert await refused(service.make("writer", "templates:write", by=wider)) == "SCOPE_NOT_HELD"
    assert await refused(service.change("lead", "roles:write", "templates:write", by=wider)) == "SCOPE_NOT_HELD"


async def test_a_role_that_someone_has_is_not_deleted(service: Service) -> None:
    await service.make("support", "notifications:read")
    await service.assign("support")
    with pytest.raises(ServiceError) as error:
        await service.delete("support")
    assert (error.value.reason, "1 person has it" in error.value.message) == ("ROLE_IN_USE", True)
    await service.assign("")
    await service.delete("support")
    await service.delete("support")
    with pytest.raises(NotFound):
        await service.call(RoleServiceStub, "GetRole", rpc.GetRoleRequest(id="support"))


async def test_keys_end_that_their_maker_could_not_make_any_more(service: Service) -> None:
    await service.make("lead", "apikeys:write", "templates:read", "notifications:read")
    await service.assign("lead")
    own = bearer((await service.log_in()).access_token)
    wide, narrow = await service.key("apikeys:write", "templates:read", by=own), await service.key("notifications:read", by=own)
    child = await service.key("templates:read", by=wide)
    await service.change("lead", "apikeys:write", "notifications:read")
    for key in (wide, child):
        await until_answered(partial(service.ended, key))
    assert await service.scopes(narrow) == {"notifications:read"}
    await service.assign("")
    await until_answered(partial(service.ended, narrow))
    assert {details.get("why") for _, _, details in await service.events("API_KEY_REVOKED")} == {"scopes_lost"}


async def test_no_key_is_made_by_what_a_role_has_just_lost(service: Service) -> None:
    """Whichever of the two comes first: refused, or ended."""
    scopes = ("apikeys:write", "templates:read")
    await service.make("lead", *scopes)
    await service.assign("lead")
    own = bearer((await service.log_in()).access_token)
    for _ in range(5):
        await service.change("lead", *scopes)
        made = [service.key("templates:read", by=own) for _ in range(4)]
        *keys, _ = await asyncio.gather(*made, service.change("lead", "apikeys:write"), return_exceptions=True)
        assert {key.reason for key in keys if isinstance(key, ServiceError)} <= {"SCOPE_NOT_HELD"}
        async with service.database.connect() as connection:
            working = text("SELECT count(*) FROM api_keys WHERE created_by = :id AND revoke_time IS NULL")
            assert (await connection.execute(working, {"id": service.user_id})).scalar_one() == 0


async def test_who_has_a_role_is_changed_and_erased_by_administrators_only(service: Service) -> None:
    support = await service.key("users:write", "users:read")
    change = user_service_pb2.UpdateUserRequest(id=service.user_id, user=user_pb2.User(name="Eve"), update_mask=FieldMask(paths=["name"]))
    batch = user_service_pb2.BatchUpsertUsersRequest(users=[user_pb2.User(external_id="ada", name="Eve")])
    erase = erasure_service_pb2.CheckErasableRequest(project=FIRST_PROJECT, user_id=service.user_id)
    await service.make("lead", "templates:read")
    await service.assign("lead")
    assert await refused(service.call(UserServiceStub, "UpdateUser", change, support)) == "SCOPE_MISSING"
    (result,) = (await service.call(UserServiceStub, "BatchUpsertUsers", batch, support)).results
    assert "users:admin" in result.error.message
    assert await refused(service.call(ErasureServiceStub, "CheckErasable", erase, GATEWAY)) == "SCOPE_MISSING"
    await service.assign("")
    await service.call(ErasureServiceStub, "CheckErasable", erase, GATEWAY)
    await service.call(UserServiceStub, "UpdateUser", change, support)


async def test_what_does_not_fit_is_refused_by_name(service: Service) -> None:
    for identifier, scopes, field in (
        ("administrator", ["users:read"], "role.id"), ("", ["users:read"], "role.id"), ("Support", ["users:read"], "role.id"),
        ("support", [], "role.scopes"), ("support", ["users:read", "users:everything"], "role.scopes[1]"),
    ):  # fmt: skip
        with pytest.raises(InvalidArgument) as error:
            await service.make(identifier, *scopes)
        assert error.value.violations[0].field == field
    made = await service.make("support", "users:read", "users:read")
    assert list(made.scopes) == ["users:read"]
    assert await refused(service.make("support", "users:read")) == "ROLE_EXISTS"
    await service.change("support", "users:export", etag=made.etag)
    assert await refused(service.change("support", "users:read", etag=made.etag)) == "ETAG_MISMATCH"
    again = await service.change("support", "users:export", etag=made.etag)
    assert list(again.scopes) == ["users:export"], "the answer to the first try may have been lost"
    assert await refused(service.assign("no-such-role")) == "ROLE_NOT_FOUND"
    assert await refused(service.assign("support", new_id())) == "USER_NOT_FOUND"
    assert await refused(service.change("no-such-role", "users:read")) == "ROLE_NOT_FOUND"
    assert await refused(service.make("for-tests", "roles:read", by=await service.key("roles:read", "roles:write", test=True))) == (
        "LIVE_KEY_NEEDED"
    )


async def test_a_project_has_so_many_roles_and_no_more(service: Service) -> None:
    fill = text("""
        INSERT INTO roles (project, id, description, scopes, create_time, update_time)
        SELECT 'default', 'role-' || n, '', '{users:read}', now(), now() FROM generate_series(1, :count) n
    """)
    async with service.database.begin() as connection:
        await connection.execute(fill, {"count": MOST_ROLES - 1})
    results = await asyncio.gather(*(service.make(f"new-{n}", "users:read") for n in range(4)), return_exceptions=True)
    assert sorted(getattr(result, "reason", "") for result in results) == ["", *["TOO_MANY_ROLES"] * 3]
    seen, token = [], ""
    while True:
        page = await service.call(RoleServiceStub, "ListRoles", rpc.ListRolesRequest(page_size=30, page_token=token))
        seen += [role.id for role in page.roles]
        if not (token := page.next_page_token):
            break
    assert (len(seen), seen) == (MOST_ROLES, sorted(seen))


async def test_a_role_of_another_project_is_as_if_it_did_not_exist(service: Service) -> None:
    await service.make("support", "notifications:read")
    other = project_pb2.Project(id="other", display_name="Other")
    await service.call(ProjectServiceStub, "CreateProject", project_service_pb2.CreateProjectRequest(project=other))
    request = api_key_pb2.CreateApiKeyRequest(name="k", scopes=["roles:read", "roles:write", "users:write"], project="other")
    key = bearer((await service.call(AuthServiceStub, "CreateApiKey", request)).secret)
    user = (await service.call(UserServiceStub, "CreateUser", user_service_pb2.CreateUserRequest(name="Bob"), key)).user
    assert await refused(service.assign("support", user.id, by=key)) == "ROLE_NOT_FOUND"
    await service.make("support", "roles:read", by=key)
    assert await refused(service.assign("support", service.user_id, by=key)) == "USER_NOT_FOUND"
    assert await refused(service.assign("support", user.id)) == "USER_NOT_FOUND"


async def test_each_change_is_in_the_audit_log(service: Service) -> None:
    await service.make("support", "users:read")
    await service.assign("support")
    await service.assign("support")  # changes nothing
    await service.change("support", "users:export")
    await service.assign("")
    await service.delete("support")
    person, role = f"user:{service.user_id}", "role:support"
    assert await service.events("ROLE_CREATED", "ROLE_UPDATED", "ROLE_DELETED", "ROLE_CHANGED") == [
        ("ROLE_CREATED", role, {"scopes": "users:read"}),
        ("ROLE_CHANGED", person, {"role": "support"}),
        ("ROLE_UPDATED", role, {"scopes": "users:export"}),
        ("ROLE_CHANGED", person, {"role": ""}),
        ("ROLE_DELETED", role, {"scopes": "users:export"}),
    ]


@pytest.mark.parametrize("settings", [{"CLARION_ADMIN_SECOND_FACTOR": "true"}])
async def test_a_role_is_worth_nothing_without_the_second_factor_that_is_asked_for(service: Service) -> None:
    await service.make("support", "users:read")
    assert not (await service.log_in()).second_factor_missing
    await service.assign("support")
    tokens = await service.log_in()
    assert (tokens.second_factor_missing, await service.scopes(tokens)) == (True, set())


async def test_a_group_of_an_issuer_can_have_a_role(open_door: OpenDoor, issuer: Issuer) -> None:
    """It counts as it is when an access token is made, and is not deleted while the file names it."""
    async with open_door(described(issuer, groups=f'{GROUPS}\nsupport = "role:support"')) as door:
        service, root = Service(door.channel, None), await _signed_in(door, issuer, "root")  # type: ignore[arg-type]  # no SQL here
        by = bearer(root.access_token)
        issuer.claims["sub"] = "someone-else"
        person = await _signed_in(door, issuer, "support")
        assert await service.scopes(person) == set()  # there is no such role yet
        await service.make("support", "users:read", "apikeys:write", by=by)
        person = await service.refresh(person)
        assert await service.scopes(person) == {"users:read", "apikeys:write"}
        key = await service.key("users:read", by=bearer(person.access_token))
        await service.change("support", "templates:read", "users:admin", by=by)
        await until_answered(partial(service.ended, key))
        assert await service.scopes(await service.refresh(person)) == {"templates:read", "users:admin"}
        with pytest.raises(ServiceError) as error:
            await service.delete("support", by=by)
        assert (error.value.reason, "CLARION_OIDC_FILE" in error.value.message) == ("ROLE_IN_USE", True)
        writer = await service.key("users:write", by=by)
        named = user_service_pb2.UpdateUserRequest(
            id=person.user_id, user=user_pb2.User(email="thief@example.com"), update_mask=FieldMask(paths=["email"])
        )
        assert await refused(service.call(UserServiceStub, "UpdateUser", named, writer)) == "SCOPE_MISSING"


async def test_who_is_in_the_group_of_a_role_that_is_not_there_yet_does_not_make_it(open_door: OpenDoor, issuer: Issuer) -> None:
    """It would be a role that they give themselves: from then on what another group lets them do now would be theirs by this one, too."""
    async with open_door(described(issuer, groups=f'{GROUPS}\nsupport = "role:support"')) as door:
        service, root = Service(door.channel, None), await _signed_in(door, issuer, "root", "support")  # type: ignore[arg-type]  # no SQL here
        by = bearer(root.access_token)
        key = await service.key("roles:write", "users:read", by=by)
        for credential in (by, key):
            assert await refused(service.make("support", "users:read", by=credential)) == "OWN_ROLE"
        issuer.claims["sub"] = "another administrator"
        await service.make("support", "users:read", by=bearer((await _signed_in(door, issuer, "root")).access_token))


async def test_who_administers_by_an_issuers_word_is_given_roles_by_administrators_only(open_door: OpenDoor, issuer: Issuer) -> None:
    async with open_door(described(issuer, groups=GROUPS)) as door:
        service, root = Service(door.channel, None), await _signed_in(door, issuer, "root")  # type: ignore[arg-type]  # no SQL here
        await service.make("reader", "users:read", by=bearer(root.access_token))
        key = await service.key("roles:write", "users:read", by=bearer(root.access_token))
        issuer.claims["sub"] = "another administrator"
        other = await _signed_in(door, issuer, "root")
        for identifier in ("reader", ""):
            assert await refused(service.assign(identifier, other.user_id, by=key)) == "SCOPE_MISSING"
        await service.assign("reader", other.user_id, by=bearer(root.access_token))


async def _signed_in(door: Door, issuer: Issuer, *groups: str) -> Any:
    issuer.claims["groups"] = list(groups)
    return await door.sign_in(issuer)
