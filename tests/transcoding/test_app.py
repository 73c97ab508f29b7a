"""The edge over a real socket: what it passes on, what it answers, and how it tells of errors."""

import asyncio
import json
import logging
from typing import Any

import httpx
import pytest
from google.protobuf.message import Message

from mesh import errors
from tests.transcoding import schema
from tests.transcoding.conftest import edge
from tests.transcoding.fakes import FakeInvoker, FakeReadiness
from transcoding.app import RestApp

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEND = {"user_id": "u1", "channel": "email", "template": "welcome", "variables": {"name": "Ada"}}


def book(**fields: Any) -> Message:
    return schema.message_class("GetBookResponse")(book=fields)


def answering(message: Message) -> Any:
    async def handle(_request: Any) -> Message:
        return message

    return handle


def failing(error: Exception) -> Any:
    async def handle(_request: Any) -> Message:
        raise error

    return handle


def detail(response: httpx.Response, kind: str) -> dict[str, Any]:
    (found,) = [item for item in response.json()["details"] if item["@type"] == f"type.googleapis.com/google.rpc.{kind}"]
    return found  # type: ignore[no-any-return]  # JSON is untyped


@pytest.mark.parametrize("path", ["/v1/notifications", "/notifications/send"])
async def test_a_send_reaches_the_method_and_answers_its_own_status(client: httpx.AsyncClient, invoker: FakeInvoker, path: str) -> None:
    """Both paths of a send lead to SendNotification, which declares 202."""
    send = invoker.methods["/clarion.notification.v1.NotificationService/SendNotification"]
    invoker.handlers["SendNotification"] = answering(send.response_type(id="n1", status=2, create_time={"seconds": 1}))
    invoker.headers = [("ratelimit", '"caller";r=9;t=1'), ("ratelimit-policy", '"caller";q=10;w=1'), ("idempotency-replayed", "true")]
    response = await client.post(path, json=SEND)
    assert response.status_code == 202
    assert response.json() == {"id": "n1", "status": "pending", "create_time": "1970-01-01T00:00:01Z"}
    assert response.headers["content-type"] == "application/json"
    assert response.headers["ratelimit"] == '"caller";r=9;t=1'
    assert response.headers["ratelimit-policy"] == '"caller";q=10;w=1'
    assert response.headers["idempotency-replayed"] == "true"
    assert response.headers["cache-control"] == "no-store"
    assert dict(invoker.call.request.variables) == {"name": "Ada"}
    assert invoker.call.request.channel == 1


async def test_an_empty_answer_still_has_its_lists(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/notifications", params={"channel": "push", "page_size": 5})
    assert (response.status_code, response.json()) == (200, {"notifications": [], "next_page_token": ""})


async def test_headers_of_the_call_become_its_metadata(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    """Nothing else of the request's headers is passed on; the client's address is what the connection says."""
    await client.get(
        "/v1/books/7",
        headers={
            "Authorization": "Bearer clk_test_1",
            "Idempotency-Key": '"a \\"b\\""',
            "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "Tracestate": "a=1",
            "X-Correlation-ID": "my-id",
            "Accept-Language": "pt",
            "Grpc-Timeout": "1500m",
            "Grpc-Metadata-Secret": "x",
            "Cookie": "y",
        },
    )
    assert invoker.call.metadata == {
        "authorization": "Bearer clk_test_1",
        "idempotency-key": 'a "b"',
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "a=1",
        "x-correlation-id": "my-id",
        "accept-language": "pt",
        "clarion-client-address": "127.0.0.1",
    }
    assert invoker.call.timeout_s == 1.5


@pytest.mark.parametrize(
    ("text", "seconds"), [("1H", 3600), ("2M", 120), ("3S", 3), ("4m", 0.004), ("5u", 0.000005), ("6n", 6e-9), ("0S", 0)]
)
async def test_grpc_timeout_is_the_deadline(client: httpx.AsyncClient, invoker: FakeInvoker, text: str, seconds: float) -> None:
    await client.get("/v1/books/7", headers={"Grpc-Timeout": text})
    assert invoker.call.timeout_s == pytest.approx(seconds)


@pytest.mark.parametrize("key", ["abc-1", "8e03978e-40d5-43dd-bc93-6894a57f9324", "a" * 255])
async def test_an_idempotency_key_may_be_a_bare_token(client: httpx.AsyncClient, invoker: FakeInvoker, key: str) -> None:
    await client.post("/v1/notifications", json=SEND, headers={"Idempotency-Key": key})
    assert invoker.call.metadata["idempotency-key"] == key


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Grpc-Timeout", "soon"),
        ("Grpc-Timeout", "123456789S"),
        ("Grpc-Timeout", "-1S"),
        ("Grpc-Timeout", "1s"),
        ("Idempotency-Key", ""),
        ("Idempotency-Key", '""'),
        ("Idempotency-Key", '"open'),
        ("Idempotency-Key", "two words"),
        ("Idempotency-Key", '" a"'),
        ("Idempotency-Key", '"a "'),
        ("Idempotency-Key", "é"),
        ("Idempotency-Key", "a" * 256),
        ("Authorization", "Bearer é"),
    ],
)
async def test_a_bad_header_is_named(client: httpx.AsyncClient, invoker: FakeInvoker, name: str, value: str) -> None:
    response = await client.get("/v1/books/7", headers=[(name.encode(), value.encode("latin-1"))])
    assert response.status_code == 400
    assert detail(response, "ErrorInfo")["reason"] == "INVALID_HEADER"
    assert detail(response, "BadRequest")["field_violations"][0]["field"] == name
    assert value not in response.json()["message"] or not value
    assert invoker.calls == []


