"""Streams of requests over a real socket: a body of lines, answered line by line."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from mesh import errors
from tests.transcoding import schema
from tests.transcoding.fakes import FakeInvoker

PATH = "/v1/shelves/s1/books:import"
LINES = {"Content-Type": "application/x-ndjson"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


def answering(groups: list[int] | None = None) -> Any:
    """Answers each book with its id, message by message."""

    async def play(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for request in requests:
            if groups is not None:
                groups.append(len(request.books))
            yield schema.message_class("ImportBooksResponse")(results=[{"id": f"{request.shelf}/{book.id}"} for book in request.books])

    return play


def results(response: httpx.Response) -> list[Any]:
    assert (response.status_code, response.headers["content-type"]) == (200, "application/x-ndjson"), response.text
    return [json.loads(line)["result"] for line in response.text.splitlines()]


async def test_each_line_is_an_element_and_is_answered_by_one(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    invoker.streams["ImportBooks"] = answering()
    body = "".join(json.dumps({"id": str(number)}) + "\n" for number in range(5000))
    answered = results(await client.post(PATH, content=body, headers=LINES))
    assert [one["id"] for one in answered] == [f"s1/{number}" for number in range(5000)]


async def test_lines_that_arrive_together_go_in_one_message_of_a_bounded_size(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    groups: list[int] = []
    invoker.streams["ImportBooks"] = answering(groups)
    results(await client.post(PATH, content='{"id": "1"}\n' * 250, headers=LINES))
    assert (sum(groups), max(groups)) == (250, 100)
    assert len(groups) < 10


async def test_a_line_that_can_not_be_read_is_answered_in_its_place(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    invoker.streams["ImportBooks"] = answering()
    lines = [
        "{",
        '{"id": "1"}',
        '{"colour": "red"}',
        "",
        '{"id": "2"}',
        '{"page_count": "many"}',
        '{"title": "' + "x" * 70_000 + '"}',
        '{"id": "3"}',
        "]",
    ]
    answered = results(await client.post(PATH, content="\n".join(lines), headers=LINES))
    assert [one["id"] for one in answered] == ["", "s1/1", "", "s1/2", "", "", "s1/3", ""]
    said = [one["error"]["message"] for one in answered if "error" in one]
    assert ["JSON" in said[0], "colour" in said[1], "page_count" in said[2], "65536 bytes" in said[3], "JSON" in said[4]] == [True] * 5


async def test_thousands_of_lines_that_can_not_be_read_are_all_answered(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    invoker.streams["ImportBooks"] = answering()
    answered = results(await client.post(PATH, content=('{"id": "1"}\n' + "nonsense\n" * 3000) * 2, headers=LINES))
    assert [bool(one["id"]) for one in answered] == ([True] + [False] * 3000) * 2


async def test_a_line_is_answered_before_the_next_is_sent(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    """Over a connection on which both sides speak at the same time; a blank line is no element."""
    invoker.streams["ImportBooks"] = answering()
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    writer.write(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: application/x-ndjson\r\n\r\n".encode())
    for number, line in enumerate(('{"id": "1"}\n', "\n  \n", "oops\n", '{"id": "2"}\n')):
        writer.write(b"%x\r\n%b\r\n" % (len(line), line.encode()))
        if number != 1:
            async with asyncio.timeout(10):
                said = await reader.readuntil(b"}\n")
            assert (b"error" in said) == (line == "oops\n")
    writer.write(b"0\r\n\r\n")
    async with asyncio.timeout(10):
        assert (await reader.readuntil(b"0\r\n\r\n")).endswith(b"0\r\n\r\n")
    writer.close()


async def test_the_method_reads_only_what_it_asks_for(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    """A method that does not read stops its client: sockets fill up, and the process's memory does not."""
    go_on, sent = asyncio.Event(), 0

    async def play(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        await go_on.wait()
        async for request in requests:
            yield schema.message_class("ImportBooksResponse")(results=[{"id": book.id} for book in request.books])

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        piece = (json.dumps({"id": "1", "title": "x" * 1000}) + "\n").encode() * 60
        for _ in range(300):
            yield piece
            sent += len(piece)

    invoker.streams["ImportBooks"] = play
    posted = asyncio.create_task(client.post(PATH, content=body(), headers=LINES, timeout=60))
    before = -1
    while before != sent or not sent:
        before = sent
        await asyncio.sleep(0.5)  # until no more is taken
    assert sent < 15_000_000
    go_on.set()
    assert len(results(await posted)) == 18_000


async def test_an_error_of_the_method_ends_the_stream(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    async def play(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for request in requests:
            yield schema.message_class("ImportBooksResponse")(results=[{"id": book.id} for book in request.books])
            raise errors.Unavailable("away")

    invoker.streams["ImportBooks"] = play
    response = await client.post(PATH, content='{"id": "1"}\n', headers=LINES)
    first, last = map(json.loads, response.text.splitlines())
    assert (first["result"]["id"], last["error"]["code"]) == ("1", 14)


async def test_an_error_before_the_first_answer_has_a_status(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    async def play(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        raise errors.Unauthenticated("who?")
        yield

    invoker.streams["ImportBooks"] = play
    assert (await client.post(PATH, content='{"id": "1"}\n' * 10_000, headers=LINES)).status_code == 401
    assert (await client.post(PATH, content="a,b\n", headers={"Content-Type": "text/csv"})).status_code == 415


async def test_an_empty_body_is_an_empty_stream(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    invoker.streams["ImportBooks"] = answering()
    assert results(await client.post(PATH, content="", headers=LINES)) == []


async def test_a_client_that_goes_away_ends_the_call(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    invoker.streams["ImportBooks"] = answering()
    _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    writer.write(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n".encode() + b'{"id": "1"}\n')
    await writer.drain()
    while not invoker.calls:  # noqa: ASYNC110  the fake has no event for it
        await asyncio.sleep(0.01)
    writer.transport.abort()
    async with asyncio.timeout(10):
        await invoker.ended.wait()


async def test_the_document_shows_what_a_line_is(client: httpx.AsyncClient) -> None:
    operation = (await client.get("/openapi.json")).json()["paths"]["/v1/shelves/{shelf}/books:import"]["post"]
    assert list(operation["requestBody"]["content"]) == ["application/x-ndjson"]
    line = operation["responses"]["200"]["content"]["application/x-ndjson"]["schema"]["properties"]["result"]
    assert "ImportResult" in json.dumps(line)
