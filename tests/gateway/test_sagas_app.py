"""Deleting a user and reading sagas through the gateway as it runs: both doors, a real user_svc behind, and who may."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import grpc
import grpc.aio
import httpx
import pytest

from clarion.notification.v1 import saga_pb2, saga_service_pb2
from clarion.notification.v1.saga_service_pb2_grpc import SagaServiceStub
from clarion.template.v1.attachment_service_pb2 import ForgetAttachmentsRequest, ForgetAttachmentsResponse
from clarion.template.v1.attachment_service_pb2_grpc import AttachmentServiceServicer, add_AttachmentServiceServicer_to_server
from clarion.user.v1 import user_service_pb2
from clarion.user.v1.user_service_pb2_grpc import UserServiceStub
from devstack.broker import MemoryBroker
from gateway.app import open_app
from gateway.sagas.repository import SagaRepository
from gateway.settings import Settings
from mesh.ids import new_id, new_uuid
from mesh.process.settings import Env
from mesh.sagas.state import Saga, StepRecord
from mesh.stores.database import Database, open_database
from mesh.stores.settings import DatabaseSettings
from mesh.testing import SECRET
from tests.fixtures_postgres import NewDatabase
from tests.gateway.erasure_stage import API_KEY, EMAIL, OPERATOR, PASSWORD, STEPS, TRACES, Rows, UserSvc
from tests.rows import rows_that_hold

KEY = {"Authorization": f"Bearer {API_KEY}"}


@dataclass
class Open:
    """A gateway, both of its doors, and a person."""

    http: httpx.AsyncClient
    channel: grpc.aio.Channel
    database: Database
    user_svc: UserSvc
    user_id: UUID

    async def key(self, *scopes: str) -> dict[str, str]:
        """The headers of an API key with these scopes."""
        made = await self.http.post("/v1/api-keys", json={"name": "test", "scopes": scopes}, headers=KEY)
        return {"Authorization": f"Bearer {made.json()['secret']}"}

    async def sagas(self) -> list[Any]:
        listed: list[Any] = (await self.http.get("/v1/sagas", headers=KEY)).json()["sagas"]
        return listed


class Attachments(AttachmentServiceServicer):
    """template_svc, as far as an erasure calls it."""

    async def ForgetAttachments(self, request: ForgetAttachmentsRequest, context: object) -> ForgetAttachmentsResponse:  # noqa: N802  the name is the schema's
        return ForgetAttachmentsResponse()


@pytest.fixture
async def template_svc() -> AsyncIterator[int]:
    """Its port."""
    server = grpc.aio.server()
    add_AttachmentServiceServicer_to_server(Attachments(), server)  # type: ignore[abstract]  # an erasure calls one of its methods
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port
    await server.stop(None)


@pytest.fixture
async def gateway(postgres_url: NewDatabase, redis_url: str, template_svc: int) -> AsyncIterator[Open]:
    user_svc = UserSvc(await postgres_url("user_svc"))
    await user_svc.start()
    url = await postgres_url("gateway")
    env = Env(
        {
            "CLARION_HOST": "127.0.0.1",
            "CLARION_HTTP_PORT": "0",
            "CLARION_GRPC_PORT": "0",
            "CLARION_METRICS_PORT": "0",
            "CLARION_SERVICE_SECRET": SECRET,
            "CLARION_DATABASE_URL": url,
            "CLARION_REDIS_URL": redis_url,
            "CLARION_AMQP_URL": "amqp://in-process",
            "CLARION_USER_SVC_TARGET": f"dns:///127.0.0.1:{user_svc.port}",
            "CLARION_TEMPLATE_SVC_TARGET": f"dns:///127.0.0.1:{template_svc}",
            "CLARION_GRACE_S": "1",
            "CLARION_SWEEP_S": "0.05",
        }
    )
    settings = Settings.from_env(env)
    env.check()
    async with (
        open_database(DatabaseSettings(url)) as database,
        open_app(settings, broker=MemoryBroker()) as app,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{app.ports['http']}", timeout=20) as client,
        grpc.aio.insecure_channel(f"127.0.0.1:{app.ports['grpc']}") as channel,
    ):
        yield Open(client, channel, database, user_svc, await user_svc.make_ada())
    await user_svc.stop()


async def test_deleting_a_user_erases_them_and_tells_of_the_saga(gateway: Open) -> None:
    await Rows(gateway.database, gateway.user_id).add("sent", status=6)
    answer = await gateway.http.delete(f"/v1/users/{gateway.user_id}", headers=KEY)
    assert answer.status_code == 200
    assert answer.json()["completed"] is True
    assert await rows_that_hold(gateway.database, TRACES) == []
    saga = (await gateway.http.get(f"/v1/sagas/{answer.json()['saga_id']}", headers=KEY)).json()
    assert (saga["kind"], saga["state"], saga["key"]) == ("erasure", "completed", str(gateway.user_id))
    assert {step["state"] for step in saga["steps"]} == {"done"}
    assert saga["correlation_id"] == answer.headers["x-correlation-id"]
    assert (await gateway.http.get(f"/v1/users/{gateway.user_id}", headers=KEY)).status_code == 404


async def test_grpc_callers_get_the_same(gateway: Open) -> None:
    users: Any = UserServiceStub(gateway.channel)
    sagas: Any = SagaServiceStub(gateway.channel)
    answer = await users.DeleteUser(user_service_pb2.DeleteUserRequest(id=str(gateway.user_id)), metadata=OPERATOR)
    assert answer.completed
    found = await sagas.GetSaga(saga_service_pb2.GetSagaRequest(id=answer.saga_id), metadata=OPERATOR)
    assert found.saga.key == str(gateway.user_id)
    listed = await sagas.ListSagas(
        saga_service_pb2.ListSagasRequest(kind="erasure", state=saga_pb2.SAGA_STATE_COMPLETED), metadata=OPERATOR
    )
    assert [saga.id for saga in listed.sagas] == [answer.saga_id]


async def test_user_svc_itself_deletes_nobody(gateway: Open) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{gateway.user_svc.port}") as channel:
        users: Any = UserServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await users.DeleteUser(user_service_pb2.DeleteUserRequest(id=str(gateway.user_id)), metadata=OPERATOR)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert (await gateway.http.get(f"/v1/users/{gateway.user_id}", headers=KEY)).status_code == 200


async def test_who_does_not_exist_is_404_and_begins_nothing(gateway: Open) -> None:
    for unknown in (new_id(), "x"):
        answer = await gateway.http.delete(f"/v1/users/{unknown}", headers=KEY)
        assert (answer.status_code, answer.json()["details"][0]["reason"]) == (404, "USER_NOT_FOUND")
    assert await gateway.sagas() == []


async def test_a_user_who_was_deleted_can_not_be_deleted_again(gateway: Open) -> None:
    answers = [(await gateway.http.delete(f"/v1/users/{gateway.user_id}", headers=KEY)).status_code for _ in range(2)]
    assert answers == [200, 404]


async def test_only_the_scope_opens_it(gateway: Open) -> None:
    """Not another scope, and not being that person; nothing begins."""
    tokens = (await gateway.http.post("/v1/auth/login", json={"email": EMAIL, "password": PASSWORD})).json()
    own = {"Authorization": f"Bearer {tokens['access_token']}"}
    path = f"/v1/users/{gateway.user_id}"
    assert (await gateway.http.delete(path)).status_code == 401
    for headers in (own, await gateway.key("users:read", "sagas:read")):
        assert (await gateway.http.delete(path, headers=headers)).status_code == 403
    assert await gateway.sagas() == []
    assert (await gateway.http.delete(path, headers=await gateway.key("users:write"))).status_code == 200


async def test_sagas_have_scopes_of_their_own(gateway: Open) -> None:
    await gateway.http.delete(f"/v1/users/{gateway.user_id}", headers=KEY)
    (sweep, saga) = await gateway.sagas()
    assert (sweep["kind"], saga["kind"]) == ("erasure_sweep", "erasure")
    reader, stranger = await gateway.key("sagas:read"), await gateway.key("users:write", "deadletters:review")
    for path in ("/v1/sagas", f"/v1/sagas/{saga['id']}"):
        assert (await gateway.http.get(path, headers=stranger)).status_code == 403
        assert (await gateway.http.get(path, headers=reader)).status_code == 200
    resume = f"/v1/sagas/{saga['id']}:resume"
    assert (await gateway.http.post(resume, json={}, headers=reader)).status_code == 403
    resumed = await gateway.http.post(resume, json={}, headers=await gateway.key("sagas:write"))
    assert (resumed.status_code, resumed.json()["state"]) == (200, "completed")


async def test_a_bad_question_is_400(gateway: Open) -> None:
    for query in ("state=nonsense", "page_size=201", "page_token=x"):
        assert (await gateway.http.get(f"/v1/sagas?{query}", headers=KEY)).status_code == 400


async def test_while_nobody_can_tell_whether_there_is_such_a_user_it_is_503(gateway: Open) -> None:
    assert await gateway.sagas() == []  # from here on the gateway has confirmed the key
    await gateway.user_svc.stop()
    answer = await gateway.http.delete(f"/v1/users/{gateway.user_id}", headers=KEY)
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (503, "DEPENDENCY_UNAVAILABLE")
    assert (await gateway.http.get("/v1/sagas", headers=KEY)).json()["sagas"] == []


async def test_a_call_that_ran_out_of_time_says_so_and_the_gateway_finishes_by_itself(gateway: Open) -> None:
    """Here user_svc goes away after another replica has opened the saga."""
    assert await gateway.sagas() == []  # from here on the gateway has confirmed the key
    await gateway.user_svc.stop()
    now = datetime.now(UTC)
    steps = tuple(StepRecord(name) for name in STEPS)
    key = str(gateway.user_id)
    saga = Saga(id=new_uuid(), kind="erasure", key=key, steps=steps, create_time=now, update_time=now, due_at=now)
    await SagaRepository(gateway.database).open(saga)
    users: Any = UserServiceStub(gateway.channel)
    answer = await users.DeleteUser(user_service_pb2.DeleteUserRequest(id=key), metadata=OPERATOR, timeout=1.5)
    assert (answer.saga_id, answer.completed) == (str(saga.id), False)
    await gateway.user_svc.start()
    path = f"/v1/sagas/{saga.id}"
    async with asyncio.timeout(60):
        while (found := (await gateway.http.get(path, headers=KEY)).json())["state"] != "completed":
            assert found["state"] == "running"
            await asyncio.sleep(0.1)
    assert await rows_that_hold(gateway.database, TRACES) == []
