"""Server streams over a real socket: NDJSON and server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from google.protobuf.message import Message

from mesh import errors
from tests.transcoding import schema
from tests.transcoding.fakes import FakeInvoker

PATH = "/v1/books/7:watch"
SSE = {"Accept": "text/event-stream"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


def book(book_id: str) -> Message:
    return schema.message_class("GetBookResponse")(book={"id": book_id, "create_time": {"seconds": 0}})


def script(*items: Message | Exception) -> Any:
    async def play(_request: Any) -> AsyncIterator[Message]:
        for item in items:
            if isinstance(item, Exception):
                raise item
            yield item

    return play


async def test_ndjson_is_one_result_per_line(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    invoker.streams["WatchBook"] = script(book("1"), book("2"))
    response = await client.get(PATH, headers={"X-Correlation-ID": "c1"})
    assert (response.status_code, response.headers["content-type"]) == (200, "application/x-ndjson")
    assert response.headers["x-correlation-id"] == "c1"
    assert [json.loads(line)["result"]["book"]["id"] for line in response.text.splitlines()] == ["1", "2"]


async def test_who_asks_for_json_gets_ndjson(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    invoker.streams["WatchBook"] = script(book("1"))
    response = await client.get(PATH, headers={"Accept": "application/json"})
    assert response.headers["content-type"] == "application/x-ndjson"


async def test_a_message_is_sent_as_soon_as_it_comes(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    """The second message is only made once the client has read the first."""
    read = asyncio.Event()

    async def play(_request: Any) -> AsyncIterator[Message]:
        yield book("1")
        await read.wait()
        yield book("2")

    invoker.streams["WatchBook"] = play
    async with client.stream("GET", PATH) as response:
        lines = response.aiter_lines()
        assert '"1"' in await anext(lines)
        read.set()
        assert '"2"' in await anext(lines)


async def test_an_error_before_the_first_message_has_its_own_status(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    invoker.streams["WatchBook"] = script(errors.NotFound("no such book", reason="BOOK_NOT_FOUND"))
    response = await client.get(PATH)
    assert (response.status_code, response.json()["message"]) == (404, "no such book")
    assert response.headers["content-type"] == "application/json"


async def test_an_error_after_the_first_message_is_the_last_line(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    invoker.streams["WatchBook"] = script(book("1"), errors.Unavailable("down", retry_after_s=1))
    lines = (await client.get(PATH)).text.splitlines()
    last = json.loads(lines[-1])["error"]
    assert (len(lines), last["code"], last["message"]) == (2, 14, "down")


async def test_an_unexpected_failure_of_a_stream_tells_nothing(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    invoker.streams["WatchBook"] = script(book("1"), KeyError("internal detail"))
    text = (await client.get(PATH)).text
    assert json.loads(text.splitlines()[-1])["error"]["code"] == 13
    assert "internal detail" not in text


async def test_an_empty_stream_is_an_empty_success(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    invoker.streams["WatchBook"] = script()
    response = await client.get(PATH)
    assert (response.status_code, response.content) == (200, b"")


async def test_server_sent_events_say_when_they_end(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    invoker.streams["WatchBook"] = script(book("1"))
    response = await client.get(PATH, headers=SSE)
    assert response.headers["content-type"] == "text/event-stream"
    retry, first, end, rest = response.text.split("\n\n")
    assert retry == "retry: 2000"
    number, first = first.split("\n")
    assert number == "id: 1"
    assert json.loads(first.removeprefix("data: "))["book"]["id"] == "1"
    assert (end, rest) == ("event: end\ndata: {}", "")


async def test_server_sent_events_tell_an_error(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    invoker.streams["WatchBook"] = script(book("1"), errors.Unavailable("down"))
    kind, data = (await client.get(PATH, headers=SSE)).text.strip().split("\n\n")[-1].split("\n")
    assert kind == "event: error"
    assert json.loads(data.removeprefix("data: "))["message"] == "down"


@pytest.mark.parametrize("headers", [{}, SSE], ids=["ndjson", "sse"])
async def test_a_stream_without_a_message_begins_all_the_same(
    client: httpx.AsyncClient, invoker: FakeInvoker, headers: dict[str, str]
) -> None:
    """Who waits for the next change of a quiet system knows that it is connected."""
    release = asyncio.Event()

    async def play(_request: Any) -> AsyncIterator[Message]:
        await release.wait()
        yield book("1")

    invoker.streams["WatchBook"] = play
    async with client.stream("GET", PATH, headers=headers) as response:
        assert response.status_code == 200
        release.set()
        assert '"id":"1"' in (await response.aread()).decode().replace(" ", "")


async def test_a_silent_event_stream_shows_that_it_lives(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    release = asyncio.Event()

    async def play(_request: Any) -> AsyncIterator[Message]:
        yield book("1")
        await release.wait()

    invoker.streams["WatchBook"] = play
    async with client.stream("GET", PATH, headers=SSE) as response:
        async for line in response.aiter_lines():
            if line == ": still here":
                release.set()
    assert release.is_set()


async def test_a_client_that_leaves_ends_the_stream(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    async def play(_request: Any) -> AsyncIterator[Message]:
        yield book("1")
        await asyncio.Event().wait()

    invoker.streams["WatchBook"] = play
    async with client.stream("GET", PATH) as response:
        await anext(response.aiter_lines())
        assert not invoker.ended.is_set()
    async with asyncio.timeout(5):
        await invoker.ended.wait()


async def test_a_client_that_leaves_before_the_first_message_ends_the_stream(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    started = asyncio.Event()

    async def play(_request: Any) -> AsyncIterator[Message]:
        started.set()
        await asyncio.Event().wait()
        yield book("1")

    invoker.streams["WatchBook"] = play
    request = asyncio.create_task(client.get(PATH))
    await started.wait()
    request.cancel()
    async with asyncio.timeout(5):
        await invoker.ended.wait()
    await asyncio.gather(request, return_exceptions=True)
