"""Test keys run the whole pipeline and reach no provider."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from devstack.client import Client, RefusedError
from devstack.samples import WELCOME
from tests.system.conftest import System
from tests.system.feeds import facts_in_the_feed

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

SENDS = 500
PUSH = {"en": {"title": "{{ name }}", "body": "Hello"}}


async def _test_key(system: System) -> str:
    scopes = ["users:write", "users:read", "notifications:send", "notifications:read", "apikeys:write", "deadletters:review"]
    made = await system.client.call("POST", "/v1/api-keys", {"name": "test", "scopes": scopes, "test": True})
    assert made["secret"].startswith("clk_test_")
    return str(made["secret"])


async def test_a_thousand_test_sends_reach_no_provider(system: System) -> None:
    """Some of them in one batch with those of a live key, which arrive."""
    await system.client.create_template("tests-mail", "email", WELCOME)
    await system.client.create_template("tests-push", "push", PUSH)
    async with Client(system.processes.url, await _test_key(system), timeout_s=60) as tester:
        user = await tester.create_user("captured@example.com", name="Ada")
        await tester.call("POST", f"/v1/users/{user}/devices", {"token": "no-device-gets-this", "platform": "ios"})
        mails, pushes = system.smtp.received, len(system.fcm.pushes)
        items = [
            {"user_id": user, "channel": channel, "template": f"tests-{word}", "variables": {"name": "Ada"}, "metadata": {"run": "sandbox"}}
            for channel, word in (("email", "mail"), ("push", "push"))
            for _ in range(SENDS)
        ]
        live = asyncio.create_task(_live(system))
        answer = await tester.call("POST", "/v1/notifications:batch", {"requests": items})
        assert answer["accepted_count"] == 2 * SENDS
        ids = [result["accepted"]["id"] for result in answer["results"]]
        for identifier in ids:
            assert (await tester.settled(identifier, timeout_s=120))["status"] == "sent"
        assert await live == "sent"
        captured = await tester.call("GET", f"/v1/notifications/{ids[0]}/captured-message")
        assert (captured["email"], captured["answer"], captured["locale"]) == ("captured@example.com", "delivered", "en")
        assert "Ada" in captured["content"]["text"]
    assert "captured@example.com" not in str(list(system.smtp.mails))
    assert "no-device-gets-this" not in str(list(system.fcm.pushes))
    assert (system.smtp.received, len(system.fcm.pushes)) == (mails + 1, pushes)


async def _live(system: System) -> str:
    user = await system.client.create_user("delivered-for-real@example.com")
    sent = await system.client.send(user, "email", "tests-mail", {"name": "Grace"})
    return str((await system.client.settled(sent))["status"])


@pytest.mark.parametrize(
    ("outcome", "statuses"),
    [
        ("hard-bounce", ["pending", "queued", "sending", "failed"]),
        ("soft-bounce", ["pending", "queued", "sending", "retrying", "sending", "sent"]),
        ("throttled", ["pending", "queued", "sending", "retrying", "sending", "sent"]),
    ],
)
async def test_the_recipient_chooses_what_happens(system: System, outcome: str, statuses: list[str]) -> None:
    await system.client.create_template("tests-mail", "email", WELCOME)
    async with Client(system.processes.url, await _test_key(system)) as tester:
        user = await tester.create_user(f"{outcome}+{outcome}@clarion.test")
        sent = await tester.send(user, "email", "tests-mail", {"name": "Ada"})
        notification = await tester.settled(sent)
        assert [entry["status"] for entry in notification["timeline"]] == statuses
        assert (await tester.call("GET", f"/v1/notifications/{sent}/captured-message"))["attempt"] == statuses.count("sending")


async def test_a_wait_is_skipped(system: System) -> None:
    """A scheduled one; one that meets quiet hours, which is decided as of their end; one that its person has refused meanwhile."""
    await system.client.create_template("tests-waiting", "email", WELCOME, category="tests")
    now = datetime.now(UTC)
    quiet = {"start": f"{now - timedelta(hours=2):%H:%M}", "end": f"{now + timedelta(hours=2):%H:%M}"}
    async with Client(system.processes.url, await _test_key(system)) as tester:
        user = await tester.create_user("skips-a-wait@example.com")
        later = (now + timedelta(days=30)).isoformat()
        scheduled = await tester.send(user, "email", "tests-waiting", {"name": "Ada"}, send_at=later)
        refused = await tester.send(user, "email", "tests-waiting", {"name": "Ada"}, send_at=later)
        await tester.call("POST", f"/v1/notifications/{scheduled}:skipWait", {})
        assert (await tester.settled(scheduled))["status"] == "sent"
        with pytest.raises(RefusedError, match="NOT_WAITING"):
            await tester.call("POST", f"/v1/notifications/{scheduled}:skipWait", {})
        await tester.call("PATCH", f"/v1/users/{user}/preferences", {"quiet_hours": quiet})
        deferred = await tester.send(user, "email", "tests-waiting", {"name": "Ada"})
        assert (await tester.reached(deferred, {"scheduled"}))["reason"] == "QUIET_HOURS"
        await tester.call("POST", f"/v1/notifications/{deferred}:skipWait", {})
        assert (await tester.settled(deferred))["status"] == "sent"
        await tester.call("PATCH", f"/v1/users/{user}/preferences", {"rules": [{"category": "tests", "choice": "deny"}]})
        await tester.call("POST", f"/v1/notifications/{refused}:skipWait", {})
        assert (await tester.settled(refused))["status"] == "skipped"
    live = await system.client.send(user, "email", "tests-waiting", {"name": "Ada"}, send_at=later)
    with pytest.raises(RefusedError, match="NOT_A_TEST"):
        await system.client.call("POST", f"/v1/notifications/{live}:skipWait", {})
    await system.client.call("POST", f"/v1/notifications/{live}:cancel", {})


@pytest.mark.parametrize(
    ("outcome", "facts"),
    [("complaint", ["delivered", "complained"]), ("late-bounce", ["hard_bounced"]), ("opened", ["delivered", "opened"])],
)
async def test_a_fact_follows_a_message_that_was_taken(system: System, outcome: str, facts: list[str]) -> None:
    """On the notification and in the feed; the address stays as it was, since the sandbox is no provider."""
    await system.client.create_template("tests-mail", "email", WELCOME)
    async with Client(system.processes.url, await _test_key(system)) as tester:
        user = await tester.create_user(f"{outcome}+facts@clarion.test")
        sent = await tester.send(user, "email", "tests-mail", {"name": "Ada"})
        assert (await tester.settled(sent))["status"] == "sent"
        found = await tester.call("GET", f"/v1/notifications/{sent}")
        recorded = [(entry["fact"], entry["provider"]) for entry in found["timeline"] if "fact" in entry]
        assert recorded == [(fact, "sandbox") for fact in facts]
        assert await facts_in_the_feed(tester, user) == facts
        again = await tester.send(user, "email", "tests-mail", {"name": "Ada"})
        assert (await tester.settled(again))["status"] == "sent"


async def test_a_test_key_makes_test_keys_only(system: System) -> None:
    async with Client(system.processes.url, await _test_key(system)) as tester:
        with pytest.raises(RefusedError, match="TEST_KEY_ONLY"):
            await tester.call("POST", "/v1/api-keys", {"name": "live", "scopes": ["users:read"]})
        made = await tester.call("POST", "/v1/api-keys", {"name": "child", "scopes": ["users:read"], "test": True})
        assert made["api_key"]["test"]


async def test_nothing_is_captured_of_a_live_key(system: System) -> None:
    await system.client.create_template("tests-mail", "email", WELCOME)
    user = await system.client.create_user("live-and-not-captured@example.com")
    sent = await system.client.send(user, "email", "tests-mail", {"name": "Ada"})
    await system.client.settled(sent)
    with pytest.raises(RefusedError, match="NOTHING_CAPTURED"):
        await system.client.call("GET", f"/v1/notifications/{sent}/captured-message")
