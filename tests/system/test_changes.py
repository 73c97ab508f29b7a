"""The feed over real connections: cut, resumed, filtered, and what is said about cursors."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncGenerator
from typing import Any

import grpc.aio
import httpx
import pytest

from clarion.notification.v1 import change_service_pb2, notification_pb2
from clarion.notification.v1.change_service_pb2_grpc import ChangeServiceStub
from devstack.client import RefusedError
from devstack.processes import API_KEY
from devstack.samples import WELCOME
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

SENDS = 120
WAY = ["pending", "queued", "sent"]
EVENTS_A_CONNECTION = 25


async def _events(system: System, last_id: str, path: str) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
    headers = {"Authorization": f"Bearer {API_KEY}", "Accept": "text/event-stream", **({"Last-Event-ID": last_id} if last_id else {})}
    async with (
        httpx.AsyncClient(base_url=system.processes.url, timeout=60) as http,
        http.stream("GET", path, headers=headers) as response,
    ):
        assert response.status_code == 200
        identifier = ""
        async for line in response.aiter_lines():
            if line.startswith("id: "):
                identifier = line.removeprefix("id: ")
            elif line.startswith("data: "):
                yield identifier, json.loads(line.removeprefix("data: "))


async def _here(system: System) -> str:
    """A cursor at the end of the feed."""
    cursor, more = "", True
    while more:
        page = await system.client.call("GET", f"/v1/changes?page_size=1000&cursor={cursor}")
        cursor, more = page.get("next_cursor", ""), page.get("has_more", False)
    return cursor or "0"


async def test_a_browser_that_is_cut_again_and_again_sees_every_change_once(system: System) -> None:
    await system.client.create_template("feed", "email", WELCOME)
    user = await system.client.create_user("feed@example.com")
    seen: list[str] = []
    ways: dict[str, list[str]] = defaultdict(list)
    last_id = await _here(system)
    items = [{"user_id": user, "channel": "email", "template": "feed", "variables": {"name": "Ada"}} for _ in range(SENDS)]
    sending = asyncio.create_task(system.client.call("POST", "/v1/notifications:batch", {"requests": items}))
    async with asyncio.timeout(90):
        while sum(len(way) == len(WAY) for way in ways.values()) < SENDS:
            events = _events(system, last_id, "/v1/changes:watch?template=feed")
            count = 0
            async for last_id, event in events:
                seen.append(last_id)
                ways[str(event["change"]["notification_id"])].append(str(event["change"]["status"]))
                count += 1
                if count == EVENTS_A_CONNECTION or sum(len(way) == len(WAY) for way in ways.values()) == SENDS:
                    break
            await events.aclose()
    accepted = {result["accepted"]["id"] for result in (await sending)["results"]}
    assert ways.keys() == accepted
    assert all(way == WAY for way in ways.values())
    assert len(seen) == len(set(seen)) == SENDS * len(WAY)
    assert seen == sorted(seen, key=int)


async def test_pages_and_streams_agree(system: System) -> None:
    await system.client.create_template("feed", "email", WELCOME)
    user = await system.client.create_user("feed-pages@example.com")
    start = await _here(system)
    sent = await system.client.send(user, "email", "feed", {"name": "Ada"}, metadata={"order": "A-17"})
    await system.client.settled(sent)
    path = f"/v1/changes?cursor={start}&metadata=order%3DA-17"
    async with asyncio.timeout(30):
        while len((page := await system.client.call("GET", path)).get("changes", [])) < len(WAY):  # noqa: ASYNC110  other processes offer no event
            await asyncio.sleep(0.05)
    assert [change["status"] for change in page["changes"]] == WAY
    assert {change["user_id"] for change in page["changes"]} == {user}
    async with grpc.aio.insecure_channel(f"127.0.0.1:{system.processes.grpc_ports['gateway']}") as channel:
        request = change_service_pb2.WatchChangesRequest(
            cursor=start, statuses=[notification_pb2.NOTIFICATION_STATUS_SENT], metadata=["order=A-17"]
        )
        call: Any = ChangeServiceStub(channel).WatchChanges(request, metadata=(("authorization", f"Bearer {API_KEY}"),))
        first = await call.read()
        call.cancel()
    assert (first.change.notification_id, first.cursor) == (sent, page["changes"][-1]["cursor"])


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("cursor=abc", "cursor"),
        ("cursor=9999999999", "beyond"),
        ("metadata=order", "name=value"),
        ("metadata=order=1&metadata=order=2", "together"),
        ("statuses=x", "statuses"),
    ],
)
async def test_what_makes_no_sense_is_refused(system: System, query: str, words: str) -> None:
    with pytest.raises(RefusedError, match=words) as caught:
        await system.client.call("GET", f"/v1/changes?{query}")
    assert caught.value.status == 400
