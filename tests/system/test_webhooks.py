"""Webhooks through every process: changes of notifications are posted to real HTTP servers, signed, retried, replayed."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from clarion_client import webhooks
from devstack.client import Client, RefusedError
from devstack.samples import WELCOME
from mesh.testing import free_port
from tests.system.conftest import System
from tests.waiting import GUARD_S

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

SCOPES = ["webhooks:read", "webhooks:write", "users:write", "templates:write", "notifications:send", "notifications:read"]
Answer = Callable[[web.Request, Any], Awaitable[web.Response]]


class Receiver:
    """A server of a customer's: keeps what it gets by path, and answers as it is asked to."""

    def __init__(self) -> None:
        self.got: dict[str, list[tuple[dict[str, str], bytes]]] = {}
        self.answers: dict[str, Answer] = {}
        self.changed = asyncio.Event()
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.got.setdefault(request.path, []).append((dict(request.headers), body))
        self.changed.set()
        answer = self.answers.get(request.path)
        return web.Response(text="thanks") if answer is None else await answer(request, json.loads(body))

    def events(self, path: str) -> list[Any]:
        return [json.loads(body) for _, body in self.got.get(path, ())]

    async def until(self, ready: Callable[[], bool]) -> None:
        async with asyncio.timeout(GUARD_S):
            while not ready():
                self.changed.clear()
                await self.changed.wait()


