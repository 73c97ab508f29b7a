"""A bulk stream through the death of its gateway: resumed by its client, each item once."""

import asyncio
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from clarion_client import Clarion
from devstack.processes import API_KEY
from devstack.samples import WELCOME
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

COUNT = 3000
GROWTH_MB = 50


def _items(user: str, prefix: str, count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        item = {"user_id": user, "channel": "email", "template": "bulk", "variables": {"name": "B"}, "metadata": {"run": prefix}}
        # one in a thousand is refused: for a time too far ahead
        yield {**item, "request_id": f"{prefix}-{number}", "send_at": "2999-01-01T00:00:00Z"} if number % 1000 == 999 else item


@pytest.mark.parametrize("door", ["grpc", "http"])
async def test_a_gateway_that_dies_in_the_middle_costs_nothing(system: System, door: str) -> None:
    await system.client.create_template("bulk", "email", WELCOME)
    user = await system.client.create_user(f"bulk-{door}@example.com")
    url = system.processes.url if door == "http" else f"grpc://127.0.0.1:{system.processes.grpc_ports['gateway']}"
    halfway = asyncio.Event()
    loop = asyncio.get_running_loop()

    def send() -> list[str]:
        ids = []
        with Clarion(url, API_KEY, retries=50) as clarion:
            for place, result in enumerate(clarion.notifications.bulk_send(_items(user, f"run-{door}", COUNT))):
                ids.append(result.accepted.id if result.accepted else str((result.error or {}).get("message")))
                if place == COUNT // 3:
                    loop.call_soon_threadsafe(halfway.set)
        return ids

    sending = asyncio.create_task(asyncio.to_thread(send))
    async with asyncio.timeout(60):
        await halfway.wait()
    await asyncio.to_thread(system.processes.kill, "gateway")
    system.processes.spawn("gateway")
    await system.processes.wait_serving("gateway")
    async with asyncio.timeout(120):
        ids = await sending
    refused = [one for one in ids if "send_at" in one]
    assert len(ids) == COUNT
    assert len(refused) == COUNT // 1000
    assert len(set(ids) - set(refused)) == COUNT - len(refused)
    found, token = 0, ""
    while True:
        page = await system.client.call("GET", f"/v1/notifications?page_size=200&metadata=run%3Drun-{door}&page_token={token}")
        found, token = found + len(page["notifications"]), page["next_page_token"]
        if not token:
            break
    assert found == COUNT - len(refused)


async def test_a_long_stream_leaves_the_gateways_memory_as_it_was(system: System) -> None:
    await system.client.create_template("bulk", "email", WELCOME)
    user = await system.client.create_user("bulk-memory@example.com")
    gateway = psutil.Process(system.processes.processes["gateway"].pid)

    def send(prefix: str, count: int) -> int:
        with Clarion(f"grpc://127.0.0.1:{system.processes.grpc_ports['gateway']}", API_KEY) as clarion:
            return sum(result.accepted is not None for result in clarion.notifications.bulk_send(_items(user, prefix, count)))

    await asyncio.to_thread(send, "warm", 900)
    before = gateway.memory_info().rss
    assert await asyncio.to_thread(send, "long", 10_000) == 10_000 - 10
    assert (gateway.memory_info().rss - before) / 2**20 < GROWTH_MB
