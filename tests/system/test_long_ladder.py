"""Retries that wait in PostgreSQL: a ladder with steps beyond the delay queues, through gateway, bus and worker; cancel and expiry."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from devstack.client import Client, RefusedError
from devstack.fcm import FcmServer
from devstack.processes import API_KEY
from devstack.samples import WELCOME
from devstack.smtp import SmtpServer, replies
from devstack.stack import ANY_PORTS, open_stack

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]

ENVIRON = {"CLARION_RECIPIENT_LIMIT": "100000", "CLARION_EMAIL_RETRIES": "2s,5m", "CLARION_PUSH_RETRIES": "5m"}


@dataclass(frozen=True)
class Running:
    """The doors that the tests use."""

    client: Client
    smtp: SmtpServer
    fcm: FcmServer

    async def send_push(self, token: str, **fields: Any) -> str:
        """Each token is a person's."""
        user = await self.client.create_user(f"{token}@example.com")
        await self.client.call("POST", f"/v1/users/{user}/devices", {"token": token, "platform": "android"})
        return await self.client.send(user, "push", "news", {}, **fields)

    async def waits(self, identifier: str, *, attempts: int) -> Any:
        """The notification once it waits in the database after so many attempts."""
        async with asyncio.timeout(60):
            while True:
                found = await self.client.call("GET", f"/v1/notifications/{identifier}")
                if found["status"] == "retrying" and found["attempts"] == attempts and steps(found)[-1][0] == "retrying":
                    return found
                await asyncio.sleep(0.02)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """Everything, once for this module."""
    folder = tmp_path_factory.mktemp("ladder")
    async with open_stack(folder, ports=ANY_PORTS, say=lambda text: None, environ=ENVIRON) as stack, Client(stack.url, API_KEY) as client:
        assert stack.smtp is not None
        assert stack.fcm is not None
        await client.create_template("welcome", "email", WELCOME)
        await client.create_template("news", "push", {"en": {"title": "News", "body": "There are some."}})
        yield Running(client, stack.smtp, stack.fcm)


def steps(notification: Any) -> list[tuple[str, int]]:
    """The timeline without the ways on the bus."""
    told = {"sending", "retrying", "failed", "sent"}
    return [(entry["status"], entry["attempt"]) for entry in notification["timeline"] if entry["status"] in told]


async def test_what_waits_in_the_database_can_be_cancelled(running: Running) -> None:
    identifier = await running.send_push("quota-cancelled")
    waiting = await running.waits(identifier, attempts=1)
    assert steps(waiting) == [("sending", 1), ("retrying", 1)]
    for status, found in (("retrying", True), ("scheduled", False)):
        listed = await running.client.call("GET", f"/v1/notifications?user_id={waiting['user_id']}&status={status}")
        assert bool(listed["notifications"]) is found
    planned = datetime.fromisoformat(waiting["timeline"][-1]["next_attempt_time"])
    assert planned > datetime.fromisoformat(waiting["timeline"][-1]["time"]) + timedelta(seconds=299)
    cancelled = await running.client.call("POST", f"/v1/notifications/{identifier}:cancel", {})
    assert cancelled["status"] == "cancelled"
    found = await running.client.call("GET", f"/v1/notifications/{identifier}")
    assert steps(found) == [("sending", 1), ("retrying", 1)]
    assert found["timeline"][-1]["status"] == "cancelled"
    with pytest.raises(RefusedError) as again:
        await running.client.call("POST", f"/v1/dead-letters/{identifier}:requeue", {"note": "no"})
    assert again.value.status == 404


async def test_what_would_come_too_late_does_not_wait_for_it(running: Running) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=40)
    identifier = await running.send_push("quota-expiring", expires_at=ends.isoformat())
    expired = await running.client.settled(identifier, timeout_s=60)
    assert (expired["status"], expired["attempts"]) == ("expired", 1)
    assert "would have come too late" in expired["timeline"][-1]["detail"]


async def test_short_steps_use_the_bus_and_long_ones_the_database(running: Running) -> None:
    """The second try goes by the queue of 2 s, the third waits in the database, where it is cancelled."""
    running.smtp.script_always("climber@example.com", replies("451 4.7.1 Greylisted"))
    user = await running.client.create_user("climber@example.com")
    identifier = await running.client.send(user, "email", "welcome", {"name": "C"})
    waiting = await running.waits(identifier, attempts=2)
    assert steps(waiting) == [("sending", 1), ("retrying", 1), ("sending", 2), ("retrying", 2)]
    assert (await running.client.call("POST", f"/v1/notifications/{identifier}:cancel", {}))["status"] == "cancelled"
    assert running.smtp.received == 0
