"""The feed of changes under load, with gateways killed: four readers, each of which goes on at the other gateway behind its cursor."""

import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import grpc.aio
import httpx

from clarion.notification.v1 import change_service_pb2
from clarion.notification.v1.change_service_pb2_grpc import ChangeServiceStub
from devstack.processes import API_KEY
from tests.system.drills.load import Load
from tests.system.drills.rig import Rig

_HEADERS = {"Authorization": f"Bearer {API_KEY}"}
_RATE = 60.0
_CUT_S = 2.0
_PAUSE_S = 0.1
_SETTLED_S = 120.0
_ALL = "SELECT notification_id, status, run, attempt FROM changes ORDER BY seq"
_OPEN = "SELECT count(*) FROM notifications WHERE status NOT IN (6, 7, 8, 9, 10)"
_STATUSES = ("scheduled", "pending", "queued", "sending", "retrying", "sent", "failed", "skipped", "cancelled", "expired")

Seen = tuple[str, str, int, int]  # notification, status, run, attempt


@dataclass(slots=True)
class Reader:
    """What one reader has seen, in the order in which it came. Each place has the gateway's REST address and gRPC port."""

    name: str
    read: "Callable[[Reader, str, int], Awaitable[None]]"
    places: Sequence[tuple[str, int]]
    cursor: str = "0"
    seen: list[tuple[int, Seen]] = field(default_factory=list)
    cuts: int = 0

    def take(self, change: Any) -> None:
        """A change as JSON."""
        self.cursor = str(change["cursor"])
        self.seen.append(
            (int(self.cursor), (change["notification_id"], str(change["status"]), int(change.get("run", 0)), int(change.get("attempt", 0))))
        )

    async def run(self) -> None:
        """Reads until it is cancelled, at the next gateway whenever something ends."""
        turn = 0
        while True:
            url, port = self.places[turn % len(self.places)]
            try:
                await self.read(self, url, port)
            except (httpx.HTTPError, grpc.aio.AioRpcError, TimeoutError):
                await asyncio.sleep(_PAUSE_S)
            self.cuts += 1
            turn += 1


async def _pages(reader: Reader, url: str, port: int) -> None:
    async with httpx.AsyncClient(base_url=url, headers=_HEADERS, timeout=5) as http:
        while True:
            answer = await http.get("/v1/changes", params={"cursor": reader.cursor, "page_size": 200})
            answer.raise_for_status()
            page = answer.json()
            for change in page.get("changes", ()):
                reader.take(change)
            reader.cursor = page.get("next_cursor") or reader.cursor
            if not page.get("has_more"):
                await asyncio.sleep(_PAUSE_S)


async def _lines(url: str, accept: str, cursor: str) -> AsyncIterator[str]:
    timeout = httpx.Timeout(5, read=30)
    headers = {**_HEADERS, "Accept": accept, **({"Last-Event-ID": cursor} if "event" in accept else {})}
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout) as http,
        http.stream("GET", "/v1/changes:watch", params={"cursor": cursor}) as response,
    ):
        response.raise_for_status()
        async for line in response.aiter_lines():
            yield line


async def _ndjson(reader: Reader, url: str, port: int) -> None:
    async for line in _lines(url, "application/x-ndjson", reader.cursor):
        result = json.loads(line).get("result") if line.strip() else None
        if result and "change" in result:
            reader.take(result["change"])


async def _events(reader: Reader, url: str, port: int) -> None:
    """Cut every two seconds, as by a proxy, and resumed as a browser does it."""
    async with asyncio.timeout(_CUT_S):
        async for line in _lines(url, "text/event-stream", reader.cursor):
            if line.startswith("data: ") and "change" in (event := json.loads(line.removeprefix("data: "))):
                reader.take(event["change"])


async def _grpc(reader: Reader, url: str, port: int) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        request = change_service_pb2.WatchChangesRequest(cursor=reader.cursor)
        call: Any = ChangeServiceStub(channel).WatchChanges(request, metadata=(("authorization", f"Bearer {API_KEY}"),))
        async for message in call:
            if message.HasField("change"):
                change = message.change
                status = _STATUSES[change.status - 1]
                reader.take(
                    {
                        "cursor": change.cursor,
                        "notification_id": change.notification_id,
                        "status": status,
                        "run": change.run,
                        "attempt": change.attempt,
                    }
                )