@pytest.mark.parametrize("name", ["Authorization", "Idempotency-Key", "Grpc-Timeout", "X-Correlation-ID"])
async def test_a_header_given_twice_is_an_error_and_no_choice(client: httpx.AsyncClient, name: str) -> None:
    response = await client.get("/v1/books/7", headers=[(name, "1S"), (name, "2S")])
    assert response.status_code == 400
    assert response.json()["message"].lower() == f"{name}: must be given once".lower()


async def test_the_correlation_id_is_returned_with_every_answer(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    for path in ("/v1/books/7", "/nowhere", "/livez"):
        response = await client.get(path, headers={"X-Correlation-ID": "my-id"})
        assert response.headers["x-correlation-id"] == "my-id"
    made = (await client.get("/v1/books/7", headers={"X-Correlation-ID": "x" * 200})).headers["x-correlation-id"]
    assert len(made) >= 32
    assert invoker.calls[-1].metadata["x-correlation-id"] == made


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidArgument("x"), 400),
        (errors.Unauthenticated("x"), 401),
        (errors.PermissionDenied("x"), 403),
        (errors.NotFound("x"), 404),
        (errors.AlreadyExists("x"), 409),
        (errors.Aborted("x"), 409),
        (errors.FailedPrecondition("x"), 400),
        (errors.OutOfRange("x"), 400),
        (errors.ResourceExhausted("x"), 429),
        (errors.Cancelled("x"), 499),
        (errors.Unknown("x"), 500),
        (errors.Internal("x"), 500),
        (errors.DataLoss("x"), 500),
        (errors.Unimplemented("x"), 501),
        (errors.Unavailable("x"), 503),
        (errors.DeadlineExceeded("x"), 504),
        (errors.InvalidArgument("x", reason="IDEMPOTENCY_KEY_REUSED"), 422),
        (errors.FailedPrecondition("x", reason="IDEMPOTENCY_IN_PROGRESS"), 409),
    ],
)
async def test_a_code_has_its_http_status(client: httpx.AsyncClient, invoker: FakeInvoker, error: errors.ServiceError, status: int) -> None:
    """Reasons of the options come before the code."""
    invoker.handlers["GetBook"] = failing(error)
    response = await client.get("/v1/books/7")
    assert (response.status_code, response.json()["code"], response.json()["message"]) == (status, error.code.value, "x")
    assert detail(response, "ErrorInfo") == {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": error.reason,
        "domain": "clarion",
    }


