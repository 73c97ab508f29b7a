"""Calls with an idempotency key are carried out once, and answered again to who repeats them."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import text

from clarion.user.v1 import api_key_pb2, auth_service_pb2, user_pb2, user_service_pb2
from gateway.idempotency.errors import AnswerLost, IdempotencyInProgress, IdempotencyKeyReused, KeyNotTaken
from gateway.idempotency.handlers import honours_key, repeatable
from gateway.idempotency.repository import AnswerRepository
from gateway.idempotency.use_cases import SEALED_FOR, RepeatableCalls
from gateway.sagas.redaction import PersonalRows
from mesh import context
from mesh.context import CallContext, Caller, CallerKind
from mesh.errors import InvalidArgument, NotFound
from mesh.ids import new_uuid
from mesh.rpc.methods import methods_of
from mesh.sealing import Sealer
from mesh.stores.database import Database
from mesh.testing import SECRET, caller
from tests.rows import rows_that_hold

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
