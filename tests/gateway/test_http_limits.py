"""What a client can't make the REST door do or hold: raw bytes over a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import pytest_asyncio
from google.protobuf.message import Message

from gateway.http import serve_http
from gateway.http_limits import Connections, HttpLimits, address_group
from gateway.http_protocol import REFUSAL_STATUS
from gateway.settings import HttpSettings
from mesh.process.memory_budget import MemoryBudget
from mesh.rpc.metadata import CLIENT_ADDRESS
from tests.transcoding import schema
from tests.transcoding.fakes import FakeInvoker, FakeReadiness
from tests.waiting import until
from transcoding.app import RestApp, RestOptions

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMITS = HttpLimits(head_bytes=4096, header_count=20, head_s=0.3, body_s=0.3, idle_s=0.3, write_s=0.3)
ROOMY = HttpLimits()
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
BUDGET = 1024 * 1024


class Door:
    """A running door and what is behind it."""

    def __init__(self, port: int, invoker: FakeInvoker, budget: MemoryBudget) -> None:
        self.port = port
        self.invoker = invoker
        self.budget = budget

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def exchange(self, *parts: bytes) -> tuple[int, dict[str, str], bytes]:
        """Sends the parts and reads one response; the server has to close or to complete it."""
        reader, writer = await self.connect()
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
            return await read_response(reader)
        finally:
            writer.close()


async def read_response(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    async with asyncio.timeout(20):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(head[0].split()[1]), headers, body


async def ends(reader: asyncio.StreamReader) -> bytes:
    """What is sent until the server closes the connection."""
    async with asyncio.timeout(20):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@asynccontextmanager
async def door(limits: HttpLimits = LIMITS, budget_bytes: int = BUDGET, *, proxies: tuple[str, ...] = ()) -> AsyncIterator[Door]:
    invoker, budget = FakeInvoker(schema.library()), MemoryBudget(budget_bytes)
    edge = RestApp(invoker, readiness=FakeReadiness(), options=RestOptions(reason_status=REFUSAL_STATUS), comments=schema.load())
    async with serve_http(edge, HttpSettings("127.0.0.1", 0, limits=limits, trusted_proxies=proxies), budget=budget, grace_s=1) as port:
        yield Door(port, invoker, budget)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def patient() -> AsyncIterator[Door]:
    """One door for all requests that are answered at once, since uvicorn takes a fifth of a second to stop."""
    async with door(replace(LIMITS, head_s=10, body_s=10)) as running:
        yield running


def reason(body: bytes) -> str:
    return str(json.loads(body)["details"][0]["reason"])


@pytest.mark.parametrize(
    ("head", "status", "expected"),
    [
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 5000 + b"\r\n\r\n", 431, "HEAD_TOO_LARGE"),
        (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431, "HEAD_TOO_LARGE"),
        (b"GET /livez HTTP/1.1\r\n" + b"x" * 5000 + b": 1\r\n\r\n", 431, "HEAD_TOO_LARGE"),
        (b"GET /livez HTTP/1.1\r\n" + b"x" * 1_000_000, 431, "HEAD_TOO_LARGE"),
        (b"\r\n" * 5000, 431, "HEAD_TOO_LARGE"),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 21 + b"\r\n", 431, "TOO_MANY_HEADERS"),
        (b"GET /livez HTTP/1.1\r\n\r\n", 400, "INVALID_HEADER"),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "INVALID_HEADER"),
        (b"GET /livez HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400, "INVALID_HEADER"),
        (b"GET /livez HTTP/1.1\r\nHost: a b/<>\r\n\r\n", 400, "INVALID_HEADER"),
        (b"GET /livez HTTP/1.1\r\nHost: a, b\r\nX: 1\r\n\r\n", 400, "INVALID_HEADER"),
        (b"NONSENSE\r\n\r\n", 400, "MALFORMED_REQUEST"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400, "MALFORMED_REQUEST"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "MALFORMED_REQUEST"),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n", 400, "MALFORMED_REQUEST"),
        (b"POST /v1/books HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "MALFORMED_REQUEST"),
        (b"POST /v1/books HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "MALFORMED_REQUEST"),
        (b"POST /v1/books HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "MALFORMED_REQUEST"),
        (b"POST /v1/books HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 9000, 431, "TRAILERS_TOO_LARGE"),
        (
            b"POST /v1/books HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\nX: " + b"x" * 9000,
            431,
            "TRAILERS_TOO_LARGE",
        ),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "MALFORMED_REQUEST"),
    ],
)
async def test_a_bad_request_gets_our_error_form(patient: Door, head: bytes, status: int, expected: str) -> None:
    """As JSON with a correlation id, and the connection is closed."""
    got, headers, body = await patient.exchange(head)
    assert (got, reason(body)) == (status, expected)
    assert (headers["content-type"], headers["connection"]) == ("application/json", "close")
    assert headers["x-correlation-id"]


@pytest.mark.parametrize("host", [b"", b"a", b"a.example:8000", b"127.0.0.1", b"[::1]:80", b"xn--mnchen-3ya.example", b"under_score"])
async def test_a_good_host_is_taken(patient: Door, host: bytes) -> None:
    status, _, _ = await patient.exchange(b"GET /livez HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert status == 200


async def test_http_1_0_needs_no_host(patient: Door) -> None:
    status, _, _ = await patient.exchange(b"GET /livez HTTP/1.0\r\n\r\n")
    assert status == 200


@pytest.mark.parametrize(
    ("begun", "part"),
    [
        (b"GET /livez HTTP/1.1\r\nHost: a\r\n", "head"),
        (b"\r\n", "head"),
        (b"POST /v1/books HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{", "body"),
    ],
)
async def test_an_unfinished_request_is_answered_with_408(begun: bytes, part: str) -> None:
    async with door() as running:
        status, _, body = await running.exchange(begun)
        assert running.budget.held_bytes == 0
    assert (status, reason(body)) == (408, "REQUEST_TIMEOUT")
    assert part in json.loads(body)["message"]


@pytest.mark.parametrize("begun", [b"GET /livez HTTP/1.1\r\n", b"POST /v1/books HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"])
async def test_a_byte_now_and_then_does_not_extend_the_deadline(begun: bytes) -> None:
    """Slowloris, and its body's twin."""
    drop = b"x" if begun.startswith(b"GET") else b"1\r\n{\r\n"
    async with door() as running:
        reader, writer = await running.connect()
        writer.write(begun)
        answer = asyncio.create_task(read_response(reader))
        while not answer.done():
            writer.write(drop)
            await asyncio.wait({answer}, timeout=0.05)
        status, _, _ = await answer
        writer.close()
    assert status == 408


