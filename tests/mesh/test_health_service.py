"""Many watchers of one service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2

from mesh.process.health import NOT_SERVING, SERVING, Check, HealthMonitor
from mesh.rpc.dispatcher import Dispatcher
from mesh.rpc.server import serve_grpc
from mesh.testing import grpc_settings, watch_health
from tests.waiting import until


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


async def test_a_watcher_that_leaves_silences_none_of_the_others() -> None:
    """They hear of every change after it, as they must when a process is killed shortly before a database is."""
    database = Dependency()
    monitor = HealthMonitor([Check("db", database.probe)], interval_s=0.02)
    await monitor.start()
    async with asyncio.timeout(20), _serving(monitor) as channel, aclosing(watch_health(channel)) as statuses:
        assert await anext(statuses) == SERVING
        leaving = channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )(health_pb2.HealthCheckRequest())
        assert await leaving.read() == health_pb2.HealthCheckResponse(status=SERVING)
        leaving.cancel()
        await until(lambda: len(monitor.servicer._watchers[""]) == 1)
        for up in (False, True, False, True):
            database.up = up
            assert await anext(statuses) == (SERVING if up else NOT_SERVING)
    await monitor.close()


async def test_check_answers_what_is_known_and_not_found_for_what_is_not() -> None:
    monitor = HealthMonitor([], services=["clarion.Known"])
    await monitor.start()
    async with _serving(monitor) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        assert (await check(health_pb2.HealthCheckRequest(service="clarion.Known"), timeout=10)).status == SERVING
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await check(health_pb2.HealthCheckRequest(service="clarion.Unknown"), timeout=10)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    await monitor.close()