@dataclass(frozen=True, slots=True)
class FeedResult:
    """What came of it; `problems` says in words what is wrong."""

    changes: int
    notifications: int
    kills: int
    cuts: dict[str, int]
    seconds: int
    problems: list[str]

    @property
    def passed(self) -> bool:
        """Whether every reader has seen every change, in order, once for each cursor."""
        return not self.problems


async def watched(rig: Rig, *, count: int, kills: int) -> FeedResult:
    """So many notifications, the first ones of the rig, during which a gateway is killed so many times: the two in turn."""
    gateways = rig.processes.replicas_of("gateway")
    places = [(url, rig.processes.grpc_ports[name]) for url, name in zip(rig.processes.urls, gateways, strict=True)]
    readers = [
        Reader("pages", _pages, places),
        Reader("ndjson", _ndjson, places[::-1]),
        Reader("events", _events, places),
        Reader("grpc", _grpc, places[::-1]),
    ]
    reading = [asyncio.create_task(reader.run()) for reader in readers]
    begun = time.monotonic()
    load = Load(rig.urls, rig.people, tag="feed", count=count, rate=_RATE)
    sending = asyncio.create_task(load.run())
    for number in range(kills):
        await load.reached(count * (number + 1) // (kills + 1))
        victim = gateways[number % len(gateways)]
        sys.stderr.write(f"killing {victim} ...\n")
        await asyncio.to_thread(rig.processes.kill, victim)
        rig.processes.spawn(victim)
        await rig.processes.wait_serving(victim)
    await sending
    truth = await _truth(rig, readers)
    seconds = round(time.monotonic() - begun)
    for task in reading:
        task.cancel()
    for outcome in await asyncio.gather(*reading, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
    problems = [f"refused: {reason}" for reason in load.refused.values()]
    for reader in readers:
        problems += _compare(reader, truth)
    return FeedResult(len(truth), len({one[0] for one in truth}), kills, {one.name: one.cuts for one in readers}, seconds, problems)


async def _truth(rig: Rig, readers: Sequence[Reader]) -> list[Seen]:
    """All changes of the database once nothing moves any more and the readers had time to see the last."""
    connection = await asyncpg.connect(rig.database_url())
    try:
        async with asyncio.timeout(_SETTLED_S):
            while await connection.fetchval(_OPEN):  # noqa: ASYNC110  other processes settle them
                await asyncio.sleep(_PAUSE_S)
        rows = await connection.fetch(_ALL)
        try:
            async with asyncio.timeout(_SETTLED_S / 4):
                while any(len(reader.seen) < len(rows) for reader in readers):  # noqa: ASYNC110  they read from other processes
                    await asyncio.sleep(_PAUSE_S)
        except TimeoutError:
            pass  # what is missing is said below
        return [
            (str(row["notification_id"]), _STATUSES[row["status"] - 1], row["run"], row["attempt"]) for row in await connection.fetch(_ALL)
        ]
    finally:
        await connection.close()


def _compare(reader: Reader, truth: Sequence[Seen]) -> list[str]:
    """What a reader has not seen, has seen twice, or has seen in another order than it happened."""
    problems = []
    cursors = [cursor for cursor, _ in reader.seen]
    if cursors != sorted(set(cursors)):
        problems.append(f"{reader.name}: cursors come twice or out of order")
    happened: dict[str, list[Seen]] = defaultdict(list)
    for one in truth:
        happened[one[0]].append(one)
    found: dict[str, list[Seen]] = defaultdict(list)
    for _, one in reader.seen:
        found[one[0]].append(one)
    wrong = [name for name in happened.keys() | found.keys() if found.get(name) != happened.get(name)]
    if wrong:
        name = wrong[0]
        problems.append(f"{reader.name}: {len(wrong)} notifications differ, such as {name}: {found.get(name)} and not {happened.get(name)}")
    return problems
