"""Calls with an idempotency key are carried out once, and answered again to who repeats them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from sqlalchemy import text

from clarion.user.v1 import api_key_pb2, auth_service_pb2, device_pb2, user_pb2, user_service_pb2
from gateway.sagas.redaction import PersonalRows
from mesh import context
from mesh.context import CallContext, Caller, CallerKind
from mesh.errors import InvalidArgument, NotFound, ServiceError
from mesh.idempotency.errors import AnswerLost, IdempotencyInProgress, IdempotencyKeyReused, KeyNotTaken
from mesh.idempotency.handlers import honours_key, repeatable
from mesh.idempotency.models import Claim, Claimed, Standing
from mesh.idempotency.repository import AnswerRepository
from mesh.idempotency.use_cases import SEALED_FOR, RepeatableCalls, Unsealed
from mesh.ids import new_uuid
from mesh.process.health import Check, HealthMonitor
from mesh.rpc.dispatcher import Dispatcher
from mesh.rpc.identity import Authenticator, ServiceIdentity
from mesh.rpc.interceptors import server_chain
from mesh.rpc.methods import methods_of
from mesh.rpc.peer import open_peer
from mesh.rpc.server import serve_grpc
from mesh.rpc.settings import ChannelSettings
from mesh.sealing import Sealer
from mesh.stores.database import Database
from mesh.testing import SECRET, FakeCredentials, caller, grpc_settings
from tests.relay import Relay
from tests.rows import rows_that_hold
from tests.waiting import until_answered

ADA, BOB = caller("users:write"), Caller(CallerKind.API_KEY, "another-key", frozenset({"users:write"}))
USERS = user_service_pb2.DESCRIPTOR.services_by_name["UserService"]
AUTH = auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"]
METHODS = methods_of(USERS) | methods_of(AUTH)
CREATE = METHODS[f"/{USERS.full_name}/CreateUser"]
CREATE_KEY = METHODS[f"/{AUTH.full_name}/CreateApiKey"]
REQUEST = user_service_pb2.CreateUserRequest(name="Ada")


class Service:
    """What is called: it makes a user with each call, unless it is told to wait or to fail."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.going = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.error: Exception | None = None

    async def create_user(self, _request: object) -> user_service_pb2.CreateUserResponse:
        self.going.set()
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        self.made.append(str(new_uuid()))
        return user_service_pb2.CreateUserResponse(user=user_pb2.User(id=self.made[-1], email="ada@example.com"))

    async def create_key(self, _request: object) -> api_key_pb2.CreateApiKeyResponse:
        return api_key_pb2.CreateApiKeyResponse(secret="clk_live_secret-of-the-key")


class Stage:
    """The wrapped handlers, called by somebody with a key."""

    def __init__(self, calls: RepeatableCalls, service: Service) -> None:
        self.calls = calls
        self.service = service
        self.headers: list[tuple[str, str]] = []

    async def create(self, key: str | None, request: user_service_pb2.CreateUserRequest = REQUEST, who: Caller = ADA) -> str:
        handler = repeatable(self.calls)(CREATE, self.service.create_user)
        served = CallContext("m", "c-1", who, metadata={} if key is None else {"idempotency-key": key}, headers=self.headers)
        with context.use(served):
            response = await handler(request)
        assert isinstance(response, user_service_pb2.CreateUserResponse)
        return response.user.id


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    calls = RepeatableCalls(AnswerRepository(database), Sealer(SECRET, SEALED_FOR))
    yield Stage(calls, Service())
    await calls.close()


async def test_a_repeated_call_gets_the_first_answer(stage: Stage) -> None:
    first = await stage.create("key with spaces")
    assert stage.headers == []
    assert await stage.create('"key with spaces"') == first
    assert stage.headers == [("idempotency-replayed", "true")]
    assert stage.service.made == [first]


async def test_without_a_key_every_call_counts(stage: Stage) -> None:
    assert await stage.create(None) != await stage.create(None)


async def test_another_request_caller_or_key_is_another_call(stage: Stage) -> None:
    first = await stage.create("k")
    assert await stage.create("k", who=BOB) != first
    assert await stage.create("k2") != first
    with pytest.raises(IdempotencyKeyReused):
        await stage.create("k", user_service_pb2.CreateUserRequest(name="Grace"))
    assert len(stage.service.made) == 3


@pytest.mark.parametrize("key", ["", '""', "a\tb", "ä", "x" * 256])
async def test_what_can_not_be_a_key_is_refused(stage: Stage, key: str) -> None:
    with pytest.raises(InvalidArgument, match="idempotency-key"):
        await stage.create(key)
    assert stage.service.made == []