@pytest_asyncio.fixture(loop_scope="session")
async def receiver() -> AsyncIterator[Receiver]:
    opened = Receiver()
    application = web.Application()
    application.router.add_post("/{tail:.*}", opened.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    opened.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield opened
    await runner.cleanup()


@pytest_asyncio.fixture(loop_scope="session")
async def project(system: System, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """A project of the test's own."""
    name = f"w-{abs(hash(request.node.name))}"
    await system.client.call("POST", "/v1/projects", {"id": name})
    key: Any = await system.client.call("POST", "/v1/api-keys", {"name": name, "project": name, "scopes": SCOPES})
    async with Client(system.processes.url, key["secret"], timeout_s=40) as client:
        await client.create_template("welcome", "email", WELCOME)
        yield client


async def create(project: Client, url: str, **fields: Any) -> tuple[str, str]:
    made: Any = await project.call("POST", "/v1/webhook-endpoints", {"url": url, **fields})
    return made["webhook_endpoint"]["id"], made["secret"]


async def send(project: Client, count: int = 1) -> list[str]:
    user = await project.create_user(f"hook{count}@example.com")
    return [await project.send(user, "email", "welcome", {"name": "W"}) for _ in range(count)]


async def find(project: Client, path: str, ready: Callable[[Any], bool]) -> Any:
    """What is there once it is so."""
    async with asyncio.timeout(30):
        while True:
            found = await project.call("GET", f"/v1/webhook-endpoints/{path}")
            if ready(found):
                return found
            await asyncio.sleep(0.05)  # other processes offer no event


async def test_every_change_is_posted_signed_and_in_order(system: System, project: Client, receiver: Receiver) -> None:
    """The reference library and ours take the signature; the payload holds ids and labels, and neither address nor name."""
    endpoint, secret = await create(project, f"{receiver.url}/all")
    sent = await send(project, 20)
    await receiver.until(lambda: sum(event["type"] == "notification.sent" for event in receiver.events("/all")) == 20)
    for headers, body in receiver.got["/all"]:
        Webhook(secret).verify(body, {name.lower(): value for name, value in headers.items()})
        assert webhooks.verify(body, headers, secret)["data"]["template"] == "welcome"
        assert len(body) < 20_000
        assert b"example.com" not in body
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body + b" ", {name.lower(): value for name, value in headers.items()})
    events = receiver.events("/all")
    for identifier in sent:
        statuses = [event["data"]["status"] for event in events if event["data"]["notification_id"] == identifier]
        assert statuses == [status for status in ("pending", "queued", "sent") if status in statuses]
    ids = [headers["webhook-id"] for headers, _ in receiver.got["/all"]]
    feed: Any = await project.call("GET", "/v1/changes?page_size=1000")
    assert len(set(ids)) == len(ids) == len(feed["changes"])
    assert sorted(event["data"]["cursor"] for event in events) == sorted(change["cursor"] for change in feed["changes"])
    path = f"{endpoint}/deliveries?notification_id={sent[0]}"
    listed = await find(project, path, lambda found: found["deliveries"][0]["type"] == "notification.sent")
    assert {delivery["state"] for delivery in listed["deliveries"]} == {"delivered"}
    (attempt,) = listed["deliveries"][0]["attempts"]
    assert (attempt["status"], attempt["reply"]) == (200, "thanks")
    shown: list[str] = []
    token = ""
    while True:
        page: Any = await project.call("GET", f"/v1/webhook-endpoints/{endpoint}/deliveries?page_size=7&page_token={token}")
        shown += [delivery["cursor"] for delivery in page["deliveries"]]
        token = page.get("next_page_token", "")
        if not token:
            break
    assert shown == [change["cursor"] for change in reversed(feed["changes"])]


async def test_filters_a_secret_that_is_replaced_and_a_test(project: Client, receiver: Receiver) -> None:
    endpoint, old = await create(project, f"{receiver.url}/filtered", statuses=["sent"], description="only sent")
    tested: Any = await project.call("POST", f"/v1/webhook-endpoints/{endpoint}:test", {})
    assert (tested["status"], tested["reply"]) == (200, "thanks")
    assert [event["type"] for event in receiver.events("/filtered")] == ["webhook.test"]
    rotated: Any = await project.call("POST", f"/v1/webhook-endpoints/{endpoint}:rotateSecret", {})
    await send(project)
    await receiver.until(lambda: len(receiver.events("/filtered")) == 2)
    headers, body = receiver.got["/filtered"][1]
    assert json.loads(body)["type"] == "notification.sent"
    for secret in (old, rotated["secret"]):
        Webhook(secret).verify(body, {name.lower(): value for name, value in headers.items()})
    shown = await project.call("GET", f"/v1/webhook-endpoints/{endpoint}")
    assert "whsec_" not in json.dumps(shown)
    assert shown["statuses"] == ["sent"]


async def test_an_endpoint_for_one_person(project: Client, receiver: Receiver) -> None:
    """By the project's own id; another person is asked for, and then anyone."""
    people: list[Any] = [
        await project.call("POST", "/v1/users", {"email": f"{name}@example.com", "name": name, "external_id": f"crm-{name}"})
        for name in ("ann", "ben")
    ]
    made: Any = await project.call(
        "POST", "/v1/webhook-endpoints", {"url": f"{receiver.url}/one", "statuses": ["sent"], "user_id": "crm-ann"}
    )
    path = f"/v1/webhook-endpoints/{made['webhook_endpoint']['id']}"
    assert made["webhook_endpoint"]["user_id"] == people[0]["id"]

    async def send_both(arrived: int) -> list[str]:
        for person in people:
            await project.settled(await project.send(person["id"], "email", "welcome", {"name": "W"}))
        await receiver.until(lambda: len(receiver.events("/one")) == arrived)
        return [event["data"]["user_id"] for event in receiver.events("/one")]

    async def nothing_waits() -> None:
        await find(project, made["webhook_endpoint"]["id"], lambda shown: shown.get("waiting_count", "0") == "0")

    assert await send_both(1) == [people[0]["id"]]
    await nothing_waits()
    changed: Any = await project.call("PATCH", path, {"user_id": people[1]["id"]})
    assert changed["user_id"] == people[1]["id"]
    assert await send_both(2) == [people[0]["id"], people[1]["id"]]
    await nothing_waits()
    anyone: Any = await project.call("PATCH", f"{path}?update_mask=user_id", {})
    assert anyone["user_id"] == ""
    assert set((await send_both(4))[2:]) == {person["id"] for person in people}
    with pytest.raises(RefusedError, match=r"webhook_endpoint\.user_id"):
        await project.call("PATCH", path, {"user_id": "crm-unknown"})


async def test_what_fails_is_tried_again_under_the_same_id_and_replayed_on_request(project: Client, receiver: Receiver) -> None:
    turns = iter([500, 302])

    async def answer(request: web.Request, event: Any) -> web.Response:
        status = next(turns, 200)
        headers = {"Location": f"{receiver.url}/elsewhere"} if status == 302 else {}
        return web.Response(status=status, text="x" * 5000, headers=headers)

    receiver.answers["/flaky"] = answer
    endpoint, _ = await create(project, f"{receiver.url}/flaky", statuses=["sent"])
    await send(project)
    await receiver.until(lambda: len(receiver.got.get("/flaky", ())) == 2)
    assert len({headers["webhook-id"] for headers, _ in receiver.got["/flaky"]}) == 1
    assert "/elsewhere" not in receiver.got
    listed: Any = await project.call("GET", f"/v1/webhook-endpoints/{endpoint}/deliveries")
    (delivery,) = listed["deliveries"]
    assert (delivery["state"], [attempt["status"] for attempt in delivery["attempts"]][:1]) == ("waiting", [500])
    assert len(delivery["attempts"][0]["reply"]) == 1024
    replayed: Any = await project.call("POST", f"/v1/webhook-endpoints/{endpoint}:replay", {"delivery_ids": [delivery["id"]]})
    assert replayed["replayed_count"] == "1"
    await receiver.until(lambda: len(receiver.got["/flaky"]) == 3)
    await find(project, f"{endpoint}/deliveries", lambda listed: listed["deliveries"][0]["state"] == "delivered")


async def test_an_endpoint_that_is_gone_gets_no_more_until_it_is_enabled(project: Client, receiver: Receiver) -> None:
    """What it has missed comes then."""

    async def gone(request: web.Request, event: Any) -> web.Response:
        return web.Response(status=410)

    receiver.answers["/gone"] = gone
    endpoint, _ = await create(project, f"{receiver.url}/gone", statuses=["sent"])
    await send(project, 2)
    found = await find(project, endpoint, lambda shown: shown["state"] == "gone")
    assert "410" in found["state_reason"]
    with pytest.raises(RefusedError, match="WEBHOOK_ENDPOINT_NOT_ENABLED"):
        await project.call("POST", f"/v1/webhook-endpoints/{endpoint}:test", {})
    del receiver.answers["/gone"]
    before = len(receiver.events("/gone"))
    again: Any = await project.call("PATCH", f"/v1/webhook-endpoints/{endpoint}", {"disabled": False})
    assert again["state"] == "enabled"
    await project.call("POST", f"/v1/webhook-endpoints/{endpoint}:replay", {"state": "waiting"})
    await receiver.until(lambda: len({e["data"]["notification_id"] for e in receiver.events("/gone")[before:]}) == 2)


async def test_slow_and_dead_endpoints_hold_up_no_other(project: Client, receiver: Receiver) -> None:
    """And what they miss waits for them."""

    async def slow(request: web.Request, event: Any) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async def dead(request: web.Request, event: Any) -> web.Response:
        return web.Response(status=503)

    receiver.answers.update({"/slow": slow, "/dead": dead})
    await create(project, f"{receiver.url}/slow")
    dead_one, _ = await create(project, f"{receiver.url}/dead")
    await create(project, f"http://127.0.0.1:{free_port()}/refused")
    await create(project, f"{receiver.url}/good")
    await send(project, 60)
    await receiver.until(lambda: len(receiver.events("/good")) == 180)
    found = await find(project, dead_one, lambda shown: "failing_since" in shown)
    assert found["state"] == "enabled"
    assert len(receiver.got["/dead"]) <= 30


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "required"),
        ("ftp://example.com/", "https"),
        ("https://", "https"),
        ("https://user:secret@example.com/", "password"),
        ("https://example.com/#part", "fragment"),
        ("https://example.com:22/", "port"),
        ("https://exa mple.com/", "https"),
        ("https://example.com:99999/", "URL"),
    ],
)
async def test_what_can_be_no_endpoint_is_refused(project: Client, url: str, words: str) -> None:
    with pytest.raises(RefusedError) as refused:
        await project.call("POST", "/v1/webhook-endpoints", {"url": url})
    assert refused.value.status == 400
    assert words in str(refused.value)
    assert "webhook_endpoint.url" in str(refused.value)


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "0x0a000001", "167772161", "[fd00:ec2::254]"]
)
async def test_no_endpoint_is_at_an_address_inside(project: Client, host: str) -> None:
    """However it is written; it is said as the endpoint is made or changed, and not at each call only."""
    with pytest.raises(RefusedError, match=r"webhook_endpoint\.url: must not lead to an address that is not public") as refused:
        await create(project, f"https://{host}/")
    assert refused.value.status == 400
    endpoint, _ = await create(project, "https://hooks.example.com/")
    with pytest.raises(RefusedError, match="must not lead to an address"):
        await project.call("PATCH", f"/v1/webhook-endpoints/{endpoint}", {"url": f"https://{host}/"})
    await project.call("DELETE", f"/v1/webhook-endpoints/{endpoint}")
