"""What happens when the SMTP server refuses."""

import asyncio
from datetime import datetime
from typing import Any

import pytest

from devstack.samples import WELCOME
from devstack.smtp import replies
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


async def _send(system: System, address: str) -> str:
    await system.client.create_template("welcome", "email", WELCOME)
    user = await system.client.create_user(address)
    return await system.client.send(user, "email", "welcome", {"name": "R"})


def _delays_s(notification: Any) -> list[float]:
    """Seconds from each failed attempt to the next one's start."""
    timeline = notification["timeline"]
    failed = [datetime.fromisoformat(entry["time"]) for entry in timeline if entry["status"] == "retrying"]
    begun = [datetime.fromisoformat(entry["time"]) for entry in timeline if entry["status"] == "sending" and entry["attempt"] > 1]
    return [(after - before).total_seconds() for before, after in zip(failed, begun, strict=True)]


async def test_451_is_tried_again_after_2_4_and_8_seconds_and_given_up_after_that(system: System) -> None:
    """Three times 451 and then 250 is sent; 451 for ever fails with a dead letter. Both at the same time, since each takes its 14 s."""
    system.smtp.script("patient@example.com", *[replies("451 4.7.1 Try again later")] * 3)
    system.smtp.script_always("hopeless@example.com", replies("451 4.7.1 <hopeless@example.com> Try again later"))
    patient, hopeless = [await _send(system, f"{name}@example.com") for name in ("patient", "hopeless")]
    sent, failed = await asyncio.gather(*(system.client.settled(identifier, timeout_s=60) for identifier in (patient, hopeless)))
    assert (sent["status"], sent["attempts"]) == ("sent", 4)
    assert (failed["status"], failed["attempts"]) == ("failed", 4)
    retrying = [entry for entry in sent["timeline"] if entry["status"] == "retrying"]
    assert [entry["reason"] for entry in retrying] == ["SMTP_451"] * 3
    assert "Try again later" in retrying[0]["detail"]
    for planned, waited in zip((2, 4, 8), _delays_s(sent), strict=True):
        assert planned <= waited
    letter = await _dead_letter(system, hopeless)
    assert (letter["reason"], letter["attempts"], letter["state"]) == ("SMTP_451", 4, "open")
    assert "hopeless@example.com" not in str(letter)


async def test_550_fails_at_once(system: System) -> None:
    """A permanent error uses one attempt."""
    system.smtp.script_always("nobody@example.com", replies("550 5.1.1 No such user"))
    identifier = await _send(system, "nobody@example.com")
    notification = await system.client.settled(identifier)
    assert (notification["status"], notification["attempts"], notification["reason"]) == ("failed", 1, "SMTP_550")
    assert (await _dead_letter(system, identifier))["reason"] == "SMTP_550"


async def _dead_letter(system: System, identifier: str) -> Any:
    """The dead letter travels beside the outcome, so that it may come a moment later."""
    async with asyncio.timeout(10):
        while True:
            listed = await system.client.call("GET", "/v1/dead-letters?page_size=200")
            found = [letter for letter in listed["dead_letters"] if letter["notification_id"] == identifier]
            if found:
                return found[0]
            await asyncio.sleep(0.05)


async def test_five_connection_failures_open_the_breaker_and_use_no_attempt_of_those_that_wait(system: System) -> None:
    """While it is open mails are parked with their attempts; after it all are sent."""
    await system.client.create_template("welcome", "email", WELCOME)
    user = await system.client.create_user("breaker@example.com")
    await system.smtp.stop()
    first = [await system.client.send(user, "email", "welcome", {"name": f"B{number}"}) for number in range(5)]
    await asyncio.gather(*(_reached(system, identifier, "retrying") for identifier in first))
    parked = await system.client.send(user, "email", "welcome", {"name": "parked"})
    seen = await _reached(system, parked, "BREAKER_OPEN")
    await system.smtp.start()
    notifications = await asyncio.gather(*(system.client.settled(identifier, timeout_s=90) for identifier in (*first, parked)))
    assert {notification["status"] for notification in notifications} == {"sent"}
    assert seen["attempt"] <= 1
    assert notifications[-1]["attempts"] == 1


async def _reached(system: System, identifier: str, wanted: str) -> Any:
    """The first timeline entry whose status or reason is the wanted one. Polls, since the system is other processes."""
    async with asyncio.timeout(30):
        while True:
            for entry in (await _get(system, identifier))["timeline"]:
                if wanted in (entry["status"], entry["reason"]):
                    return entry
            await asyncio.sleep(0.05)


async def _get(system: System, identifier: str) -> Any:
    return await system.client.call("GET", f"/v1/notifications/{identifier}")