async def test_an_error_keeps_the_headers_that_were_set_before_it(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    error = errors.ResourceExhausted("too many", retry_after_s=0.2, quota="caller")
    error.headers = (("ratelimit", '"caller";r=0;t=1'),)
    invoker.handlers["GetBook"] = failing(error)
    response = await client.get("/v1/books/7")
    assert response.status_code == 429
    assert response.headers["retry-after"] == "1"
    assert response.headers["ratelimit"] == '"caller";r=0;t=1'
    assert detail(response, "RetryInfo")["retry_delay"] == "0.200s"
    assert detail(response, "QuotaFailure")["violations"] == [{"subject": "caller", "description": "too many"}]


async def test_retry_after_is_never_earlier_than_the_error_says(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    invoker.handlers["GetBook"] = failing(errors.Unavailable("down", retry_after_s=2.1))
    response = await client.get("/v1/books/7")
    assert (response.status_code, response.headers["retry-after"]) == (503, "3")


async def test_unauthenticated_tells_the_scheme_and_no_more(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    invoker.handlers["GetBook"] = failing(errors.Unauthenticated("the token has expired"))
    assert (await client.get("/v1/books/7")).headers["www-authenticate"] == 'Bearer realm="library"'
    response = await client.get("/v1/books/7", headers={"Authorization": "Bearer x"})
    assert response.headers["www-authenticate"] == 'Bearer realm="library", error="invalid_token"'


async def test_a_header_value_that_would_split_the_response_is_dropped(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    invoker.headers = [("x-bad", "a\r\nset-cookie: b"), ("content-length", "3"), ("grpc-status", "0"), ("x-good", "1")]
    response = await client.get("/v1/books/7")
    assert response.headers["x-good"] == "1"
    assert not {"x-bad", "set-cookie", "grpc-status"} & set(response.headers)


async def test_problem_json_comes_to_who_prefers_it(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    violations = [errors.FieldViolation("id", "is odd")]
    invoker.handlers["GetBook"] = failing(errors.ResourceExhausted("no", retry_after_s=2, quota="q", violations=violations))
    headers = {"Accept": "application/problem+json, application/json;q=0.5", "X-Correlation-ID": "c1"}
    response = await client.get("/v1/books/7", headers=headers)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "urn:library:error:resource-exhausted",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "no",
        "code": "RESOURCE_EXHAUSTED",
        "reason": "RESOURCE_EXHAUSTED",
        "correlation_id": "c1",
        "violations": [{"field": "id", "description": "is odd"}],
        "retry_after_s": 2,
        "violated_policies": ["q"],
    }


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("application/json, application/problem+json", "application/problem+json"),
        ("application/problem+json, */*", "application/problem+json"),
        ("application/json, application/problem+json;q=0.5", "application/json"),
        ("application/json, */*", "application/json"),
    ],
)
async def test_who_names_both_forms_gets_errors_as_problems(client: httpx.AsyncClient, accept: str, form: str) -> None:
    assert (await client.get("/v1/nothing", headers={"Accept": accept})).headers["content-type"] == form
    assert (await client.get("/v1/books/7", headers={"Accept": accept})).headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "accept", ["*/*", "application/*", "application/json", "text/html, */*;q=0.1", "application/problem+json", "bad;q=x, */*"]
)
async def test_json_is_acceptable(client: httpx.AsyncClient, accept: str) -> None:
    assert (await client.get("/v1/books/7", headers={"Accept": accept})).status_code == 200


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "image/*", "x" * 300])
async def test_who_accepts_no_json_is_told_before_anything_happens(client: httpx.AsyncClient, invoker: FakeInvoker, accept: str) -> None:
    response = await client.get("/v1/books/7", headers={"Accept": accept})
    assert (response.status_code, detail(response, "ErrorInfo")["reason"]) == (406, "NOT_ACCEPTABLE")
    assert invoker.calls == []


