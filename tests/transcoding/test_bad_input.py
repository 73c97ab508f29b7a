"""Every way in which a person gets a request wrong at the edge: one clear error, over a real socket."""

import json
from typing import Any

import httpx
import pytest

from tests.transcoding.fakes import FakeInvoker

SEND = {"user_id": "u1", "channel": "email", "template": "welcome", "variables": {"name": "Ada"}}
PATH = "/v1/notifications"
NO_SUCH_TIME = "must be a time that there is: the day is in the calendar, hours go to 23, minutes and seconds to 59"

pytestmark = pytest.mark.asyncio(loop_scope="module")


def violations(response: httpx.Response) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in response.json()["details"]:
        for violation in item.get("field_violations", []):
            found[violation["field"]] = violation["description"]
    return found


def reason(response: httpx.Response) -> str:
    (info,) = [item for item in response.json()["details"] if item["@type"].endswith(".ErrorInfo")]
    return str(info["reason"])


async def post(client: httpx.AsyncClient, body: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.post(PATH, content=content, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "the body is not valid JSON: Expecting property name enclosed in double quotes at line 1, column 2"),
        (b'{"user_id": "u1",}', "the body is not valid JSON: "),
        (b"hello", "the body is not valid JSON: Expecting value at line 1, column 1"),
        (b"\xff", "the body is not valid JSON: it is not UTF-8"),
        (b'{"variables": {"x": NaN}}', "the body is not valid JSON: NaN is not JSON"),
        (b"[" * 10_000, "the body is not valid JSON: it is nested too deeply"),
    ],
)
async def test_malformed_json(client: httpx.AsyncClient, invoker: FakeInvoker, body: bytes, message: str) -> None:
    """The message tells the place."""
    response = await post(client, body)
    assert (response.status_code, response.json()["code"], reason(response)) == (400, 3, "MALFORMED_JSON")
    assert response.json()["message"].startswith(message)
    assert invoker.calls == []


async def test_an_unknown_field(client: httpx.AsyncClient) -> None:
    response = await post(client, {**SEND, "foo": 1})
    assert response.status_code == 400
    assert violations(response) == {"foo": "is not a field of this request"}
    assert response.json()["message"] == "foo: is not a field of this request"


async def test_a_duplicate_key(client: httpx.AsyncClient) -> None:
    response = await post(client, b'{"variables": {"name": "Ada", "name": "Eve"}}')
    assert (response.status_code, violations(response)) == (400, {"name": "is given twice"})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"user_id": 7}, {"user_id": "must be a string"}),
        ({"variables": "Ada"}, {"variables": "must be an object"}),
        ({"variables": {"a": [{"b": 10**400}]}}, {"variables.a[0].b": "must be a finite number"}),
        ({"metadata": {"a": 1}}, {"metadata.a": "must be a string"}),
        ({"metadata": []}, {"metadata": "must be an object"}),
        ({"sendAt": "tomorrow"}, {"send_at": "must be a time in RFC 3339 form, such as 2026-01-31T12:00:00Z"}),
        ({"template": None, "locale": 5, "category": []}, {"locale": "must be a string", "category": "must be a string"}),
    ],
)
async def test_a_wrong_type(client: httpx.AsyncClient, change: dict[str, Any], expected: dict[str, str]) -> None:
    """All wrong fields are named at once."""
    response = await post(client, {**SEND, **change})
    assert (response.status_code, violations(response)) == (400, expected)


async def test_a_body_that_is_no_object(client: httpx.AsyncClient) -> None:
    response = await post(client, [SEND])
    assert (response.status_code, response.json()["message"]) == (400, "body: must be an object")


@pytest.mark.parametrize("channel", ["sms", "", "E-MAIL", 77, True, ["email"]])
async def test_an_unknown_channel(client: httpx.AsyncClient, channel: Any) -> None:
    """The error lists the channels that there are."""
    response = await post(client, {**SEND, "channel": channel})
    assert (response.status_code, violations(response)) == (400, {"channel": "must be one of: email, push"})


@pytest.mark.parametrize("announced", [True, False])
async def test_an_oversize_body(client: httpx.AsyncClient, invoker: FakeInvoker, announced: bool) -> None:
    """With Content-Length nothing is read; a chunked body is cut off at the limit."""

    async def chunks() -> Any:
        for _ in range(9):
            yield b"x" * 8192

    content = b"x" * (64 * 1024 + 1) if announced else chunks()
    response = await client.post(PATH, content=content, headers={"Content-Type": "application/json"})
    assert (response.status_code, reason(response)) == (413, "BODY_TOO_LARGE")
    assert response.json()["message"] == "the body must have at most 65536 bytes"
    assert invoker.calls == []
    assert (await post(client, SEND)).status_code == 202


