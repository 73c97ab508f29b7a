"""Real attacks of bounded size on the running gateway: it stays small, answers meanwhile, and stops within its budget."""

import asyncio
import struct
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import grpc
import grpc.aio
import httpx
import psutil
import pytest

from clarion.notification.v1 import notification_service_pb2
from clarion.notification.v1.notification_service_pb2_grpc import NotificationServiceStub
from devstack.processes import API_KEY
from devstack.samples import WELCOME
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

_MOST_GROWTH = 96 * 1024 * 1024  # bytes: CLARION_HELD_REQUESTS_MIB is 64, and the allocator keeps some of what was freed
_MiB = 1024 * 1024


def rss(system: System) -> int:
    return psutil.Process(system.processes.processes["gateway"].pid).memory_info().rss


async def endless_header(system: System) -> None:
    """One header of up to 64 MiB."""
    _, writer = await asyncio.open_connection("127.0.0.1", system.processes.http_port)
    with suppress(ConnectionError):
        writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\nX: ")
        for _ in range(64):
            writer.write(b"x" * _MiB)
            await writer.drain()
    writer.close()


async def unfinished_heads(system: System) -> None:
    """A thousand connections with a begun request."""
    writers = []
    for _ in range(1000):
        with suppress(ConnectionError):
            _, writer = await asyncio.open_connection("127.0.0.1", system.processes.http_port)
            writer.write(b"GET /livez HTTP/1.1\r\nX: ")
            writers.append(writer)
    for writer in writers:
        writer.close()


async def slow_bodies(system: System) -> None:
    """Two hundred requests with most of a body of 1 MiB."""
    head = f"POST /v1/notifications HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {_MiB}\r\n\r\n".encode()
    writers = []
    for _ in range(200):
        with suppress(ConnectionError):
            _, writer = await asyncio.open_connection("127.0.0.1", system.processes.http_port)
            writer.write(head + b" " * 900_000)
            async with asyncio.timeout(5):
                await writer.drain()
            writers.append(writer)
    for writer in writers:
        writer.close()


async def gzip_bombs(system: System) -> None:
    """Messages of 64 MiB that travel as some 64 kB."""
    target = f"127.0.0.1:{system.processes.grpc_ports['gateway']}"
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(target, options=options, compression=grpc.Compression.Gzip) as channel:
        for _ in range(4):
            with pytest.raises(grpc.aio.AioRpcError):
                await channel.unary_unary("/clarion.user.v1.AuthService/Login")(b"\0" * (64 * _MiB))  # type: ignore[arg-type]  # raw


async def continuation_flood(system: System) -> None:
    """One head of 64 MiB in CONTINUATION frames (RFC 9113, section 6.10)."""

    def frame(kind: int, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload))[1:] + bytes([kind, 0]) + struct.pack(">I", 1) + payload

    _, writer = await asyncio.open_connection("127.0.0.1", system.processes.grpc_ports["gateway"])
    with suppress(ConnectionError):
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + frame(1, b"\x83"))
        # a literal header without indexing: name "a", value of 16,000 characters
        field = b"\x00\x01a\x7f\x81\x7c" + b"x" * 16_000
        for _ in range(4000):
            writer.write(frame(9, field))
            await writer.drain()
    writer.close()


@pytest.mark.parametrize("attack", [endless_header, unfinished_heads, slow_bodies, gzip_bombs, continuation_flood])
async def test_the_gateway_stays_small_and_answers_meanwhile(system: System, attack: object) -> None:
    before, most = rss(system), 0
    attacking = asyncio.create_task(attack(system))  # type: ignore[operator]  # one of the functions above
    async with httpx.AsyncClient(base_url=system.processes.url, timeout=10) as client:
        while not attacking.done():
            assert (await client.get("/livez", headers={"Connection": "close"})).status_code == 200
            most = max(most, rss(system))
            await asyncio.wait({attacking}, timeout=0.1)
        await attacking
        assert (await client.get("/livez")).status_code == 200
    assert max(most, rss(system)) - before < _MOST_GROWTH


async def test_sigterm_with_open_streams_ends_within_the_budget(system: System) -> None:
    """One stream of server-sent events and one over gRPC: each gets a last word that lets its client connect again."""
    await system.client.create_template("later", "email", WELCOME)
    user = await system.client.create_user("later@example.com")
    at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    identifier = await system.client.send(user, "email", "later", {"name": "L"}, send_at=at)
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{system.processes.grpc_ports['gateway']}") as channel,
        httpx.AsyncClient(base_url=system.processes.url, timeout=60) as client,
        client.stream(
            "GET",
            f"/v1/notifications/{identifier}:watch",
            headers={"Authorization": f"Bearer {API_KEY}", "Accept": "text/event-stream"},
        ) as response,
    ):
        watch = NotificationServiceStub(channel).WatchNotification(
            notification_service_pb2.WatchNotificationRequest(id=identifier), metadata=(("authorization", f"Bearer {API_KEY}"),)
        )
        await watch.read()
        lines = response.aiter_lines()
        while not (await anext(lines)).startswith("data:"):
            pass
        begun = time.monotonic()
        code = await asyncio.to_thread(system.processes.stop, "gateway")
        took_s = time.monotonic() - begun
        rest = [line async for line in lines]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watch.read()
    system.processes.spawn("gateway")
    await system.processes.wait_serving("gateway")
    assert (code, caught.value.code()) == (0, grpc.StatusCode.UNAVAILABLE)
    assert "event: error" in rest
    assert any("SERVER_STOPPING" in line for line in rest)
    assert took_s < 10, "CLARION_GRACE_S"