async def test_head_is_get_without_the_body(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    invoker.handlers["GetBook"] = answering(book(id="7"))
    full, head = await client.get("/v1/books/7"), await client.head("/v1/books/7")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", full.headers["content-length"])
    assert (await client.head("/nowhere")).status_code == 404
    assert (await client.head("/docs")).status_code == 200


async def test_options_tells_the_methods(client: httpx.AsyncClient) -> None:
    response = await client.options("/v1/books/7")
    assert (response.status_code, response.headers["allow"]) == (204, "DELETE, GET, HEAD, OPTIONS, PATCH, PUT")
    assert (await client.options("/livez")).headers["allow"] == "GET, HEAD, OPTIONS"
    assert (await client.options("/nowhere")).status_code == 404


async def test_method_overrides_and_form_posts_are_not_honoured(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    """grpc-gateway does both unless it is told not to."""
    await client.get("/v1/books/7", headers={"X-HTTP-Method-Override": "DELETE"})
    assert invoker.call.name == "GetBook"
    assert (await client.post("/v1/books/7", data={"a": "b"})).status_code == 405


async def test_a_body_without_a_type_counts_as_json(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    assert (await client.post("/v1/notifications", content=json.dumps(SEND))).status_code == 202
    for parameters in ('; charset="UTF-8"', ";charset=utf-8", "; profile=x; charset=UTF-8"):
        headers = {"Content-Type": f"application/json{parameters}"}
        assert (await client.post("/v1/notifications", content=json.dumps(SEND), headers=headers)).status_code == 202


async def test_a_chunked_body_is_read_to_its_end(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    async def chunks() -> Any:
        for byte in json.dumps(SEND).encode():
            yield bytes([byte])

    assert (await client.post("/v1/notifications", content=chunks())).status_code == 202
    assert invoker.call.request.template == "welcome"


async def test_a_client_that_leaves_cancels_its_call(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    """Also when it leaves before the edge has begun to watch."""
    started = asyncio.Event()

    async def hang(_request: Any) -> Message:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    invoker.handlers["GetBook"] = hang
    request = asyncio.create_task(client.get("/v1/books/7"))
    await started.wait()
    request.cancel()
    async with asyncio.timeout(5):
        await invoker.ended.wait()
    await asyncio.gather(request, return_exceptions=True)


async def test_a_call_longer_than_the_watch_s_beginning_still_answers(client: httpx.AsyncClient, invoker: FakeInvoker) -> None:
    """The watch begins 10 ms into a call here; it must not disturb one whose client stays."""
    release = asyncio.Event()

    async def slow(_request: Any) -> Message:
        asyncio.get_running_loop().call_later(0.1, release.set)
        await release.wait()
        return book(id="7")

    invoker.handlers["GetBook"] = slow
    for _ in range(2):  # twice, since the watch must leave the kept connection as it was
        assert (await client.get("/v1/books/7")).json()["id"] == "7"


async def test_an_unexpected_failure_is_bare_outside_and_logged_without_the_body(
    client: httpx.AsyncClient, invoker: FakeInvoker, caplog: pytest.LogCaptureFixture
) -> None:
    invoker.handlers["CreateBook"] = failing(KeyError("internal detail"))
    with caplog.at_level(logging.ERROR):
        response = await client.post("/v1/books", json={"book": {"title": "very private"}})
    assert response.status_code == 500
    assert "internal detail" not in response.text
    assert response.headers["x-correlation-id"] in response.json()["message"]
    assert "internal detail" in caplog.text
    assert "very private" not in caplog.text


async def test_live_and_ready(invoker: FakeInvoker) -> None:
    readiness = FakeReadiness()
    async with edge(invoker, readiness=readiness) as client:
        assert (await client.get("/livez")).json() == {"live": True}
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()) == (200, {"ready": True, "dependencies": {"database": True}})
        readiness.ready = False
        assert (await client.get("/livez")).status_code == 200
        unready = await client.get("/readyz")
        assert (unready.status_code, unready.json()) == (503, {"ready": False, "dependencies": {"database": False}})
        readiness.alive = False
        stuck = await client.get("/livez")
        assert (stuck.status_code, stuck.json()) == (503, {"live": False})


async def test_a_server_that_asks_for_the_lifespan_is_told_that_all_is_well(invoker: FakeInvoker) -> None:
    app = RestApp(invoker, readiness=FakeReadiness())
    events = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(events)

    async def send(event: Any) -> None:
        sent.append(event["type"])

    await app({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_the_document_and_the_page_are_served(client: httpx.AsyncClient) -> None:
    document = await client.get("/openapi.json")
    assert document.json()["openapi"] == "3.1.0"
    page = await client.get("/docs", headers={"Accept": "text/html"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "/v1/notifications/{id}:cancel" in page.text
    assert "<script" not in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text


async def test_the_root_leads_to_the_documentation(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")
    assert (await client.get("/", follow_redirects=True)).headers["content-type"].startswith("text/html")
