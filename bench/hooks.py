"""Webhooks beside bad neighbours: how late changes come to an endpoint that is well, while another one is slow and a third one refuses all.

`late` counts from when a change was put into the feed, which is what webhooks answer for; `after` from when it happened by its own time,
which on a busy machine is long before its outcome is recorded. `python -m bench.hooks` is run alone; its last line is JSON.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
from aiohttp import web

from bench.meter import Meter
from bench.stack import Bench, open_bench
from devstack.client import Client
from devstack.processes import API_KEY

_CHANGES = 3  # of a notification that is sent at the first attempt
_SLOW_S = 30.0  # longer than an answer is waited for
_WITHIN_S = 600.0


@dataclass(slots=True)
class Receiver:
    """A customer's server with three endpoints: `/good` answers at once, `/slow` after half a minute, `/dead` with 503."""

    after_s: list[float] = field(default_factory=list)
    seen: dict[int, float] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        """Counts the call, and measures how old its change is: both clocks are this machine's."""
        body: Any = await request.json()
        self.calls[request.path] = self.calls.get(request.path, 0) + 1
        if request.path == "/slow":
            await asyncio.sleep(_SLOW_S)
        elif request.path == "/dead":
            return web.Response(status=503)
        elif (cursor := int(body["data"]["cursor"])) not in self.seen:
            self.seen[cursor] = time.time()
            self.after_s.append(self.seen[cursor] - datetime.fromisoformat(body["timestamp"]).timestamp())
            self.arrived.set()
        return web.Response(text="thanks")

    async def until(self, count: int) -> None:
        """Returns when so many changes have come to the good endpoint."""
        async with asyncio.timeout(_WITHIN_S):
            while len(self.seen) < count:
                self.arrived.clear()
                await self.arrived.wait()


@asynccontextmanager
async def _receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/{tail:.*}", receiver.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()


async def measure(bench: Bench, *, changes: int, rate: float) -> dict[str, Any]:
    """So many changes, of notifications that are sent at a steady rate."""
    count = -(-changes // _CHANGES)
    async with _receiver() as receiver, Client(bench.processes.url, API_KEY, timeout_s=60) as client:
        for path in ("/slow", "/dead", "/good"):
            await client.call("POST", "/v1/webhook-endpoints", {"url": receiver.url + path})
        with Meter(bench.pids()) as meter:
            begun = time.monotonic()
            async with asyncio.TaskGroup() as sending:
                for number in range(count):
                    await asyncio.sleep(begun + number / rate - time.monotonic())
                    variables = {"name": "Ann", "order": f"A{number}", "total": "12.50"}
                    sending.create_task(client.send(bench.users[number % len(bench.users)], "email", "order", variables))
            sent_s = time.monotonic() - begun
            await receiver.until(count * _CHANGES)
        put = await _put_into_the_feed(bench)
        return {
            "changes": len(receiver.seen),
            "changes_per_s": round(count * _CHANGES / sent_s, 1),
            "late": _spread([arrived - put[cursor] for cursor, arrived in receiver.seen.items()]),
            "after": _spread(receiver.after_s),
            "calls": receiver.calls,
            "cpu_ms_by_process": {name: round(used / count * 1000, 3) for name, used in meter.cpu_s.items()},
        }


async def _put_into_the_feed(bench: Bench) -> dict[int, float]:
    """When each change became readable, by its cursor; the clock is this machine's, too."""
    connection = await asyncpg.connect(bench.postgres.url("clarion_gateway"))
    try:
        rows = await connection.fetch(
            "SELECT first_position + place - 1 AS position, extract(epoch FROM create_time)::float8 AS put"
            " FROM change_batches, generate_series(1, cardinality(seqs)) AS place WHERE project = 'default'"
        )
    finally:
        await connection.close()
    return {row["position"]: row["put"] for row in rows}


def _spread(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "p50_s": round(ordered[len(ordered) // 2], 3),
        "p99_s": round(ordered[len(ordered) * 99 // 100], 3),
        "max_s": round(ordered[-1], 3),
        "within_2_s": round(sum(one <= 2 for one in ordered) / len(ordered), 5),
    }


async def _alone(changes: int, rate: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="clarion-hooks-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        async with open_bench(folder, users=200) as bench:
            return await measure(bench, changes=changes, rate=rate)


def main() -> None:
    """Measures it."""
    parser = argparse.ArgumentParser(prog="python -m bench.hooks", description=__doc__)
    parser.add_argument("--changes", type=int, default=10_000, help="changes that each endpoint is to get (default: 10000)")
    parser.add_argument("--rate", type=float, default=50.0, help="notifications per second (default: 50)")
    given = parser.parse_args()
    sys.stdout.write(json.dumps(asyncio.run(_alone(given.changes, given.rate))) + "\n")


if __name__ == "__main__":
    main()
