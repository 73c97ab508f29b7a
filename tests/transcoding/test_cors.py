"""Cross-origin requests: only pages of the origins that were named get anything out of the API."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.transcoding import schema
from tests.transcoding.fakes import FakeInvoker, FakeReadiness
from transcoding.app import RestApp
from transcoding.cors import Cors

APP, OTHER = "https://app.example.com", "https://evil.example.com"
PREFLIGHT = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,content-type"}


@pytest.fixture(params=[(APP, "http://localhost:3000"), ("*",)], ids=["named", "any"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an edge for the origins, without a server between."""
    edge = Cors(RestApp(FakeInvoker(schema.library()), readiness=FakeReadiness()), request.param)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://edge") as opened:
        yield opened


async def test_a_page_of_a_named_origin_reads_the_answer(client: httpx.AsyncClient) -> None:
    """Errors too, and the headers that it needs; there are no cookies to send along."""
    for path, status in (("/v1/books/7", 200), ("/v1/nothing", 404)):
        response = await client.get(path, headers={"Origin": APP})
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] in {APP, "*"}
        assert {"etag", "location", "retry-after"} <= set(response.headers["access-control-expose-headers"].split(", "))
        assert "access-control-allow-credentials" not in response.headers


async def test_a_preflight_is_answered(client: httpx.AsyncClient) -> None:
    response = await client.options("/v1/books/7", headers={"Origin": APP, **PREFLIGHT})
    assert (response.status_code, response.content) == (204, b"")
    assert "PATCH" in response.headers["access-control-allow-methods"]
    assert {"authorization", "content-type", "idempotency-key", "if-match"} <= set(
        response.headers["access-control-allow-headers"].split(", ")
    )


async def test_a_page_of_another_origin_gets_no_leave(client: httpx.AsyncClient) -> None:
    named = (await client.get("/v1/books/7", headers={"Origin": APP})).headers["access-control-allow-origin"] == APP
    for response in (
        await client.get("/v1/books/7", headers={"Origin": OTHER}),
        await client.options("/v1/books/7", headers={"Origin": OTHER, **PREFLIGHT}),
    ):
        assert ("access-control-allow-origin" in response.headers) is not named
        assert (response.headers.get("vary") == "origin") is named


async def test_without_an_origin_nothing_is_different(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/books/7")
    assert not [name for name in response.headers if name.startswith("access-control")]
    assert (await client.options("/v1/books/7")).headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"