async def test_of_calls_that_arrive_together_one_is_carried_out(stage: Stage) -> None:
    stage.service.go_on.clear()
    calls = [asyncio.create_task(stage.create("k")) for _ in range(5)]
    await stage.service.going.wait()
    stage.service.go_on.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert len(stage.service.made) == 1
    assert {type(result) for result in results} <= {str, IdempotencyInProgress}


async def test_a_refused_call_leaves_its_key_free(stage: Stage) -> None:
    stage.service.error = NotFound("no")
    with pytest.raises(NotFound):
        await stage.create("k")
    stage.service.error = None
    assert await stage.create("k") == stage.service.made[0]


async def test_a_call_goes_on_when_its_caller_has_left(stage: Stage) -> None:
    """The retry finds the answer."""
    stage.service.go_on.clear()
    leaving = asyncio.create_task(stage.create("k"))
    await stage.service.going.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    stage.service.go_on.set()
    await stage.calls.close()
    assert await stage.create("k") == stage.service.made[0]
    assert len(stage.service.made) == 1


async def test_a_claim_of_a_process_that_died_ends(stage: Stage, database: Database) -> None:
    stage.service.go_on.clear()
    stuck = asyncio.create_task(stage.create("k"))
    await stage.service.going.wait()
    with pytest.raises(IdempotencyInProgress):
        await stage.create("k")
    async with database.begin() as connection:
        await connection.execute(text("UPDATE repeatable_calls SET lease_until = now() - interval '1 s'"))
    stage.service.go_on.set()
    second = await stage.create("k")
    await stuck
    assert await stage.create("k") == second, "the late answer of the first does not replace the second's"


async def age(database: Database, hours: int) -> None:
    async with database.begin() as connection:
        await connection.execute(text("UPDATE repeatable_calls SET create_time = now() - make_interval(hours => :hours)"), {"hours": hours})


async def test_answers_are_kept_for_a_day(stage: Stage, database: Database) -> None:
    first = await stage.create("k")
    await age(database, 23)
    assert await stage.create("k") == first
    answers = AnswerRepository(database)
    assert await answers.clean() == 0
    await age(database, 25)
    assert await stage.create("k", user_service_pb2.CreateUserRequest(name="Grace")) != first
    await age(database, 25)
    assert (await answers.clean(), await answers.clean()) == (1, 0)


async def test_an_answer_is_not_stored_in_clear(stage: Stage, database: Database) -> None:
    """It may hold an API key, which is kept nowhere else either. With another secret of the mesh it can't be opened."""
    handler = repeatable(stage.calls)(CREATE_KEY, stage.service.create_key)
    with context.use(CallContext("m", "c-1", ADA, metadata={"idempotency-key": "k"})):
        first = await handler(api_key_pb2.CreateApiKeyRequest(name="x"))
        assert await handler(api_key_pb2.CreateApiKeyRequest(name="x")) == first
    await stage.create("k")
    assert await rows_that_hold(database, ["secret-of-the-key", "ada@example.com"]) == []
    other = RepeatableCalls(AnswerRepository(database), Sealer("another-secret-of-at-least-32-characters", SEALED_FOR))
    with pytest.raises(AnswerLost):
        await Stage(other, stage.service).create("k")


async def test_an_erased_person_is_in_no_answer(stage: Stage, database: Database) -> None:
    first = await stage.create("k")
    await PersonalRows(database).redact(UUID(first))
    assert await stage.create("k") != first


async def test_a_key_is_refused_where_the_caller_is_not_known_yet(stage: Stage) -> None:
    handler = repeatable(stage.calls)(METHODS[f"/{AUTH.full_name}/Login"], stage.service.create_user)
    with context.use(CallContext("m", "c-1", metadata={"idempotency-key": "k"})), pytest.raises(KeyNotTaken):
        await handler(auth_service_pb2.LoginRequest())


def test_every_method_that_makes_something_honours_a_key() -> None:
    honouring = {method.name for method in METHODS.values() if honours_key(method.descriptor)}
    assert {"CreateUser", "CreateDevice", "CreateSuppression", "CreateApiKey", "UpdateUser", "DeleteUser"} <= honouring
    assert not {"Login", "Refresh", "Logout", "GetUser", "ListUsers", "GetJwks"} & honouring