async def test_a_body_of_just_the_limit_is_taken(client: httpx.AsyncClient) -> None:
    body = json.dumps(SEND).encode()
    assert (await post(client, body + b" " * (64 * 1024 - len(body)))).status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_a_body_of_another_type(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    response = await client.post(PATH, content=b"a=b", headers=headers)
    assert (response.status_code, reason(response)) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("path", ["/v1", "/v1/nothing", "/v1/notifications/", "/v1/notifications/a/b", "//v1/notifications", "/v1/books/"])
async def test_an_unknown_path(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert (response.status_code, response.json()["code"], reason(response)) == (404, 5, "NO_SUCH_PATH")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/v1/notifications", "GET, HEAD, OPTIONS, POST"),
        ("DELETE", "/v1/notifications:batch", "OPTIONS, POST"),
        ("GET", "/v1/notifications/n1:cancel", "OPTIONS, POST"),
        ("POST", "/livez", "GET, HEAD, OPTIONS"),
        ("HEAD", "/v1/books/7:watch", "GET, OPTIONS"),
    ],
)
async def test_a_wrong_method(client: httpx.AsyncClient, method: str, path: str, allow: str) -> None:
    """405 tells the methods that the path does have."""
    response = await client.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, allow)
    if method != "HEAD":
        assert (response.json()["message"], reason(response)) == (f"this path takes {allow}", "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("page_size=many", {"page_size": "must be a whole number from -2147483648 to 2147483647"}),
        ("pageSize=1&page_size=2", {"page_size": "must be given once"}),
        ("status=gone", None),
        ("nope=1", {"nope": "is not a query parameter of this request"}),
        (
            "created_after=2026-01-31T12:00:00+01:00",
            {"created_after": "must be a time in RFC 3339 form, such as 2026-01-31T12:00:00Z: in a query, + is sent as %2B"},
        ),
        (
            "created_after=2026-01-31t12:00:00z",
            {"created_after": "must be a time in RFC 3339 form, such as 2026-01-31T12:00:00Z: T and Z are in upper case"},
        ),
        ("created_after=2026-02-30T12:00:00Z", {"created_after": NO_SUCH_TIME}),
        ("created_after=2016-12-31T23:59:60Z", {"created_after": NO_SUCH_TIME}),
        ("created_after=2026-01-31T12:00:00-24:00", {"created_after": NO_SUCH_TIME}),
        ("PAGE_SIZE=1", {"PAGE_SIZE": "is not a query parameter of this request; did you mean page_size?"}),
    ],
)
async def test_a_bad_query_parameter(client: httpx.AsyncClient, query: str, expected: dict[str, str] | None) -> None:
    response = await client.get(f"{PATH}?{query}")
    assert response.status_code == 400
    if expected is None:
        rule = violations(response)["status"]
        assert rule.startswith("must be one of: scheduled, pending, queued, ")
    else:
        assert violations(response) == expected


@pytest.mark.parametrize("path", ["/v1/books/%zz", "/v1/books/%ff", "/v1/books?tags=%ff"])
async def test_a_malformed_url(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(str(client.base_url) + path)
    assert response.status_code == 400


async def test_a_body_where_none_belongs(client: httpx.AsyncClient) -> None:
    response = await client.request("DELETE", "/v1/books/7", json={})
    assert (response.status_code, reason(response)) == (400, "UNEXPECTED_BODY")


async def test_problem_json_on_request(client: httpx.AsyncClient) -> None:
    response = await client.post(PATH, json={**SEND, "foo": 1}, headers={"Accept": "application/problem+json"})
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == response.status_code == 400
    assert response.json()["violations"] == [{"field": "foo", "description": "is not a field of this request"}]


async def test_no_error_names_a_class(client: httpx.AsyncClient) -> None:
    """Whatever is sent, the answer speaks of fields and rules."""
    bodies: list[Any] = [
        b"{",
        [],
        {"foo": 1},
        {"channel": "x"},
        {"variables": []},
        {"user_id": {}},
        {"send_at": {}},
        {"metadata": {"a": []}},
    ]
    for body in bodies:
        text = (await post(client, body)).text
        assert not any(
            word in text for word in ("NotificationRequest", "google.protobuf", "clarion.notification", "Traceback", "Error:", "_pb2")
        )
