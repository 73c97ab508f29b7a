"""How the client makes calls: retries, deadlines, keys, and what it does with answers that are none."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion_client import AsyncClarion, Clarion, errors, webhooks
from clarion_client import _values as v
from clarion_client._http import AsyncHttpTransport, HttpTransport
from clarion_client.models import Notification, NotificationStatus
from clarion_client.testing import MemoryClarion

UNAVAILABLE = {
    "code": 14,
    "message": "the database is not available",
    "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "DATABASE_UNAVAILABLE", "domain": "clarion"}],
}


def client(answer: Callable[[httpx.Request], httpx.Response], **options: Any) -> Clarion:
    http = httpx.Client(base_url="http://clarion.test", transport=httpx.MockTransport(answer))
    return Clarion("http://clarion.test", "clk_test_x", transport=HttpTransport("", {}, client=http), **options)


def scripted(*responses: httpx.Response) -> tuple[Callable[[httpx.Request], httpx.Response], list[httpx.Request]]:
    seen: list[httpx.Request] = []
    left = iter(responses)

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return next(left)

    return answer, seen


def test_a_send_is_repeated_under_one_key_until_the_server_is_back() -> None:
    answer, seen = scripted(
        httpx.Response(503, json=UNAVAILABLE, headers={"retry-after": "0"}),
        httpx.Response(202, json={"id": "n1", "status": "pending"}),
    )
    sent = client(answer).notifications.send(user_id="u", channel="email", template="t")
    assert (sent.id, len(seen)) == ("n1", 2)
    assert len({request.headers["idempotency-key"] for request in seen}) == 1
    assert json.loads(seen[0].content) == {"user_id": "u", "channel": "email", "template": "t"}


def test_what_can_not_succeed_is_not_repeated() -> None:
    answer, seen = scripted(httpx.Response(404, json={"code": 5, "message": "there is no such user"}))
    with pytest.raises(errors.NotFound, match="no such user"):
        client(answer).users.get("u")
    assert len(seen) == 1


def test_what_a_lost_try_has_removed_is_no_error_for_the_next_one() -> None:
    gone = httpx.Response(404, json={"code": 5, "message": "the person has no such device"})
    answer, seen = scripted(httpx.Response(503, json=UNAVAILABLE, headers={"retry-after": "0"}), gone, gone)
    clarion = client(answer)
    clarion.users.delete_device("u", "d")
    assert len(seen) == 2
    with pytest.raises(errors.NotFound):
        clarion.users.delete_device("u", "d")


def test_what_is_too_large_is_not_sent_again() -> None:
    """It has the code of limits that are over with time, and will be too large the next time, too."""
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "BODY_TOO_LARGE", "domain": "clarion"}
    answer, seen = scripted(*[httpx.Response(413, json={"code": 8, "message": "the body must have at most 1 byte", "details": [info]})] * 3)
    with pytest.raises(errors.RequestTooLarge, match="at most"):
        client(answer).notifications.send(user_id="u", channel="email", template="t")
    assert len(seen) == 1
    assert not issubclass(errors.RequestTooLarge, errors.RETRYABLE)


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    answer, seen = scripted(httpx.Response(429, json={"code": 8, "message": "slow down"}, headers={"retry-after": "60"}))
    with pytest.raises(errors.RateLimited) as caught:
        client(answer).users.list(timeout_s=5).pages().__next__()
    assert (caught.value.retry_after_s, len(seen)) == (60.0, 1)


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(502, text="bad gateway"),
        httpx.Response(500, json=[1]),
        httpx.Response(403, json={"message": "Forbidden"}),
        httpx.Response(404, json={"code": "NotFound", "message": "no route", "details": None}),
    ],
)
def test_an_answer_that_is_not_clarions_says_so(response: httpx.Response) -> None:
    with pytest.raises(errors.BadResponse, match="address"):
        client(lambda request: response).users.get("u")


@pytest.mark.parametrize("wait", ["inf", "nan", "-1", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_wait_that_is_none_is_not_heeded(wait: str) -> None:
    error = errors.from_status({"code": 14, "message": "away", "details": None}, status=503, retry_after=wait)
    assert error.retry_after_s in {None, 0.0}


def test_a_server_that_is_not_there_is_a_failed_connection() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(errors.ConnectionFailed):
        client(refuse, retries=0).users.get("u")


def test_ids_are_escaped_and_filters_go_into_the_query() -> None:
    answer, seen = scripted(httpx.Response(200, json={}), httpx.Response(200, json={"notifications": []}))
    clarion = client(answer)
    clarion.templates.get("a/b c")
    list(clarion.notifications.list(status=NotificationStatus.SENT, created_after=datetime(2030, 1, 2, tzinfo=UTC)))
    assert seen[0].url.raw_path == b"/v1/templates/a%2Fb%20c"
    assert dict(seen[1].url.params) == {"status": "sent", "created_after": "2030-01-02T00:00:00Z"}


@pytest.mark.parametrize("name", [".", ".."])
def test_an_id_of_dots_leads_to_no_other_path(name: str) -> None:
    """To delete the device ".." of a person was to erase the person."""
    answer, seen = scripted(httpx.Response(200, json={}))
    client(answer).users.delete_device("ada", name)
    assert seen[0].url.raw_path == f"/v1/users/ada/devices/{name.replace('.', '%2E')}".encode()


def test_an_empty_id_is_refused_by_its_name() -> None:
    answer, seen = scripted()
    with pytest.raises(errors.InvalidRequest, match="id: must not be empty"):
        client(answer).users.get("")
    assert seen == []


@pytest.mark.parametrize("key", ["ключ", "a\nb", "k" * 256])
def test_a_key_that_no_header_can_hold_is_refused_by_its_name(key: str) -> None:
    answer, seen = scripted()
    with pytest.raises(errors.InvalidRequest, match="idempotency_key: must be printable ASCII"):
        client(answer).notifications.send(user_id="u", channel="email", template="t", idempotency_key=key)
    assert seen == []


@pytest.mark.parametrize("value", ["\ud800", float("nan")])
def test_what_is_no_json_is_the_servers_to_refuse(value: object) -> None:
    """It names the field; here it would be an error of the encoder."""
    answer, _ = scripted(httpx.Response(400, json={"code": 3, "message": "variables.n: is odd"}))
    with pytest.raises(errors.InvalidRequest, match=r"variables\.n"):
        client(answer).notifications.send(user_id="u", channel="email", template="t", variables={"n": value})


def test_a_filter_that_no_address_can_hold_is_an_error_of_ours() -> None:
    answer, _ = scripted()
    with pytest.raises(errors.InvalidRequest, match="can't be written"):
        list(client(answer).notifications.list(template="t" * 70_000))


@pytest.mark.parametrize("kind", ["application/x-ndjson", "text/event-stream; charset=utf-8"])
@pytest.mark.parametrize("label", ["\x85", "\u2028", "\u2029", "\x0b"])
def test_a_stream_is_cut_at_line_feeds_alone(kind: str, label: str) -> None:
    message = {"notification": {"id": "n", "status": "sent", "metadata": {"a": f"x{label}y"}}}
    events = "retry: 2000\n\n: still here\n\n" + f"id: 1\ndata: {json.dumps(message, ensure_ascii=False)}\n\n" + "event: end\ndata: {}\n\n"
    lines = json.dumps({"result": message}, ensure_ascii=False) + "\n"
    whole = (lines if "ndjson" in kind else events).encode()
    response = httpx.Response(200, headers={"content-type": kind}, content=iter([whole[:60], whole[60:]]))
    (state,) = client(lambda request: response).notifications.watch("n")
    assert state.metadata == {"a": f"x{label}y"}


def test_an_error_in_a_stream_of_events_is_raised() -> None:
    text = f"event: error\ndata: {json.dumps({'code': 5, 'message': 'there is no such notification'})}\n\n"
    answer, _ = scripted(httpx.Response(200, headers={"content-type": "text/event-stream"}, text=text))
    with pytest.raises(errors.NotFound):
        list(client(answer).notifications.watch("n"))


def test_a_stream_of_events_that_ends_before_its_end_is_opened_again() -> None:
    def events(*messages: Any, end: str = "") -> httpx.Response:
        text = "".join(f"data: {json.dumps({'notification': {'id': 'n', 'status': status}})}\n\n" for status in messages)
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, text=text + end)

    answer, seen = scripted(events("queued"), events("sent", end="event: end\ndata: {}\n\n"))
    assert [state.status for state in client(answer).notifications.watch("n")] == ["queued", "sent"]
    assert len(seen) == 2


@pytest.mark.parametrize("text", ["<html>\n", '{"result": {"notifica', "[1]\n", "{}\n"])
def test_a_stream_that_is_not_clarions_says_so(text: str) -> None:
    answer, _ = scripted(httpx.Response(200, text=text))
    with pytest.raises(errors.BadResponse, match="address"):
        list(client(answer).notifications.watch("n"))


def test_a_stream_that_nothing_is_heard_of_is_opened_again() -> None:
    """A connection that is half open says nothing for ever."""
    limits: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        limits.append(request.extensions["timeout"]["read"])
        if len(limits) == 1:
            raise httpx.ReadTimeout("silence")
        return httpx.Response(200, text='{"result":{"notification":{"id":"n","status":"sent"}}}\n')

    assert [state.status for state in client(answer).notifications.watch("n")] == ["sent"]
    assert limits == [60.0, 60.0]


def test_an_enum_that_is_newer_than_the_client_stays_text() -> None:
    answer, _ = scripted(httpx.Response(200, json={"id": "n", "status": "teleported", "unheard_of": 1}))
    assert client(answer).notifications.get("n").status == "teleported"


async def test_a_watch_is_reopened_when_its_connection_breaks() -> None:
    first: list[bytes | None] = [b'{"result":{"notification":{"id":"n","status":"queued"}}}\n', None]
    second: list[bytes | None] = [b'{"result":{"notification":{"id":"n","status":"sent"}}}\n']
    turns = iter([first, second])

    async def body() -> AsyncIterator[bytes]:
        for chunk in next(turns):
            if chunk is None:
                raise httpx.ReadError("cut")
            yield chunk

    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=body()))
    http = httpx.AsyncClient(base_url="http://clarion.test", transport=transport)
    clarion = AsyncClarion("http://clarion.test", transport=AsyncHttpTransport("", {}, client=http))
    seen = [state.status async for state in clarion.notifications.watch("n")]
    assert seen == [NotificationStatus.QUEUED, NotificationStatus.SENT]
    await clarion.close()


async def test_a_feed_goes_on_behind_the_last_change_however_its_streams_end() -> None:
    """Also before the first change, and after a server has ended a stream that it found old."""

    def line(cursor: str, **change: str) -> bytes:
        return json.dumps({"result": {"cursor": cursor, **({"change": change} if change else {})}}).encode() + b"\n"

    turns: Iterator[list[bytes | None]] = iter(
        [[line("7"), None], [line("8", notification_id="n1"), None], [], [line("9", notification_id="n2")]]
    )
    asked: list[str] = []

    async def body() -> AsyncIterator[bytes]:
        turn: list[bytes | None] = next(turns)
        for chunk in turn:
            if chunk is None:
                raise httpx.ReadError("cut")
            yield chunk

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params.get("cursor", ""))
        return httpx.Response(200, content=body())

    http = httpx.AsyncClient(base_url="http://clarion.test", transport=httpx.MockTransport(answer))
    clarion = AsyncClarion("http://clarion.test", transport=AsyncHttpTransport("", {}, client=http))
    seen = []
    async for response in clarion.changes.watch():
        assert response.change is not None
        seen.append((response.cursor, response.change.notification_id))
        if len(seen) == 2:
            break
    assert seen == [("8", "n1"), ("9", "n2")]
    assert asked == ["", "7", "8", "8"]
    await clarion.close()


@given(st.datetimes(timezones=st.just(UTC)), st.timedeltas(timedelta(-9999), timedelta(9999)))
def test_times_and_durations_come_back_as_they_were(moment: datetime, length: timedelta) -> None:
    assert v.time(v.encode(moment)) == moment
    assert v.duration(v.encode(length)) == length


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        v.encode(datetime(2030, 1, 1))  # noqa: DTZ001  that is the point


def test_nanoseconds_are_cut() -> None:
    assert v.time("2030-01-01T00:00:00.123456789Z").microsecond == 123456


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8000", "ftp://x", "http://", "http://localhost:99999", "http://[::1", "https://a b", "grpc://:9000"],
)
def test_an_address_that_is_none_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLARION_URL", url)
    if not url:
        return
    with pytest.raises(ValueError, match=r"https://|write it as"):
        Clarion()


@pytest.mark.parametrize("key", ["ключ", "clk_live_a\nb", "a\x00"])
def test_a_key_that_is_none_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ValueError, match="API key") as caught:
        Clarion("http://clarion.test", key)
    assert key not in str(caught.value)


def test_a_key_may_bring_the_line_feed_of_its_file() -> None:
    with Clarion("http://clarion.test", "clk_live_a\n") as clarion:
        transport: Any = clarion.transport
        assert transport._client.headers["authorization"] == "Bearer clk_live_a"


def headers(identifier: str, stamp: int, signature: str) -> Mapping[str, str]:
    return {"Webhook-Id": identifier, "Webhook-Timestamp": str(stamp), "Webhook-Signature": signature}


# The example of the specification's own test vectors: its secret, id, time, body and signature.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SIGNED = headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")


def test_the_specifications_own_signature_holds() -> None:
    assert webhooks.verify(b'{"test": 2432232314}', SIGNED, SECRET, now_s=1614265330) == {"test": 2432232314}
    assert webhooks.verify('{"test": 2432232314}', SIGNED, ["whsec_AAAA", SECRET], now_s=1614265331) == {"test": 2432232314}


@pytest.mark.parametrize(
    ("body", "given", "now"),
    [
        (b'{"test": 2432232315}', SIGNED, 1614265330),
        (b'{"test": 2432232314}', SIGNED, 1614265330 + 301),
        (b'{"test": 2432232314}', {**SIGNED, "Webhook-Id": "other"}, 1614265330),
        (b'{"test": 2432232314}', {**SIGNED, "Webhook-Timestamp": "soon"}, 1614265330),
        (b'{"test": 2432232314}', {}, 1614265330),
        (b'{"test": 2432232314}', {**SIGNED, "Webhook-Signature": "v1,\u00e4"}, 1614265330),
        (b'{"test": 2432232314}', {**SIGNED, "Webhook-Signature": "v1,\udcff"}, 1614265330),
        (b'{"test": 2432232314}', {**SIGNED, "Webhook-Id": "\udcff"}, 1614265330),
        (b'{"test": 2432232314}', {**SIGNED, "Webhook-Signature": ""}, 1614265330),
    ],
)
def test_any_other_webhook_is_refused(body: bytes, given: Mapping[str, str], now: int) -> None:
    with pytest.raises(webhooks.WebhookInvalid):
        webhooks.verify(body, given, SECRET, now_s=now)


@pytest.mark.parametrize("secret", ["", " ", "whsec_", ["", SECRET], "whsec_\u00e4", "whsec_A"])
def test_a_secret_that_is_none_verifies_nothing(secret: str | list[str]) -> None:
    """With the empty one of a variable that is not set everyone could sign."""
    with pytest.raises(ValueError, match="no whsec_") as caught:
        webhooks.verify(b"{}", webhooks.sign("m", 1614265330, b"{}", SECRET), secret, now_s=1614265330)
    assert not isinstance(caught.value, webhooks.WebhookInvalid)


def test_a_signed_body_that_is_no_json_is_refused() -> None:
    with pytest.raises(webhooks.WebhookInvalid, match="no JSON object"):
        webhooks.verify(b"hello", webhooks.sign("m", 1614265330, b"hello", SECRET), SECRET, now_s=1614265330)


def test_the_memory_stands_in_for_the_server() -> None:
    memory = MemoryClarion()
    clarion = memory.client()
    with pytest.raises(errors.UserNotFoundForSend):
        clarion.notifications.send(user_id="nobody", channel="email", template="welcome")
    user = clarion.users.create(email="ada@example.com", name="Ada")
    with pytest.raises(errors.EmailTaken):
        clarion.users.create(email="ada@example.com")
    clarion.templates.create(name="welcome", channel="email")
    clarion.templates.create_version("welcome", contents={"en": {"subject": "Hi", "text": "Hi"}}, publish=True)
    sends = [
        clarion.notifications.send(user_id=user.id, channel="email", template="welcome", variables={"n": 1}, idempotency_key="k")
        for _ in range(2)
    ]
    assert sends[0] == sends[1]
    assert [one.template for one in memory.sent] == ["welcome"]
    assert memory.variables_of(sends[0].id) == {"n": 1}
    memory.finish(sends[0].id, "sent")
    assert [state.status for state in clarion.notifications.watch(sends[0].id)] == [NotificationStatus.SENT]
    with pytest.raises(errors.TooLateToCancel):
        clarion.notifications.cancel(sends[0].id)
    memory.fail_next(errors.Unavailable("down"))
    with pytest.raises(errors.Unavailable):
        clarion.notifications.get(sends[0].id)


def test_the_memory_serves_asyncio_too() -> None:
    async def use() -> list[Notification]:
        memory = MemoryClarion()
        async with memory.async_client() as clarion:
            await clarion.users.create(email="a@example.com")
            return [one async for one in clarion.notifications.list()]

    assert asyncio.run(use()) == []


def test_a_bulk_stream_that_breaks_off_goes_on_behind_the_last_answer() -> None:
    def lines(*items: Any) -> httpx.Response:
        return httpx.Response(200, text="".join(json.dumps(item) + "\n" for item in items))

    def accepted(name: str) -> Any:
        return {"result": {"request_id": name, "accepted": {"id": name}}}

    answer, seen = scripted(lines(accepted("a"), {"error": UNAVAILABLE}), lines(accepted("b")), lines(accepted("c")))
    results = list(client(answer).notifications.bulk_send([{"request_id": name} for name in "abc"]))
    assert [one.accepted.id for one in results if one.accepted] == ["a", "b", "c"]
    assert [[json.loads(line)["request_id"] for line in one.content.splitlines()] for one in seen] == [["a", "b", "c"], ["b", "c"], ["c"]]


def test_items_without_an_id_get_one_that_stays_theirs() -> None:
    answer, seen = scripted(httpx.Response(503, json=UNAVAILABLE), httpx.Response(200, text='{"result": {"accepted": {"id": "1"}}}\n'))
    assert len(list(client(answer).notifications.bulk_send([{"template": "t"}]))) == 1
    assert seen[0].content == seen[1].content
    assert json.loads(seen[0].content)["request_id"]


def test_the_memory_takes_bulk_too() -> None:
    memory = MemoryClarion()
    results = list(memory.client().notifications.bulk_send([{"user_id": "unknown", "channel": "email", "template": "t"}]))
    assert "no user" in str(results[0].error)


@pytest.mark.parametrize(("url", "authorities"), [("http://clarion.test", False), ("https://clarion.test", True)])
async def test_only_a_client_of_https_reads_the_certificates_of_authorities(
    url: str, authorities: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take longer to read than a call; without them nothing is trusted, rather than everything."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Clarion(url, "clk_test_x") as clarion:
        async with AsyncClarion(url, "clk_test_x") as aio:
            for one in (clarion, aio):
                transport: Any = one.transport
                context = transport._client._transport._pool._ssl_context
                assert bool(context.cert_store_stats()["x509_ca"]) is authorities
                assert context.verify_mode is ssl.CERT_REQUIRED
