"""Facts about user_svc as its callers see it: the whole application over loopback, with the real chain and a real PostgreSQL."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from clarion.channel.v1 import channel_pb2
from clarion.user.v1 import (
    api_key_pb2,
    auth_service_pb2,
    device_pb2,
    preference_pb2,
    recipient_service_pb2,
    suppression_pb2,
    user_pb2,
    user_service_pb2,
)
from clarion.user.v1.auth_service_pb2_grpc import AuthServiceStub
from clarion.user.v1.recipient_service_pb2_grpc import RecipientServiceStub
from clarion.user.v1.user_service_pb2_grpc import UserServiceStub
from mesh import ids
from mesh.errors import ServiceError
from mesh.process.settings import Env
from mesh.rpc.channel import to_service_error
from mesh.testing import SECRET, service_metadata
from tests.fixtures_postgres import NewDatabase
from user_svc.app import open_app
from user_svc.settings import Settings

API_KEY = "clk_live_0123456789012345678901234567890123456789"
PASSWORD = "correct horse battery"
Metadata = tuple[tuple[str, str], ...]
OPERATOR: Metadata = (("authorization", f"Bearer {API_KEY}"),)
Code = grpc.StatusCode


@dataclass(frozen=True)
class Client:
    """Stubs of the three services."""

    users: Any
    auth: Any
    recipients: Any

    async def make_user(self, **fields: Any) -> user_pb2.User:
        """A person, made by the operator."""
        response = await self.users.CreateUser(user_service_pb2.CreateUserRequest(**fields), metadata=OPERATOR)
        user: user_pb2.User = response.user
        return user

    async def log_in(self, email: str, password: str = PASSWORD) -> Metadata:
        """The metadata of a person's own calls."""
        tokens = await self.auth.Login(auth_service_pb2.LoginRequest(email=email, password=password))
        return (("authorization", f"Bearer {tokens.access_token}"),)


@pytest.fixture
async def client(postgres_url: NewDatabase) -> AsyncIterator[Client]:
    """A running user_svc with a bootstrap administrator and API key."""
    environ = {
        "CLARION_DATABASE_URL": await postgres_url("user_svc"),
        "CLARION_SERVICE_SECRET": SECRET,
        "CLARION_DIRECT_CALLERS": "true",
        "CLARION_ADMIN_EMAIL": "root@example.com",
        "CLARION_ADMIN_PASSWORD": PASSWORD,
        "CLARION_BOOTSTRAP_API_KEY": API_KEY,
        "CLARION_HOST": "127.0.0.1",
        "CLARION_GRPC_PORT": "0",
    }
    async with open_app(Settings.from_env(Env(environ))) as app, grpc.aio.insecure_channel(f"127.0.0.1:{app.ports['grpc']}") as channel:
        assert app.health.ready
        yield Client(UserServiceStub(channel), AuthServiceStub(channel), RecipientServiceStub(channel))


