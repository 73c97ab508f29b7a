"""kill -9 in the middle of five hundred notifications."""

import asyncio
from collections import Counter

import pytest

from devstack.client import Client
from devstack.processes import API_KEY
from devstack.samples import WELCOME
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

COUNT = 500


async def _accepted(client: Client, user: str, number: int) -> str:
    """Sends until the gateway answers, with one key: a caller who retries as the documentation says."""
    body = {"user_id": user, "channel": "email", "template": "welcome", "variables": {"name": f"K{number}"}}
    for _ in range(200):
        try:
            answer = await client.call("POST", "/v1/notifications", body, {"Idempotency-Key": f"kill-{user}-{number}"})
        except Exception:  # noqa: BLE001  refused, reset, half-answered: that is what the drill is about
            await asyncio.sleep(0.1)
            continue
        return str(answer["id"])
    raise AssertionError("the gateway did not come back")


@pytest.mark.parametrize("victim", ["email_worker", "gateway"])
async def test_killing_a_process_in_the_middle_loses_nothing(system: System, victim: str) -> None:
    """All are told as sent and have arrived; twice only what was in flight at the kill."""
    await system.client.create_template("welcome", "email", WELCOME)
    user = await system.client.create_user(f"kill-{victim}@example.com")
    before = system.smtp.received
    async with Client(system.processes.url, API_KEY) as client:
        gate = asyncio.Semaphore(16)

        async def one(number: int) -> str:
            async with gate:
                return await _accepted(client, user, number)

        sending = [asyncio.create_task(one(number)) for number in range(COUNT)]
        async with asyncio.timeout(60):
            await system.smtp.received_at_least(before + COUNT // 5)
        await asyncio.to_thread(system.processes.kill, victim)
        system.processes.spawn(victim)
        await system.processes.wait_serving(victim)
        ids = await asyncio.gather(*sending)
    assert len(set(ids)) == COUNT
    statuses = await system.client.all_settled(user, timeout_s=90)
    assert Counter(statuses[identifier] for identifier in ids) == {"sent": COUNT}
    names = Counter(str(mail.message["subject"]) for mail in list(system.smtp.mails) if mail.recipients == (f"kill-{victim}@example.com",))
    assert len(names) == COUNT
    duplicates = sum(names.values()) - COUNT
    assert duplicates <= 16, "more than the connections of the pool were in flight"
