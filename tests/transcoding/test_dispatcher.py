"""The edge in front of the real dispatcher with its whole chain."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import pytest_asyncio
from google.protobuf.message import Message

from gateway.http import serve_http
from gateway.settings import HttpSettings
from mesh import context
from mesh.errors import NotFound
from mesh.process.memory_budget import MemoryBudget
from mesh.rpc.dispatcher import Dispatcher
from mesh.rpc.identity import Authenticator, ServiceIdentity
from mesh.rpc.interceptors import server_chain
from mesh.testing import SECRET, FakeCredentials
from tests.transcoding import schema
from tests.transcoding.fakes import FakeReadiness
from transcoding.app import RestApp

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Library:
    """Serves what the tests call; every other method of the service is not implemented."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        async def missing(_request: Any, _context: None) -> Message:
            raise NotFound(f"{name} is not served here")

        return missing

    async def GetBook(self, request: Any, _context: None) -> Message:  # noqa: N802  the name is the RPC's
        """Tells the correlation id as the title."""
        context.current().set_header("x-shelf", "7")
        if request.id == "none":
            raise NotFound("there is no such book", reason="BOOK_NOT_FOUND")
        if request.id == "slow":
            await asyncio.Event().wait()
        return schema.message_class("GetBookResponse")(book={"id": request.id, "title": context.current().correlation_id})

    async def WatchBook(self, request: Any, _context: None) -> AsyncIterator[Message]:  # noqa: N802  the name is the RPC's
        """Two states, then silence."""
        try:
            for title in ("a", "b"):
                yield schema.message_class("GetBookResponse")(book={"id": request.id, "title": title})
            await asyncio.Event().wait()
        finally:
            self.closed.set()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[tuple[Library, httpx.AsyncClient]]:
    """The library behind the real chain."""
    library = Library()
    dispatcher = Dispatcher(server_chain(Authenticator(FakeCredentials(), ServiceIdentity("test", SECRET))))
    dispatcher.add(schema.library(), library)
    async with AsyncExitStack() as stack:
        app = RestApp(dispatcher, readiness=FakeReadiness())
        port = await stack.enter_async_context(
            serve_http(app, HttpSettings("127.0.0.1", 0), budget=MemoryBudget(64 * 1024 * 1024), grace_s=1)
        )
        yield library, await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}"))


@pytest.fixture
def client(running: tuple[Library, httpx.AsyncClient]) -> httpx.AsyncClient:
    """A client of the edge."""
    return running[1]


async def test_a_call_goes_through_the_chain_and_back(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/books/7", headers={"X-Correlation-ID": "c1"})
    assert (response.status_code, response.headers["x-shelf"]) == (200, "7")
    assert (response.json()["id"], response.json()["title"]) == ("7", "c1")


async def test_an_error_of_a_handler_keeps_its_reason_and_headers(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/books/none")
    assert (response.status_code, response.headers["x-shelf"]) == (404, "7")
    assert response.json()["details"][0]["reason"] == "BOOK_NOT_FOUND"


async def test_the_chain_refuses_who_has_no_credentials(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/books", json={"book": {"title": "Emma"}})
    assert (response.status_code, response.json()["code"]) == (401, 16)
    assert response.headers["www-authenticate"] == 'Bearer realm="api"'
    response = await client.post("/v1/books", json={"book": {"title": "Emma"}}, headers={"Authorization": "Bearer nonsense"})
    assert (response.status_code, response.headers["www-authenticate"]) == (401, 'Bearer realm="api", error="invalid_token"')


async def test_grpc_timeout_ends_a_call(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/books/slow", headers={"Grpc-Timeout": "50m"})
    assert (response.status_code, response.json()["code"]) == (504, 4)


async def test_a_stream_ends_with_its_client(running: tuple[Library, httpx.AsyncClient]) -> None:
    """The handler's own clean-up runs, in the context in which it began."""
    library, client = running
    async with client.stream("GET", "/v1/books/7:watch") as response:
        lines = response.aiter_lines()
        assert '"title":"a"' in await anext(lines)
        assert '"title":"b"' in await anext(lines)
    async with asyncio.timeout(5):
        await library.closed.wait()


async def test_a_body_far_over_the_limit_is_refused_and_not_read(client: httpx.AsyncClient) -> None:
    """The default limit is 1 MiB; the client gets its answer although it has not sent everything."""
    response = await client.post("/v1/books", content=b" " * (24 * 1024 * 1024))
    assert (response.status_code, response.json()["message"]) == (413, "the body must have at most 1048576 bytes")
