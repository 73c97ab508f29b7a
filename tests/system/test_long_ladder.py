"""Retries that wait in PostgreSQL: a ladder with steps beyond the delay queues, through gateway, bus and worker; cancel and expiry."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from devstack.client import Client, RefusedError
from devstack.fcm import FcmServer, fails
from devstack.postgres import PostgresServer
from devstack.processes import API_KEY
from devstack.samples import WELCOME
from devstack.smtp import SmtpServer, replies
from devstack.smtp_session import Behaviour
from devstack.stack import ANY_PORTS, open_stack
from gateway.notifications.models import Status
from tests.fixtures_postgres import StackFolder

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]

ENVIRON = {"CLARION_RECIPIENT_LIMIT": "100000", "CLARION_EMAIL_RETRIES": "2s,5m,30m,2h", "CLARION_PUSH_RETRIES": "5m,30m"}
WAITS_S = (2, 300, 1800, 7200)
GREYLISTED = replies("451 4.7.1 Greylisted, try again later")
# It says nothing of the server. One that greylists everyone would be in a state of its own (delivery/pushback.py).
FULL = replies("452 4.2.2 Mailbox full")


@dataclass(frozen=True)
class Running:
    """The doors that the tests use."""

    client: Client
    smtp: SmtpServer
    fcm: FcmServer
    database: asyncpg.Connection

    async def send_mail(self, address: str, reply: Behaviour, *, times: int) -> str:
        """To a person whom the server puts off like this, so many times."""
        self.smtp.script(address, *[reply] * times)
        user = await self.client.create_user(address)
        return await self.client.send(user, "email", "welcome", {"name": "C"})

    async def send_push(self, token: str, **fields: Any) -> str:
        """Each token is a person's."""
        user = await self.client.create_user(f"{token}@example.com")
        await self.client.call("POST", f"/v1/users/{user}/devices", {"token": token, "platform": "android"})
        return await self.client.send(user, "push", "news", {}, **fields)

    async def time_passes(self, *identifiers: str) -> None:
        """What waits in the database is due now. Fails unless each of them waits there."""
        moved = await self.database.execute(
            "UPDATE notifications SET dispatch_at = now() WHERE id = ANY($1::uuid[]) AND status = $2", identifiers, Status.SCHEDULED
        )
        assert moved == f"UPDATE {len(identifiers)}"

    async def climbs(self, identifier: str, *, begin: int, end: int) -> Any:
        """The notification after attempt `end`, when what lies between the attempts has passed."""
        for attempts in range(begin, end):
            await self.waits(identifier, attempts=attempts)
            await self.time_passes(identifier)
        return await self.waits(identifier, attempts=end)

    async def letter(self, identifier: str) -> Any:
        """The dead letter of a notification that has failed: it is filed after that."""
        async with asyncio.timeout(60):
            while True:
                try:
                    return await self.client.call("GET", f"/v1/dead-letters/{identifier}?view=basic")
                except RefusedError as error:
                    if error.status != 404:
                        raise
                await asyncio.sleep(0.02)

    async def waits(self, identifier: str, *, attempts: int) -> Any:
        """The notification once it waits in the database after so many attempts."""
        async with asyncio.timeout(60):
            async for line in self.client.lines(f"/v1/notifications/{identifier}:watch"):
                found = json.loads(line).get("result", {}).get("notification", {})
                if found.get("status") == "retrying" and found["attempts"] == attempts and steps(found)[-1][0] == "retrying":
                    return found
        raise AssertionError(f"the stream ended before attempt {attempts}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(stack_folder: StackFolder) -> AsyncIterator[Running]:
    """Everything, once for this module."""
    folder = stack_folder("ladder")
    async with AsyncExitStack() as opened:
        server = opened.enter_context(PostgresServer(folder / "postgres", durable=False))
        environ = {**ENVIRON, "CLARION_POSTGRES_URL": server.url("").rstrip("/")}
        stack = await opened.enter_async_context(open_stack(folder, ports=ANY_PORTS, say=lambda text: None, environ=environ))
        client = await opened.enter_async_context(Client(stack.url, API_KEY))
        database = await asyncpg.connect(server.url("clarion_gateway"))
        opened.push_async_callback(database.close)
        assert stack.smtp is not None
        assert stack.fcm is not None
        await client.create_template("welcome", "email", WELCOME)
        await client.create_template("news", "push", {"en": {"title": "News", "body": "There are some."}})
        yield Running(client, stack.smtp, stack.fcm, database)


def waits_s(notification: Any) -> list[float]:
    """How long each failed attempt meant to wait, in seconds."""
    entries = [entry for entry in notification["timeline"] if entry["status"] == "retrying"]
    return [(datetime.fromisoformat(one["next_attempt_time"]) - datetime.fromisoformat(one["time"])).total_seconds() for one in entries]


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
    identifier = await running.send_mail("climber@example.com", GREYLISTED, times=3)
    waiting = await running.waits(identifier, attempts=2)
    assert steps(waiting) == [("sending", 1), ("retrying", 1), ("sending", 2), ("retrying", 2)]
    assert (await running.client.call("POST", f"/v1/notifications/{identifier}:cancel", {}))["status"] == "cancelled"
    assert running.smtp.received == 0


async def test_a_whole_ladder_ends_in_a_dead_letter_whose_requeue_climbs_it_again(running: Running) -> None:
    """Each step waits as long as it is configured, and what a reviewer sends again has all steps before it."""
    identifier = await running.send_mail("patient@example.com", GREYLISTED, times=5 + 3)
    await running.climbs(identifier, begin=2, end=4)
    await running.time_passes(identifier)
    failed = await running.client.settled(identifier, timeout_s=60)
    assert (failed["status"], failed["attempts"]) == ("failed", 5)
    assert waits_s(failed) == [pytest.approx(wait_s, abs=1) for wait_s in WAITS_S]
    letter = await running.letter(identifier)
    assert (letter["cause"], letter["attempts"]) == ("provider_transient", 5)
    await running.client.call("POST", f"/v1/dead-letters/{identifier}:requeue", {"note": "the list is over"})
    await running.climbs(identifier, begin=2, end=3)
    await running.time_passes(identifier)
    sent = await running.client.settled(identifier, timeout_s=60)
    assert (sent["status"], sent["attempts"]) == ("sent", 4)
    assert [mail.recipients[0] for mail in running.smtp.mails].count("patient@example.com") == 1


async def test_all_that_wait_together_are_sent_once_each(running: Running) -> None:
    """What one envelope held goes its ways by itself."""
    addresses = [f"crowd{number}@example.com" for number in range(20)]
    identifiers = [await running.send_mail(address, FULL, times=2) for address in addresses]
    for identifier in identifiers:
        await running.waits(identifier, attempts=2)
    await running.time_passes(*identifiers)
    settled = [await running.client.settled(identifier, timeout_s=60) for identifier in identifiers]
    assert {(notification["status"], notification["attempts"]) for notification in settled} == {("sent", 3)}
    assert sorted(mail.recipients[0] for mail in running.smtp.mails if mail.recipients[0] in addresses) == sorted(addresses)


@pytest.mark.parametrize(("retry_after", "wait_s"), [("60", 300), ("900", 900), ("7200", 7200)])
async def test_a_step_waits_as_long_as_the_provider_asks_for(running: Running, retry_after: str, wait_s: float) -> None:
    token = f"asks-for-{retry_after}"
    running.fcm.script(token, fails(503, "UNAVAILABLE", "UNAVAILABLE", retry_after=retry_after))
    identifier = await running.send_push(token)
    assert waits_s(await running.waits(identifier, attempts=1)) == [pytest.approx(wait_s, abs=1)]
    await running.time_passes(identifier)
    sent = await running.client.settled(identifier, timeout_s=60)
    assert (sent["status"], sent["attempts"]) == ("sent", 2)


async def test_what_is_held_of_an_erased_person_is_not_tried_again(running: Running) -> None:
    identifier = await running.send_mail("erased@example.com", FULL, times=3)
    waiting = await running.waits(identifier, attempts=2)
    await running.client.call("DELETE", f"/v1/users/{waiting['user_id']}")
    ended = await running.client.settled(identifier, timeout_s=60)
    assert ended["status"] == "cancelled"
