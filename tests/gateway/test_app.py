"""The gateway as it runs: REST and gRPC doors, over real stores, with the other services down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace

import grpc.aio
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from redis.asyncio import Redis

from delivery.lanes import OUTCOME_QUEUE
from devstack.broker import MemoryBroker
from gateway.app import open_app
from gateway.settings import Settings
from mesh.process.health import LIVENESS, NOT_SERVING, SERVING
from mesh.process.runtime import App, PortTaken
from mesh.process.settings import Env
from mesh.resilience.breaker_store import BreakerStore
from mesh.testing import SECRET, FakeCredentials, free_port, operator_metadata, watch_health
from tests.dying_broker import DyingBroker
from tests.fixtures_postgres import NewDatabase


@dataclass
class Open:
    app: App
    settings: Settings
    http: httpx.AsyncClient


@pytest.fixture
async def settings(postgres_url: NewDatabase, redis_url: str) -> Settings:
    env = Env(
        {
            "CLARION_HOST": "127.0.0.1",
            "CLARION_HTTP_PORT": "0",
            "CLARION_GRPC_PORT": "0",
            "CLARION_METRICS_PORT": "0",
            "CLARION_SERVICE_SECRET": SECRET,
            "CLARION_DATABASE_URL": await postgres_url("gateway"),
            "CLARION_REDIS_URL": redis_url,
            "CLARION_AMQP_URL": "amqp://in-process",
            "CLARION_USER_SVC_TARGET": f"dns:///127.0.0.1:{free_port()}",
            "CLARION_TEMPLATE_SVC_TARGET": f"dns:///127.0.0.1:{free_port()}",
            "CLARION_GRACE_S": "1",
        }
    )
    made = Settings.from_env(env)
    env.check()
    return replace(made, http=replace(made.http, port=0), grpc=replace(made.grpc, port=0))


@pytest.fixture
async def gateway(settings: Settings) -> AsyncIterator[Open]:
    async with (
        open_app(settings, broker=MemoryBroker(), credentials=FakeCredentials()) as app,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{app.ports['http']}") as client,
    ):
        yield Open(app, settings, client)


def bearer() -> dict[str, str]:
    return {key.title(): value for key, value in operator_metadata()}


async def test_it_is_ready_without_the_other_services(gateway: Open) -> None:
    """Only the database is needed; what else is missing is told."""
    assert (await gateway.http.get("/livez")).status_code == 200
    ready = await gateway.http.get("/readyz")
    assert ready.status_code == 200
    assert gateway.app.health.report() == {"database": True, "redis": True, "broker": True, "user_svc": False, "template_svc": False}


async def test_health_is_served_over_grpc(gateway: Open) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{gateway.app.ports['grpc']}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service="clarion.notification.v1.NotificationService"))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_settlement_that_has_died_in_silence_fails_liveness_and_nothing_else(settings: Settings) -> None:
    """A restart may help, so the platform is told; meanwhile the gateway goes on accepting."""
    broker = DyingBroker()
    async with (
        asyncio.timeout(60),
        open_app(settings, broker=broker) as app,
        grpc.aio.insecure_channel(f"127.0.0.1:{app.ports['grpc']}") as channel,
        aclosing(watch_health(channel, LIVENESS)) as liveness,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{app.ports['http']}") as client,
    ):
        assert await anext(liveness) == SERVING
        broker.dead = OUTCOME_QUEUE
        assert await anext(liveness) == NOT_SERVING
        assert (await client.get("/livez")).status_code == 503
        assert (await client.get("/readyz")).status_code == 200
        broker.dead = ""
        assert await anext(liveness) == SERVING


async def test_a_send_is_503_with_retry_after_while_the_template_can_not_be_checked(gateway: Open) -> None:
    body = {"user_id": "01890000-0000-7000-8000-000000000001", "channel": "email", "template": "welcome"}
    answer = await gateway.http.post("/v1/notifications", json=body, headers=bearer())
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["details"][0]["reason"] == "DEPENDENCY_UNAVAILABLE"


async def test_an_unknown_notification_is_404_and_a_list_is_empty(gateway: Open) -> None:
    assert (await gateway.http.get("/v1/notifications/x", headers=bearer())).status_code == 404
    listed = await gateway.http.get("/v1/notifications", headers=bearer())
    assert listed.status_code == 200
    assert listed.json()["notifications"] == []


async def test_without_credentials_nothing_is_told(gateway: Open) -> None:
    assert (await gateway.http.get("/v1/notifications")).status_code == 401


async def test_a_taken_port_is_one_clear_error(gateway: Open) -> None:
    taken = replace(gateway.settings, http=replace(gateway.settings.http, port=gateway.app.ports["http"]))
    with pytest.raises(PortTaken, match=str(gateway.app.ports["http"])):
        async with asyncio.timeout(20), open_app(taken, broker=MemoryBroker()):
            pass


async def test_a_breaker_is_listed_and_forced_over_rest(gateway: Open) -> None:
    async with Redis.from_url(gateway.settings.cache.url) as redis:
        await BreakerStore(redis).run([("look", "smtp.primary", -1, "worker", 10_000, 0)])
    body = {"force": "open", "duration": "60s", "note": "maintenance"}
    forced = await gateway.http.post("/v1/breakers/smtp.primary:force", json=body, headers=bearer())
    assert (forced.status_code, forced.json()["state"], forced.json()["note"]) == (200, "open", "maintenance")
    listed = (await gateway.http.get("/v1/breakers", headers=bearer())).json()["breakers"]
    assert [(breaker["name"], breaker["force"]) for breaker in listed] == [("smtp.primary", "open")]
    assert (await gateway.http.post("/v1/breakers/smpt:force", json=body, headers=bearer())).status_code == 404
    assert (await gateway.http.get("/v1/breakers")).status_code == 401