@pytest.mark.parametrize("before", [b"", LIVEZ])
async def test_an_idle_connection_is_closed(before: bytes) -> None:
    """Whether it was ever used or not."""
    async with door() as running:
        reader, writer = await running.connect()
        if before:
            writer.write(before)
            await read_response(reader)
        assert await ends(reader) == b""
        writer.close()


async def test_a_connection_that_waits_makes_room_for_a_new_one() -> None:
    """The longest waiting one of the address at its limit, with or without a begun head; a request in hand is never cut off."""
    release = asyncio.Event()

    async def wait(_request: object) -> Message:
        await release.wait()
        return schema.message_class("GetBookResponse")()

    async with door(replace(ROOMY, connections_per_address=3)) as running:
        running.invoker.handlers["GetBook"] = wait
        busy_reader, busy = await running.connect()
        busy.write(b"GET /v1/books/7 HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: bool(running.invoker.calls))
        first, one = await running.connect()
        one.write(b"GET /livez HTTP/1.1\r\n")
        _, two = await running.connect()
        two.write(LIVEZ)
        status, _, _ = await running.exchange(LIVEZ)
        assert status == 200
        assert await ends(first) == b""
        release.set()
        assert (await read_response(busy_reader))[0] == 200
        for writer in (busy, one, two):
            writer.close()


@pytest.mark.parametrize("limits", [replace(ROOMY, connections=2), replace(ROOMY, connections_per_address=2)])
async def test_when_every_connection_is_busy_a_new_one_gets_503(limits: HttpLimits) -> None:
    release = asyncio.Event()

    async def wait(_request: object) -> Message:
        await release.wait()
        return schema.message_class("GetBookResponse")()

    async with door(limits) as running:
        running.invoker.handlers["GetBook"] = wait
        writers = []
        for _ in range(2):
            _, writer = await running.connect()
            writer.write(b"GET /v1/books/7 HTTP/1.1\r\nHost: a\r\n\r\n")
            writers.append(writer)
            await until(lambda: len(running.invoker.calls) == len(writers))
        reader, writer = await running.connect()
        status, headers, body = await read_response(reader)
        assert (status, reason(body), headers["retry-after"]) == (503, "TOO_MANY_CONNECTIONS", "1")
        release.set()
        for each in (*writers, writer):
            each.close()


async def test_bodies_share_one_budget() -> None:
    """What is held counts, not what is announced; and it is given back."""
    begun = b"POST /v1/books HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n" + b" " * 600_000
    async with door(ROOMY) as running:
        _, one = await running.connect()
        one.write(begun)
        await until(lambda: running.budget.held_bytes == 600_000)
        status, headers, body = await running.exchange(begun)
        assert (status, reason(body), headers["retry-after"]) == (503, "SERVER_BUSY", "1")
        assert (await running.exchange(LIVEZ))[0] == 200
        one.close()
        await until(lambda: running.budget.held_bytes == 0)


async def test_trailers_are_not_headers() -> None:
    """What follows the body can't add a credential or a key to a request that has been checked."""
    request = (
        b"POST /v1/books HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\n{}\r\n0\r\nAuthorization: Bearer x\r\n\r\n"
    )
    async with door(ROOMY) as running:
        await running.exchange(request)
        assert "authorization" not in running.invoker.call.metadata


async def test_a_body_that_was_answered_early_is_not_read_for_ever() -> None:
    """The 413 arrives, and the connection is closed soon after it."""
    head = b"POST /v1/books HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 90000000\r\n\r\n{"
    async with door(ROOMY) as running:
        reader, writer = await running.connect()
        writer.write(head)
        assert (await read_response(reader))[0] == 413
        assert await ends(reader) == b""
        writer.close()


async def test_a_client_that_reads_nothing_is_cut_off() -> None:
    """Its stream ends although it never closes the connection."""

    async def endless(_request: object) -> AsyncIterator[Message]:
        while True:
            yield schema.message_class("GetBookResponse")(book={"id": "x" * 10_000})

    async with door() as running:
        running.invoker.streams["WatchBook"] = endless
        _, writer = await running.connect()
        writer.write(b"GET /v1/books/7:watch HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(20):
            await running.invoker.ended.wait()
        writer.close()


async def test_too_many_requests_in_one_go_are_not_queued() -> None:
    async with door(ROOMY) as running:
        _, _, body = await running.exchange(LIVEZ * 100)
        assert reason(body) == "TOO_MANY_REQUESTS_ON_CONNECTION"


async def test_a_few_requests_in_one_go_are_answered_in_order() -> None:
    async with door(ROOMY) as running:
        reader, writer = await running.connect()
        writer.write(LIVEZ + b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n" + LIVEZ)
        bodies = [(await read_response(reader))[2] for _ in range(3)]
        writer.close()
    assert ["ready" in body.decode() for body in bodies] == [False, True, False]


async def test_garbage_after_a_request_does_not_mix_into_its_answer() -> None:
    async def two(_request: object) -> AsyncIterator[Message]:
        yield schema.message_class("GetBookResponse")(book={"id": "1"})
        await asyncio.sleep(30)

    async with door(ROOMY) as running:
        running.invoker.streams["WatchBook"] = two
        reader, writer = await running.connect()
        writer.write(b"GET /v1/books/7:watch HTTP/1.1\r\nHost: a\r\n\r\n")
        begun = await reader.readuntil(b'"1"')
        writer.write(b"NONSENSE\r\n\r\n")
        rest = await ends(reader)
        writer.close()
    assert begun.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1" not in rest


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
async def test_an_upgrade_that_is_not_offered_is_ignored(patient: Door, protocol: bytes) -> None:
    """RFC 9110, section 7.8: the request is served as HTTP/1.1, its body too."""
    head = b"POST /v1/books HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: Upgrade\r\nUpgrade: "
    status, _, _ = await patient.exchange(head + protocol + b"\r\n\r\n{}")
    assert status == 201


async def test_an_address_is_a_network_in_ipv6() -> None:
    assert address_group("2001:db8:1:2:3:4:5:6") == address_group("2001:db8:1:2::9") != address_group("2001:db8:1:3::9")
    assert address_group("::ffff:192.0.2.1") == address_group("192.0.2.1") != address_group("192.0.2.2")


async def test_connections_forget_what_is_closed() -> None:
    class Client:
        def evict(self) -> None:
            """Nothing to close."""

    all_of_them = Connections(replace(ROOMY, connections=2), MemoryBudget(1))
    clients = [Client() for _ in range(100)]
    for client in clients:
        assert all_of_them.add(client, "a")
        all_of_them.waits(client)
        all_of_them.remove(client)
    assert len(all_of_them) == 0
    assert not vars(all_of_them)["_waiting"]
    assert not vars(all_of_them)["_order"]
    assert not vars(all_of_them)["_per_address"]


@pytest.mark.parametrize(
    ("proxies", "said", "address"),
    [
        ((), "203.0.113.7", "127.0.0.1"),
        (("10.0.0.0/8",), "203.0.113.7", "127.0.0.1"),
        (("127.0.0.0/8",), "203.0.113.7", "203.0.113.7"),
        (("127.0.0.1",), "1.2.3.4, 203.0.113.7", "203.0.113.7"),
        (("127.0.0.0/8", "10.0.0.0/8"), "1.2.3.4, 203.0.113.7, 10.1.1.1", "203.0.113.7"),
    ],
)
async def test_only_trusted_proxies_say_whose_request_it_is(proxies: tuple[str, ...], said: str, address: str) -> None:
    """What stands before the first address that is not a proxy's was said by the client, which may say anything."""
    async with door(ROOMY, proxies=proxies) as running:
        head = (
            f"GET /v1/books/1 HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {said}\r\n{CLIENT_ADDRESS}: 192.0.2.66\r\nConnection: close\r\n\r\n"
        )
        await running.exchange(head.encode())
        (call,) = running.invoker.calls
        assert call.metadata[CLIENT_ADDRESS] == address
