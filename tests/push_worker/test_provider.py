"""The FCM provider against a local server over HTTP/2: what is sent, what an answer means, who waits for the access token."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from firebase_admin import messaging

from delivery.errors import DeliveryError
from delivery.models import OutcomeUnknown
from delivery.push_message import MAX_PUSH_BYTES, PushEnvelope, PushText, message_of, size_of
from devstack.fcm import HANGS, RESETS, FcmServer, answers, fails
from devstack.fcm_connection import Answer
from mesh.process.settings import Env, SettingsError
from mesh.testing import free_port
from push_worker.credentials import AccessTokens
from push_worker.errors import (
    DeviceGone,
    FcmOutcomeUnknown,
    FcmPlatformRefused,
    FcmRejected,
    FcmSenderRefused,
    FcmThrottled,
    FcmUnavailable,
)
from push_worker.models import Push
from push_worker.provider import FcmProvider, open_provider, retry_after_s
from push_worker.settings import FcmSettings

NO_TOKEN = "The registration token is not a valid FCM registration token"
ID = "0190b1f0-0000-7000-8000-000000000001"


def push(*, urgent: bool = False, ttl_s: int | None = None) -> Push:
    return Push(ID, "Shipped", "Your order is on its way ✓", {"order": "A-1815"}, "https://example.com/a.png", urgent, ttl_s)


def settings(fcm: FcmServer) -> FcmSettings:
    return replace(FcmSettings.from_env(Env(fcm.environ())), timeout_s=5)


@pytest.fixture
async def provider(fcm: FcmServer) -> AsyncIterator[FcmProvider]:
    async with open_provider(settings(fcm)) as opened:
        yield opened


async def failure(provider: FcmProvider, token: str) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await provider.send(push(), token)
    assert token not in str(caught.value)
    return caught.value


async def test_the_message_arrives_over_http2_with_all_its_parts(fcm: FcmServer, provider: FcmProvider) -> None:
    await provider.send(push(urgent=True, ttl_s=600), "token-of-ada")
    received = await fcm.next_message()
    assert received.http2
    assert received.token == "token-of-ada"
    assert received.message == {
        "token": "token-of-ada",
        "notification": {"title": "Shipped", "body": "Your order is on its way ✓", "image": "https://example.com/a.png"},
        "data": {"order": "A-1815"},
        "android": {"collapse_key": ID, "priority": "high", "ttl": "600s", "notification": {"tag": ID}},
        "apns": {"headers": {"apns-collapse-id": ID, "apns-priority": "10"}},
        "webpush": {"headers": {"Topic": ID.replace("-", ""), "Urgency": "high", "TTL": "600"}},
    }


async def test_platform_blocks_and_the_end_arrive_as_fcm_spells_them(fcm: FcmServer, provider: FcmProvider) -> None:
    aps = {"badge": 3, "sound": "default", "thread-id": "orders", "mutable-content": 1, "category": "ORDER"}
    blocks: Any = {"android": {"notification": {"channel_id": "orders"}}, "webpush": {"fcm_options": {"link": "https://example.com/o"}}}
    await provider.send(Push(ID, "a", "b", ttl_s=600, expire_s=1_800_000_000, apns={"payload": {"aps": aps}}, **blocks), "token-of-ada")
    message = (await fcm.next_message()).message
    assert message["android"]["notification"] == {"tag": ID, "channel_id": "orders"}
    assert message["apns"] == {"payload": {"aps": aps}, "headers": {"apns-collapse-id": ID, "apns-expiration": "1800000000"}}
    assert message["webpush"]["fcm_options"] == {"link": "https://example.com/o"}


@pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False)])
async def test_a_push_is_counted_to_the_byte(fcm: FcmServer, provider: FcmProvider, more: int, fits: bool) -> None:
    """What the local server, like FCM, refuses is never sent; what it takes is."""
    room = MAX_PUSH_BYTES - size_of(message_of(PushText("a", ""), PushEnvelope(ID)))
    push = Push(ID, "a", "\u00f6" * (room // 2) + "b" * (room % 2 + more))
    if fits:
        await provider.send(push, "token-of-ada")
        return
    with pytest.raises(FcmRejected, match=f"the push has {MAX_PUSH_BYTES + 1} bytes, FCM takes {MAX_PUSH_BYTES}"):
        await provider.send(push, "token-of-ada")
    assert fcm.requests == 0


async def test_many_messages_share_a_few_connections_and_one_access_token(fcm: FcmServer, provider: FcmProvider) -> None:
    await asyncio.gather(*(provider.send(push(), f"token-{number}") for number in range(300)))
    assert len(fcm.pushes) == 300
    assert fcm.connections <= 4
    assert fcm.token_requests == 1


@pytest.mark.parametrize(
    ("answer", "kind", "reason", "wait_s"),
    [
        (fails(404, "NOT_FOUND", "UNREGISTERED"), DeviceGone, "UNREGISTERED", None),
        (fails(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", message="Android message is too big"), FcmRejected, "INVALID_ARGUMENT", None),
        (fails(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"), FcmRejected, "INVALID_ARGUMENT", None),
        (fails(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", message=NO_TOKEN), DeviceGone, "INVALID_TOKEN", None),
        (fails(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", violation="message.token"), DeviceGone, "INVALID_TOKEN", None),
        (fails(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", violation="message.data"), FcmRejected, "INVALID_ARGUMENT", None),
        (fails(400, "INVALID_ARGUMENT"), FcmRejected, "INVALID_ARGUMENT", None),
        (fails(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"), FcmRejected, "SENDER_ID_MISMATCH", None),
        (fails(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), FcmPlatformRefused, "THIRD_PARTY_AUTH_ERROR", None),
        (fails(413, "INVALID_ARGUMENT"), FcmRejected, "INVALID_ARGUMENT", None),
        (fails(500, "INTERNAL", "gr\ud800\u00f6\u00dfer als je"), FcmUnavailable, "FCM_500", None),
        (fails(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", retry_after="17"), FcmThrottled, "QUOTA_EXCEEDED", 17),
        (fails(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), FcmThrottled, "QUOTA_EXCEEDED", 60),
        (fails(503, "UNAVAILABLE", "UNAVAILABLE", retry_after="90"), FcmUnavailable, "UNAVAILABLE", 90),
        (fails(500, "INTERNAL", "INTERNAL"), FcmUnavailable, "INTERNAL", None),
        (answers(502, b"<html>Bad Gateway</html>"), FcmUnavailable, "FCM_502", None),
        (answers(503, b'{"error": "down"}', "application/json"), FcmUnavailable, "FCM_503", None),
        (answers(500, b'{"error": {"details": "none"}}', "application/json"), FcmUnavailable, "FCM_500", None),
        (fails(403, "PERMISSION_DENIED"), FcmSenderRefused, "FCM_403", None),
        (fails(404, "NOT_FOUND"), FcmSenderRefused, "FCM_404", None),
        (fails(503, "UNAVAILABLE", "UNAVAILABLE", retry_after="0"), FcmUnavailable, "UNAVAILABLE", 0),
        (fails(503, "UNAVAILABLE", "UNAVAILABLE", retry_after="soon"), FcmUnavailable, "UNAVAILABLE", None),
        (fails(503, "UNAVAILABLE", "UNAVAILABLE", retry_after="Thu, 01 Jan 1970 00:00:00 GMT"), FcmUnavailable, "UNAVAILABLE", 0),
        # a proxy's words say nothing about the payload
        (answers(400, b"<html>400 Bad Request</html>"), FcmUnavailable, "FCM_400", None),
        (answers(400, b'{"error": "invalid_request"}', "application/json"), FcmUnavailable, "FCM_400", None),
        (answers(400, b'{"error": {"cod', "application/json"), FcmUnavailable, "FCM_400", None),
        (answers(400, b""), FcmUnavailable, "FCM_400", None),
        (answers(404, b"<html>Not Found</html>"), FcmSenderRefused, "FCM_404", None),
        (answers(302, b""), FcmSenderRefused, "FCM_302", None),
        (answers(500, b"[]", "application/json"), FcmUnavailable, "FCM_500", None),
        (RESETS, FcmOutcomeUnknown, "FCM_DISCONNECTED", None),
    ],
)
async def test_each_answer_means_one_thing_and_is_asked_for_once(
    fcm: FcmServer, provider: FcmProvider, answer: Answer, kind: type[DeliveryError], reason: str, wait_s: float | None
) -> None:
    fcm.script("token-of-ada", answer)
    error = await failure(provider, "token-of-ada")
    assert type(error) is kind
    assert (error.reason, error.retry_after_s) == (reason, wait_s)
    assert fcm.requests == 1
    await provider.send(push(), "token-of-ada")


async def test_a_taken_message_stays_taken_whatever_the_answer_says(fcm: FcmServer, provider: FcmProvider) -> None:
    fcm.script("token-of-ada", answers(200, b"thank you"))
    await provider.send(push(), "token-of-ada")


async def test_silence_is_an_unknown_outcome(fcm: FcmServer) -> None:
    fcm.script("token-of-ada", HANGS)
    async with open_provider(replace(settings(fcm), timeout_s=0.2)) as provider:
        error = await failure(provider, "token-of-ada")
    assert isinstance(error, OutcomeUnknown)
    assert error.reason == "FCM_TIMEOUT"


async def test_nobody_listening_is_transient(fcm: FcmServer) -> None:
    async with open_provider(replace(settings(fcm), endpoint=f"https://localhost:{free_port()}")) as provider:
        error = await failure(provider, "token-of-ada")
    assert isinstance(error, FcmUnavailable)
    assert error.reason == "FCM_CONNECT"


async def test_a_server_that_restarts_is_reached_again(fcm: FcmServer, provider: FcmProvider) -> None:
    await provider.send(push(), "token-of-ada")
    await fcm.stop()
    assert isinstance(await failure(provider, "token-of-ada"), FcmUnavailable | FcmOutcomeUnknown)
    await fcm.start()
    await provider.send(push(), "token-of-ada")


async def test_a_revoked_access_token_is_replaced_at_once(fcm: FcmServer, provider: FcmProvider) -> None:
    await provider.send(push(), "token-of-ada")
    fcm.revoke_access_tokens()
    await provider.send(push(), "token-of-ada")
    assert fcm.token_requests == 2


async def test_a_token_endpoint_that_fails_is_transient(fcm: FcmServer, provider: FcmProvider) -> None:
    fcm.token_answers.append(Answer(400, b'{"error": "invalid_grant"}'))
    error = await failure(provider, "token-of-ada")
    assert isinstance(error, FcmUnavailable)
    assert error.reason == "FCM_AUTH"
    assert fcm.requests == 0


async def test_a_slow_token_endpoint_does_not_stop_the_event_loop(fcm: FcmServer, provider: FcmProvider) -> None:
    fcm.token_gate = asyncio.Event()
    sending = asyncio.create_task(provider.send(push(), "token-of-ada"))
    # the server runs in this very loop: it would never see the request if fetching blocked the loop
    await fcm.token_requested.wait()
    assert not sending.done()
    fcm.token_gate.set()
    await sending


async def test_a_token_is_renewed_ahead_of_its_expiry_while_the_old_one_serves() -> None:
    now, issued = 1000.0, 0

    def fetch() -> tuple[str, float]:
        nonlocal issued
        issued += 1
        return f"token-{issued}", now + 3600

    tokens = AccessTokens(fetch, clock=lambda: now)
    assert await tokens.get() == "token-1"
    now += 3000
    assert await tokens.get() == "token-1"
    assert issued == 1
    now += 400
    assert await tokens.get() == "token-1"
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == "fcm-access-token"))
    assert await tokens.get() == "token-2"
    await tokens.close()


async def test_many_who_need_a_token_at_once_cause_one_request() -> None:
    calls = 0

    def fetch() -> tuple[str, float]:
        nonlocal calls
        calls += 1
        return "token", 1e12

    tokens = AccessTokens(fetch)
    assert set(await asyncio.gather(*(tokens.get() for _ in range(50)))) == {"token"}
    assert calls == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("17", 17),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 37),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0),
        ("999999999", 86400),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, now_s=784111740) == seconds


@pytest.mark.parametrize("content", [b"", b"{}", b'{"type": "service_account"}', b"no json"])
async def test_bad_credentials_are_named_by_their_variable(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "account.json").write_bytes(content)
    opening: AbstractAsyncContextManager[FcmProvider] = open_provider(FcmSettings(str(tmp_path / "account.json")))
    with pytest.raises(SettingsError, match="CLARION_FCM_CREDENTIALS_FILE"):
        await opening.__aenter__()


def test_firebase_admin_still_has_the_names_that_we_put_our_client_under() -> None:
    """What the provider replaces is private: an update that renames it must fail here and not in production."""
    source = inspect.getsource(messaging._MessagingService.__init__) + inspect.getsource(messaging._MessagingService.send_each_async)
    for name in ("self._fcm_url", "self._fcm_headers", "self._async_client"):
        assert source.count(name) >= 2
    assert "self._message_data(message, dry_run)" in source
