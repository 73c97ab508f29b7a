"""How long retries really wait on the real RabbitMQ, a hundred at a time. Early is wrong; how late they are is printed (`pytest -s`)."""

import asyncio
import statistics
from datetime import datetime
from typing import Any

import pytest

from devstack.fcm import fails
from devstack.samples import SHIPPED, WELCOME
from devstack.smtp import replies
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

COUNT = 100
LADDER_S = (2, 4, 8)


def _waits_s(notification: Any) -> list[float]:
    """Seconds from the end of each failed attempt to the provider's next call."""
    timeline = notification["timeline"]
    failed = {entry["attempt"]: datetime.fromisoformat(entry["time"]) for entry in timeline if entry["status"] == "retrying"}
    begun = {entry["attempt"]: datetime.fromisoformat(entry["time"]) for entry in timeline if entry["status"] == "sending"}
    return [(begun[attempt + 1] - moment).total_seconds() for attempt, moment in sorted(failed.items())]


async def test_a_hundred_retries_wait_2_4_and_8_seconds_and_all_arrive(system: System) -> None:
    """Each of them fails three times; none is early. The mailboxes are full: what a provider says to everyone would be its own state."""
    await system.client.create_template("welcome", "email", WELCOME)
    gate = asyncio.Semaphore(16)

    async def person(number: int) -> str:
        address = f"ladder{number}@example.com"
        system.smtp.script(address, *[replies("452 4.2.2 Mailbox full")] * len(LADDER_S))
        async with gate:
            return await system.client.create_user(address)

    people = await asyncio.gather(*map(person, range(COUNT)))
    ids = await asyncio.gather(*(system.client.send(user, "email", "welcome", {"name": "L"}) for user in people))
    # the last of them, so that a hundred watchers take no processor time from the retries
    await system.client.settled(ids[-1], timeout_s=60)
    settled = [await system.client.settled(identifier, timeout_s=60) for identifier in ids]
    assert {(notification["status"], notification["attempts"]) for notification in settled} == {("sent", 4)}
    for step, planned_s in enumerate(LADDER_S):
        late_ms = sorted((_waits_s(notification)[step] - planned_s) * 1000 for notification in settled)
        assert late_ms[0] >= 0
        print(  # noqa: T201  the measurement
            f"after {planned_s} s: {COUNT} retries, late by {statistics.median(late_ms):.0f} ms (median), "
            f"{late_ms[int(COUNT * 0.95)]:.0f} ms (p95), {late_ms[-1]:.0f} ms (most)"
        )


@pytest.mark.parametrize(("status", "name"), [(429, "RESOURCE_EXHAUSTED"), (503, "UNAVAILABLE")])
async def test_retry_after_is_never_undercut(system: System, status: int, name: str) -> None:
    """FCM asks for five seconds, which is longer than the ladder's first step."""
    token = f"patient-{status}"
    system.fcm.script(token, fails(status, name, retry_after="5"))
    await system.client.create_template("order-shipped", "push", SHIPPED)
    user = await system.client.create_user(f"{token}@example.com")
    await system.client.call("POST", f"/v1/users/{user}/devices", {"token": token, "platform": "android"})
    notification = await system.client.settled(await system.client.send(user, "push", "order-shipped", {"order": "17"}), timeout_s=60)
    assert (notification["status"], notification["attempts"]) == ("sent", 2)
    (waited_s,) = _waits_s(notification)
    assert waited_s >= 5
    print(f"Retry-After 5 on {status}: tried again after {waited_s:.2f} s")  # noqa: T201  the measurement
