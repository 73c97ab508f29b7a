"""The broker goes away for some seconds: callers do not notice, and everything arrives after its return."""

import asyncio

import pytest

from devstack.samples import WELCOME
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

COUNT = 400


async def test_sends_are_accepted_while_the_broker_is_away_and_delivered_after_its_return(system: System) -> None:
    """Half are sent before it stops or while it does, half while it is gone; each is told as sent and has arrived."""
    await system.client.create_template("welcome", "email", WELCOME)
    user = await system.client.create_user("away@example.com")

    async def send(number: int) -> str:
        return await system.client.send(user, "email", "welcome", {"name": f"A{number}"})

    stopping = asyncio.create_task(asyncio.to_thread(system.rabbitmq.stop))
    try:
        ids = [await send(number) for number in range(COUNT // 2)]
        await stopping
        ids += [await send(number) for number in range(COUNT // 2, COUNT)]
        notification = await system.client.call("GET", f"/v1/notifications/{ids[-1]}")
        assert notification["status"] == "pending"
    finally:
        await stopping
        await asyncio.to_thread(system.rabbitmq.start)
    settled = await asyncio.gather(*(system.client.settled(identifier, timeout_s=90) for identifier in ids))
    assert {notification["status"] for notification in settled} == {"sent"}
    subjects = {str(mail.message["subject"]) for mail in system.smtp.mails if mail.recipients == ("away@example.com",)}
    assert subjects == {f"Welcome, A{number}" for number in range(COUNT)}
