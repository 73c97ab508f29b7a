"""Health over the wire."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import grpc.aio
from grpc_health.v1 import health_pb2

from mesh.process.health import Check, HealthMonitor
from mesh.rpc.dispatcher import Dispatcher
from mesh.rpc.server import serve_grpc
from mesh.testing import grpc_settings, watch_health

Status = health_pb2.HealthCheckResponse


class Dependency:
    """Up or down as told."""

    def __init__(self) -> None:
        self.up = True

    async def probe(self) -> None:
        """Raises while it is down."""
        if not self.up:
            raise ConnectionError("down")


@asynccontextmanager
async def _serving(monitor: HealthMonitor) -> AsyncIterator[grpc.aio.Channel]:
    async with (
        serve_grpc(Dispatcher(()), grpc_settings(), monitor, grace_s=1) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield channel


async def test_watch_follows_a_dependency_that_stops_and_returns() -> None:
    """SERVING, NOT_SERVING, SERVING; then NOT_SERVING for good when the process drains."""
    required, optional = Dependency(), Dependency()
    monitor = HealthMonitor([Check("db", required.probe), Check("cache", optional.probe, required=False)], interval_s=0.02)
    await monitor.start()
    async with _serving(monitor) as channel:
        watches = aclosing(watch_health(channel)), aclosing(watch_health(channel, "dependency.cache"))
        async with asyncio.timeout(20), watches[0] as overall, watches[1] as cache:
            assert await anext(overall) == Status.SERVING
            assert await anext(cache) == Status.SERVING
            optional.up = False
            assert await anext(cache) == Status.NOT_SERVING
            assert monitor.ready
            required.up = False
            assert await anext(overall) == Status.NOT_SERVING
            required.up = True
            assert await anext(overall) == Status.SERVING
            await monitor.drain()
            assert await anext(overall) == Status.NOT_SERVING
            assert not monitor.ready


async def test_an_unknown_service_is_told_so() -> None:
    """SERVICE_UNKNOWN, as grpc.health.v1 says for Watch."""
    monitor = HealthMonitor([])
    await monitor.start()
    async with _serving(monitor) as channel, asyncio.timeout(20), aclosing(watch_health(channel, "nobody")) as statuses:
        assert await anext(statuses) == Status.SERVICE_UNKNOWN
    await monitor.close()