class MemoryAnswers:
    """Implements Answers for a gateway of which nothing is left over between two tries."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes | None] = {}

    async def claim(self, claim: Claim) -> Standing:
        if claim.digest not in self.kept:
            self.kept[claim.digest] = None
            return Standing(Claimed.MINE)
        sealed = self.kept[claim.digest]
        return Standing(Claimed.IN_PROGRESS) if sealed is None else Standing(Claimed.ANSWERED, sealed)

    async def answer(self, claim: Claim, sealed: bytes, subject: UUID | None) -> None:
        self.kept[claim.digest] = sealed

    async def release(self, claim: Claim) -> None:
        self.kept.pop(claim.digest, None)


class Owner:
    """user_svc: people are made, and a device is removed once; both answer only when `service` goes on. Nothing else is called."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.removed = 0

    def __getattr__(self, name: str) -> object:
        return None

    async def CreateUser(self, request: object, _: None) -> user_service_pb2.CreateUserResponse:  # noqa: N802  the schema's name
        self._service.made.append(str(new_uuid()))
        answer = user_service_pb2.CreateUserResponse(user=user_pb2.User(id=self._service.made[-1]))
        await self._carried_out()
        return answer

    async def DeleteDevice(self, request: object, _: None) -> device_pb2.DeleteDeviceResponse:  # noqa: N802  the schema's name
        self.removed += 1
        if self.removed > 1:
            raise NotFound("there is no such device")
        await self._carried_out()
        return device_pb2.DeleteDeviceResponse()

    async def _carried_out(self) -> None:
        self._service.going.set()
        await self._service.go_on.wait()


class Route:
    """A gateway, a connection that can be cut, and user_svc behind it."""

    def __init__(self, gateway: Dispatcher, relay: Relay, service: Service) -> None:
        self.gateway, self.relay, self.service = gateway, relay, service

    async def call(self, method: str, request: object, **more: str) -> object:
        metadata = {"authorization": "Bearer clk_test_operator", **more}
        return (await self.gateway.unary(f"/{USERS.full_name}/{method}", request, metadata=metadata)).message  # type: ignore[arg-type]  # a message

    async def whose_answer_is_lost(self, method: str, request: object, **more: str) -> "asyncio.Task[object]":
        """The first try is carried out, and can't be answered: its connection is gone."""
        self.service.go_on.clear()
        calling = asyncio.create_task(self.call(method, request, **more))
        await self.service.going.wait()
        await self.relay.drop()
        self.service.go_on.set()
        return calling


@asynccontextmanager
async def route(database: Database) -> AsyncIterator[Route]:
    async def probe() -> None:
        pass

    def dispatcher(name: str) -> Dispatcher:
        return Dispatcher(server_chain(Authenticator(FakeCredentials(), ServiceIdentity(name, SECRET))))

    service, owner, gateway = Service(), dispatcher("user_svc"), dispatcher("gateway")
    owners_calls = RepeatableCalls(AnswerRepository(database), Sealer(SECRET, SEALED_FOR))
    owner.add(USERS, Owner(service))
    owner.decorate(repeatable(owners_calls))
    monitor = HealthMonitor([Check("nothing", probe)], services=owner.service_names)
    await monitor.start()
    settings = ChannelSettings(ca_file="", cert_file="", key_file="", breaker_failures=5, breaker_open_s=60)
    try:
        async with (
            serve_grpc(owner, grpc_settings(port=0), monitor, grace_s=0) as port,
            Relay("127.0.0.1", port) as relay,
            open_peer(
                "user_svc", f"ipv4:127.0.0.1:{relay.port}", identity=ServiceIdentity("gateway", SECRET), settings=settings, services=[USERS]
            ) as channel,
        ):
            gateway.add_remote(USERS, channel)
            calls = RepeatableCalls(MemoryAnswers(), Unsealed())
            gateway.decorate(repeatable(calls))
            yield Route(gateway, relay, service)
            await calls.close()
    finally:
        await owners_calls.close()
        await monitor.close()


async def test_a_call_whose_answer_was_lost_behind_the_gateway_is_carried_out_once(database: Database) -> None:
    """The gateway knows nothing of it, and its caller repeats it with the same key."""
    async with route(database) as way:
        key = {"idempotency-key": 'order "17"'}
        lost = await way.whose_answer_is_lost("CreateUser", REQUEST, **key)
        with pytest.raises(ServiceError) as error:
            await lost
        assert error.value.reason == "UPSTREAM_UNAVAILABLE"

        answers: list[object] = []

        async def is_answered() -> bool:
            try:
                answers.append(await way.call("CreateUser", REQUEST, **key))
            except ServiceError as refusal:
                if refusal.retry_after_s is None:
                    raise
            return bool(answers)

        await until_answered(is_answered)
        [answer] = answers
        assert isinstance(answer, user_service_pb2.CreateUserResponse)
        assert [answer.user.id] == way.service.made


async def test_what_a_lost_try_has_removed_is_no_error_for_the_next_one(database: Database) -> None:
    """The channel repeats what is idempotent by itself."""
    async with route(database) as way:
        request = device_pb2.DeleteDeviceRequest(user_id=str(new_uuid()), id=str(new_uuid()))
        assert await (await way.whose_answer_is_lost("DeleteDevice", request)) == device_pb2.DeleteDeviceResponse()
        with pytest.raises(NotFound):
            await way.call("DeleteDevice", request)