async def refused(call: Any) -> tuple[grpc.StatusCode, ServiceError]:
    """The status and the error's details of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), to_service_error(caught.value)


async def test_a_persons_life(client: Client) -> None:
    """Created, read, found, changed by mask, removed."""
    user = await client.make_user(email="ada@example.com", name="Ada", locale="pt-br", timezone="Europe/Paris")
    assert (user.locale, user.role) == ("pt-BR", user_pb2.ROLE_MEMBER)
    got = await client.users.GetUser(user_service_pb2.GetUserRequest(id=user.id), metadata=OPERATOR)
    assert got.user == user
    found = await client.users.ListUsers(user_service_pb2.ListUsersRequest(email="ADA@example.com"), metadata=OPERATOR)
    assert list(found.users) == [user]
    update = user_service_pb2.UpdateUserRequest(
        id=user.id, user=user_pb2.User(name="Countess", locale="qq"), update_mask=FieldMask(paths=["name"])
    )
    changed = (await client.users.UpdateUser(update, metadata=OPERATOR)).user
    assert (changed.name, changed.locale, changed.email) == ("Countess", "pt-BR", "ada@example.com")
    code, error = await refused(client.users.DeleteUser(user_service_pb2.DeleteUserRequest(id=user.id), metadata=OPERATOR))
    assert (code, error.reason) == (Code.FAILED_PRECONDITION, "ERASED_BY_GATEWAY")


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([], ("ada@example.com", "Countess", "pt-BR", "Europe/Paris")),
        (["*"], ("", "Countess", "en", "UTC")),
        (["email", "locale"], ("", "Ada", "en", "Europe/Paris")),
    ],
)
async def test_the_mask_decides_what_changes(client: Client, paths: list[str], expected: tuple[str, ...]) -> None:
    """None means what is set, a star means all four, a named empty field goes back to its default."""
    user = await client.make_user(email="ada@example.com", name="Ada", locale="pt-BR", timezone="Europe/Paris")
    update = user_service_pb2.UpdateUserRequest(id=user.id, user=user_pb2.User(name="Countess"), update_mask=FieldMask(paths=paths))
    changed = (await client.users.UpdateUser(update, metadata=OPERATOR)).user
    assert (changed.email, changed.name, changed.locale, changed.timezone) == expected


@pytest.mark.parametrize("path", ["role", "id", "password_hash", "email.x", ""])
async def test_a_mask_of_anything_else_is_refused(client: Client, path: str) -> None:
    """Nobody makes themselves an administrator."""
    user = await client.make_user(name="Ada")
    update = user_service_pb2.UpdateUserRequest(
        id=user.id, user=user_pb2.User(role=user_pb2.ROLE_ADMINISTRATOR), update_mask=FieldMask(paths=[path])
    )
    code, error = await refused(client.users.UpdateUser(update, metadata=OPERATOR))
    assert (code, error.violations[0].field) == (Code.INVALID_ARGUMENT, "update_mask")


async def test_bad_fields_are_named_and_not_repeated(client: Client) -> None:
    """An address with CR/LF, an invented locale, a token of 10 kB, a short password."""
    user = await client.make_user(name="Ada")
    create = user_service_pb2.CreateUserRequest
    calls = [
        (client.users.CreateUser(create(email="ada@example.com\r\nBcc: eve@example.com"), metadata=OPERATOR), "email"),
        (client.users.CreateUser(create(name="Ada", locale="xx-YY-zz!"), metadata=OPERATOR), "locale"),
        (client.users.CreateUser(create(name="Ada", timezone="Mars/Olympus"), metadata=OPERATOR), "timezone"),
        (client.users.CreateUser(create(email="ada@example.com", password="short"), metadata=OPERATOR), "password"),
        (
            client.users.CreateDevice(device_pb2.CreateDeviceRequest(user_id=user.id, token="t" * 10_000), metadata=OPERATOR),
            "token",
        ),
    ]
    for call, field in calls:
        code, error = await refused(call)
        assert (code, [violation.field for violation in error.violations]) == (Code.INVALID_ARGUMENT, [field])
        assert "eve@example.com" not in error.message


async def test_an_owner_reaches_their_own_objects_and_no_others(client: Client) -> None:
    """With every method that knows owners; the rest is closed to them."""
    ada = await client.make_user(email="ada@example.com", password=PASSWORD)
    eve = await client.make_user(email="eve@example.com", password=PASSWORD)
    as_eve = await client.log_in("eve@example.com")
    device = await client.users.CreateDevice(device_pb2.CreateDeviceRequest(user_id=ada.id, token="token"), metadata=OPERATOR)
    assert (await client.users.GetUser(user_service_pb2.GetUserRequest(id=eve.id), metadata=as_eve)).user.id == eve.id

    def attempts(user_id: str) -> list[Any]:
        rule = preference_pb2.PreferenceRule(choice=preference_pb2.CHOICE_DENY)
        change = user_service_pb2.UpdateUserRequest(id=user_id, user=user_pb2.User(name="x"))
        device_id = device.device.id
        return [
            client.users.GetUser(user_service_pb2.GetUserRequest(id=user_id), metadata=as_eve),
            client.users.UpdateUser(change, metadata=as_eve),
            client.users.GetPreferences(preference_pb2.GetPreferencesRequest(user_id=user_id), metadata=as_eve),
            client.users.UpdatePreferences(preference_pb2.UpdatePreferencesRequest(user_id=user_id, rules=[rule]), metadata=as_eve),
            client.users.CreateDevice(device_pb2.CreateDeviceRequest(user_id=user_id, token="x"), metadata=as_eve),
            client.users.ListDevices(device_pb2.ListDevicesRequest(user_id=user_id), metadata=as_eve),
            client.users.DeleteDevice(device_pb2.DeleteDeviceRequest(user_id=user_id, id=device_id), metadata=as_eve),
        ]

    for attempt in attempts(ada.id) + attempts(ids.new_id()):
        code, error = await refused(attempt)
        assert (code, error.reason) == (Code.PERMISSION_DENIED, "NOT_OWNER")
    for attempt in (
        client.users.ListUsers(user_service_pb2.ListUsersRequest(), metadata=as_eve),
        client.users.DeleteUser(user_service_pb2.DeleteUserRequest(id=eve.id), metadata=as_eve),
        client.users.ListSuppressions(suppression_pb2.ListSuppressionsRequest(), metadata=as_eve),
        client.auth.ListApiKeys(api_key_pb2.ListApiKeysRequest(), metadata=as_eve),
    ):
        code, error = await refused(attempt)
        assert (code, error.reason) == (Code.PERMISSION_DENIED, "SCOPE_MISSING")


async def test_strangers_and_internal_methods(client: Client) -> None:
    """Without a credential nothing but logging in works; batch methods are for services only."""
    code, error = await refused(client.users.ListUsers(user_service_pb2.ListUsersRequest()))
    assert (code, error.reason) == (Code.UNAUTHENTICATED, "CREDENTIALS_MISSING")
    check = recipient_service_pb2.BatchCheckUsersRequest(user_ids=["x"])
    code, error = await refused(client.recipients.BatchCheckUsers(check, metadata=OPERATOR))
    assert (code, error.reason) == (Code.PERMISSION_DENIED, "INTERNAL_ONLY")
    assert list((await client.recipients.BatchCheckUsers(check, metadata=service_metadata())).existing_user_ids) == []


async def test_logging_in_staying_in_and_leaving(client: Client) -> None:
    """The administrator of the environment, over the wire."""
    login = auth_service_pb2.LoginRequest(email="root@example.com", password=PASSWORD)
    first = await client.auth.Login(login)
    assert (first.token_type, first.expires_in) == ("Bearer", 900)
    second = await client.auth.Refresh(auth_service_pb2.RefreshRequest(refresh_token=first.refresh_token))
    assert second.user_id == first.user_id
    keys = (await client.auth.GetJwks(auth_service_pb2.GetJwksRequest())).keys
    assert [(key.kty, key.crv, key.use, key.alg) for key in keys] == [("OKP", "Ed25519", "sig", "EdDSA")]
    await client.auth.Logout(auth_service_pb2.LogoutRequest(refresh_token=second.refresh_token))
    code, error = await refused(client.auth.Refresh(auth_service_pb2.RefreshRequest(refresh_token=second.refresh_token)))
    assert (code, error.reason) == (Code.UNAUTHENTICATED, "REFRESH_TOKEN_INVALID")
    code, error = await refused(client.auth.Login(auth_service_pb2.LoginRequest(email="root@example.com", password="wrong password")))
    assert (code, error.reason) == (Code.UNAUTHENTICATED, "LOGIN_FAILED")


async def test_api_keys_over_the_wire(client: Client) -> None:
    """Made, used, looked up by a service, listed, revoked."""
    until = Timestamp(seconds=4_000_000_000)
    request = api_key_pb2.CreateApiKeyRequest(name="shop", scopes=["users:read"], expire_time=until, test=True)
    created = await client.auth.CreateApiKey(request, metadata=OPERATOR)
    as_shop = (("authorization", f"Bearer {created.secret}"),)
    assert len((await client.users.ListUsers(user_service_pb2.ListUsersRequest(), metadata=as_shop)).users) == 1
    code, error = await refused(client.users.CreateUser(user_service_pb2.CreateUserRequest(), metadata=as_shop))
    assert (code, error.metadata["scope"]) == (Code.PERMISSION_DENIED, "users:write")
    listed = await client.auth.ListApiKeys(api_key_pb2.ListApiKeysRequest(), metadata=OPERATOR)
    assert [key.name for key in listed.api_keys] == ["shop", "bootstrap"]
    assert listed.api_keys[0] == created.api_key
    await client.auth.DeleteApiKey(api_key_pb2.DeleteApiKeyRequest(id=created.api_key.id), metadata=OPERATOR)
    look_up = api_key_pb2.LookUpApiKeyRequest(key_sha256=b"x" * 32)
    code, error = await refused(client.auth.LookUpApiKey(look_up, metadata=service_metadata()))
    assert (code, error.reason) == (Code.NOT_FOUND, "API_KEY_NOT_FOUND")


@pytest.mark.parametrize("seconds", [0, -(10**11), 10**12])
async def test_an_impossible_expiry_is_refused(client: Client, seconds: int) -> None:
    """In the past, or beyond the calendar."""
    request = api_key_pb2.CreateApiKeyRequest(name="x", scopes=["users:read"], expire_time=Timestamp(seconds=seconds))
    code, error = await refused(client.auth.CreateApiKey(request, metadata=OPERATOR))
    assert (code, error.violations[0].field) == (Code.INVALID_ARGUMENT, "expire_time")


async def test_recipients_over_the_wire(client: Client) -> None:
    """Address or devices only where something is to be sent there."""
    user = await client.make_user(email="ada@example.com", name="Ada")
    await client.users.CreateDevice(device_pb2.CreateDeviceRequest(user_id=user.id, token="t0ken"), metadata=OPERATOR)
    rule = preference_pb2.PreferenceRule(channel=channel_pb2.CHANNEL_EMAIL, category="news", choice=preference_pb2.CHOICE_DENY)
    await client.users.UpdatePreferences(preference_pb2.UpdatePreferencesRequest(user_id=user.id, rules=[rule]), metadata=OPERATOR)
    queries = [
        recipient_service_pb2.RecipientQuery(user_id=user_id, channel=channel, category=category)
        for user_id, channel, category in (
            (user.id, channel_pb2.CHANNEL_EMAIL, "billing"),
            (user.id, channel_pb2.CHANNEL_EMAIL, "news"),
            (user.id, channel_pb2.CHANNEL_PUSH, "news"),
            (ids.new_id(), channel_pb2.CHANNEL_PUSH, ""),
        )
    ]
    request = recipient_service_pb2.BatchResolveRecipientsRequest(queries=queries)
    response = await client.recipients.BatchResolveRecipients(request, metadata=service_metadata())
    told = [(each.rule, each.email, [device.token for device in each.devices], each.name) for each in response.recipients]
    assert told == [
        ("default", "ada@example.com", [], "Ada"),
        ("preference:email:news", "", [], "Ada"),
        ("default", "", ["t0ken"], "Ada"),
        ("not_found", "", [], ""),
    ]


async def test_numbers_that_stand_for_nothing_are_refused(client: Client) -> None:
    """Proto3 lets unknown enum numbers through; we do not."""
    user = await client.make_user(name="Ada")
    bad_rules = [preference_pb2.PreferenceRule(choice=9), preference_pb2.PreferenceRule(channel=9, choice=preference_pb2.CHOICE_DENY)]  # type: ignore[arg-type]  # a number that is no value of the enum
    calls = [
        (client.users.UpdatePreferences(preference_pb2.UpdatePreferencesRequest(user_id=user.id, rules=[rule]), metadata=OPERATOR), field)
        for rule, field in zip(bad_rules, ("rules[0].choice", "rules[0].channel"), strict=True)
    ]
    device = device_pb2.CreateDeviceRequest(user_id=user.id, token="x", platform=9)  # type: ignore[arg-type]  # a number that is no value of the enum
    calls.append((client.users.CreateDevice(device, metadata=OPERATOR), "platform"))
    query = recipient_service_pb2.RecipientQuery(user_id=user.id, channel=9)  # type: ignore[arg-type]  # a number that is no value of the enum
    resolve = recipient_service_pb2.BatchResolveRecipientsRequest(queries=[query])
    calls.append((client.recipients.BatchResolveRecipients(resolve, metadata=service_metadata()), "queries[0].channel"))
    for call, field in calls:
        code, error = await refused(call)
        assert (code, error.violations[0].field) == (Code.INVALID_ARGUMENT, field)


async def test_suppressions_over_the_wire(client: Client) -> None:
    """Added, listed, removed."""
    create = suppression_pb2.CreateSuppressionRequest(address="Ada@example.com", reason="bounce")
    entry = (await client.users.CreateSuppression(create, metadata=OPERATOR)).suppression
    listed = await client.users.ListSuppressions(suppression_pb2.ListSuppressionsRequest(), metadata=OPERATOR)
    assert list(listed.suppressions) == [entry]
    delete = suppression_pb2.DeleteSuppressionRequest(address="ada@example.com")
    await client.users.DeleteSuppression(delete, metadata=OPERATOR)
    code, _ = await refused(client.users.DeleteSuppression(delete, metadata=OPERATOR))
    assert code == Code.NOT_FOUND


async def test_the_scope_and_the_end_of_a_suppression_over_the_wire(client: Client) -> None:
    """They come back as they were given; a removal names its category."""
    end = Timestamp(seconds=4_000_000_000)
    create = suppression_pb2.CreateSuppressionRequest(address="eve@example.com", category="news", expire_time=end)
    entry = (await client.users.CreateSuppression(create, metadata=OPERATOR)).suppression
    assert (entry.category, entry.expire_time) == ("news", end)
    listed = await client.users.ListSuppressions(suppression_pb2.ListSuppressionsRequest(), metadata=OPERATOR)
    assert list(listed.suppressions) == [entry]
    delete = suppression_pb2.DeleteSuppressionRequest(address="eve@example.com")
    code, _ = await refused(client.users.DeleteSuppression(delete, metadata=OPERATOR))
    assert code == Code.NOT_FOUND
    delete.category = "news"
    await client.users.DeleteSuppression(delete, metadata=OPERATOR)
    past = suppression_pb2.CreateSuppressionRequest(address="eve@example.com", expire_time=Timestamp(seconds=1))
    code, error = await refused(client.users.CreateSuppression(past, metadata=OPERATOR))
    assert (code, str(error)) == (Code.INVALID_ARGUMENT, "expire_time: must be in the future")


async def test_the_bounce_of_a_person_who_is_gone_puts_no_address_on_the_list(client: Client) -> None:
    """Their last mail was on its way while they were erased."""
    user = (await client.users.CreateUser(user_service_pb2.CreateUserRequest(email="here@example.com"), metadata=OPERATOR)).user
    worker = service_metadata("email_worker")
    for user_id, address in ((user.id, "here@example.com"), (ids.new_id(), "gone@example.com"), ("", "old.worker@example.com")):
        bounced = recipient_service_pb2.SuppressAddressRequest(user_id=user_id, address=address, evidence="550 5.1.1")
        await client.recipients.SuppressAddress(bounced, metadata=worker)
    listed = await client.users.ListSuppressions(suppression_pb2.ListSuppressionsRequest(), metadata=OPERATOR)
    assert [entry.address for entry in listed.suppressions] == ["here@example.com", "old.worker@example.com"]


async def test_a_report_puts_only_the_address_of_the_projects_own_person_on_the_list(client: Client) -> None:
    """The gateway passes on what mail servers report; a report that anyone could have written names only an address of its person."""
    user = (await client.users.CreateUser(user_service_pb2.CreateUserRequest(email="Ada@example.com"), metadata=OPERATOR)).user
    gateway = service_metadata("gateway")
    for project, address, own in (
        ("another", "ada@example.com", False),
        ("default", "eve@example.com", True),
        ("default", "ada@EXAMPLE.com", True),
        ("default", "former@example.com", False),
    ):
        request = recipient_service_pb2.SuppressAddressRequest(
            project=project, user_id=user.id, address=address, reason="complaint", only_their_own=own
        )
        await client.recipients.SuppressAddress(request, metadata=gateway)
    listed = await client.users.ListSuppressions(suppression_pb2.ListSuppressionsRequest(), metadata=OPERATOR)
    assert [(entry.address, entry.reason) for entry in listed.suppressions] == [
        ("ada@example.com", "complaint"), ("former@example.com", "complaint"),
    ]  # fmt: skip
