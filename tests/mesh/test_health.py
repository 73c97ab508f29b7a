"""Health over the wire."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mesh.dispatcher import Dispatcher
from mesh.health import Check, HealthMonitor
from mesh.server import serve_grpc
from mesh.testing import grpc_settings

Status = health_pb2.HealthCheckResponse


class Dependency:
    """Up or down as told."""

    def __init__(self) -> None:
        self.up = True

    async def probe(self) -> None:
        """Raises while it is down."""
        if not self.up:
            raise ConnectionError("down")


async def _statuses(stub: health_pb2_grpc.HealthStub, service: str) -> AsyncIterator[int]:
    async for answer in stub.Watch(health_pb2.HealthCheckRequest(service=service)):
        yield answer.status


@asynccontextmanager
async def _serving(monitor: HealthMonitor) -> AsyncIterator[grpc.aio.Channel]:
    async with serve_grpc(Dispatcher(()), grpc_settings(), monitor, grace_s=1) as port:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel


async def test_watch_follows_a_dependency_that_stops_and_returns() -> None:
    """SERVING, NOT_SERVING, SERVING; then NOT_SERVING for good when the process drains."""
    required, optional = Dependency(), Dependency()
    monitor = HealthMonitor([Check("db", required.probe), Check("cache", optional.probe, required=False)], interval_s=0.02)
    await monitor.start()
    async with (
        serve_grpc(dispatcher, grpc_settings(), monitor, grace_s=1) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub = health_pb2_grpc.HealthStub(channel)
        async with asyncio.timeout(20), aclosing(_statuses(stub, "")) as overall, aclosing(_statuses(stub, "dependency.cache")) as cache:
            assert await anext(overall) == Status.SERVING
            assert await anext(cache) == Status.SERVING
            optional.up = False
            assert await anext(cache) == Status.NOT_SERVING
            assert (await stub.Check(health_pb2.HealthCheckRequest())).status == Status.SERVING
            required.up = False
            assert await anext(overall) == Status.NOT_SERVING
            required.up = True
            assert await anext(overall) == Status.SERVING
            await monitor.drain()
            assert await anext(overall) == Status.NOT_SERVING
            assert not monitor.ready


async def test_an_unknown_service_is_not_found() -> None:
    """As grpc.health.v1 says for Check."""
    monitor = HealthMonitor([])
    await monitor.start()
    async with (
        serve_grpc(dispatcher, grpc_settings(), monitor, grace_s=1) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="nobody"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    await monitor.close()
