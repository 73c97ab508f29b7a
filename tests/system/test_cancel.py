"""Cancels and expiries against the five services in one process, with the in-process broker."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from devstack.client import Client, RefusedError
from devstack.processes import API_KEY
from devstack.samples import WELCOME
from devstack.smtp import SmtpServer, hangs, replies
from devstack.smtp_session import Stage
from devstack.stack import ANY_PORTS, open_stack
from tests.fixtures_postgres import StackFolder
from tests.waiting import GUARD_S

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]

COUNT = 100
_LADDER_S = (2, 4, 8)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Running:
    """The doors that the tests use."""

    client: Client
    smtp: SmtpServer

    async def send(self, address: str, name: str = "C", **fields: Any) -> str:
        """Each address is a person's."""
        user = await self.client.create_user(address)
        return await self.client.send(user, "email", "welcome", {"name": name}, **fields)

    async def cancel(self, identifier: str) -> str:
        """The status, or the reason of the refusal; asked again where a part is slow, as a caller may."""
        while True:
            try:
                return str((await self.client.call("POST", f"/v1/notifications/{identifier}:cancel", {}))["status"])
            except RefusedError as error:
                if error.status not in {503, 504}:
                    return str(error.body["details"][0]["reason"])

    def mails(self, identifier: str) -> int:
        """How many mails with the notification's Message-ID were accepted."""
        return sum(identifier in str(mail.message["Message-ID"]) for mail in self.smtp.mails)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(stack_folder: StackFolder) -> AsyncIterator[Running]:
    """Everything, once for this module."""
    environ = {"CLARION_RECIPIENT_LIMIT": "100000"}
    folder = stack_folder("cancel")
    async with open_stack(folder, ports=ANY_PORTS, say=lambda text: None, environ=environ) as stack, Client(stack.url, API_KEY) as client:
        assert stack.smtp is not None
        await client.create_template("welcome", "email", WELCOME)
        yield Running(client, stack.smtp)


async def test_an_attempt_under_way_is_too_late_and_the_pause_after_it_is_not(running: Running) -> None:
    """The server is silent at RCPT, so it surely has nothing; the next attempt is never made."""
    address = "pause@example.com"
    running.smtp.script(address, *[hangs(Stage.RCPT)] * len(_LADDER_S))
    identifier = await running.send(address)
    attempts, answer = 0, ""
    # a busy machine may be late for a short pause, each is twice as long as the one before
    while answer != "cancelled" and attempts < len(_LADDER_S):
        async with asyncio.timeout(GUARD_S):
            await running.smtp.hung.wait()
        running.smtp.hung.clear()
        attempts += 1
        assert await running.cancel(identifier) == "TOO_LATE_TO_CANCEL"
        running.smtp.close_connections()
        await running.client.reached(identifier, {"retrying"})
        answer = await running.cancel(identifier)
    assert await running.cancel(identifier) == "cancelled"
    await asyncio.sleep(_LADDER_S[attempts - 1] + 0.5)  # the ladder brings the message to the worker, which must let it be
    cancelled = await running.client.call("GET", f"/v1/notifications/{identifier}")
    assert (cancelled["status"], cancelled["attempts"]) == ("cancelled", attempts)
    assert [entry["status"] for entry in cancelled["timeline"]][-2:] == ["retrying", "cancelled"]
    assert running.mails(identifier) == 0


async def test_what_was_sent_is_too_late(running: Running) -> None:
    identifier = await running.send("sent@example.com")
    await running.client.settled(identifier)
    assert await running.cancel(identifier) == "TOO_LATE_TO_CANCEL"
    assert running.mails(identifier) == 1


async def test_each_of_many_races_ends_cancelled_and_unsent_or_sent_and_too_late(running: Running) -> None:
    """Cancels at all distances from the accept, some between two attempts, while gateway and worker are busy with the others."""
    users = [await running.client.create_user(f"race{number}@example.com") for number in range(10)]
    for number in range(5):
        running.smtp.script(f"race{number}@example.com", replies("451 4.7.1 Later"))

    async def race(number: int) -> tuple[str, str]:
        body = {"user_id": users[number % 10], "channel": "email", "template": "welcome", "variables": {"name": f"R{number}"}}
        identifier = await running.client.accepted(body, f"race-{number}")
        await asyncio.sleep(number % 25 / 250)  # 0 to 96 ms: before, while and after it is sent
        return identifier, await running.cancel(identifier)

    gate = asyncio.Semaphore(12)

    async def one(number: int) -> tuple[str, str]:
        async with gate:
            return await race(number)

    answers = dict(await asyncio.gather(*map(one, range(COUNT))))
    assert set(answers.values()) <= {"cancelled", "TOO_LATE_TO_CANCEL"}
    settled = await asyncio.gather(*(running.client.settled(identifier) for identifier in answers))
    mails = Counter(_UUID.findall(str(mail.message["Message-ID"]))[0] for mail in running.smtp.mails)
    for notification in settled:
        identifier = notification["id"]
        wanted = ("cancelled", 0) if answers[identifier] == "cancelled" else ("sent", 1)
        assert (notification["status"], mails[identifier]) == wanted
        ends = [entry["status"] for entry in notification["timeline"] if entry["status"] in {"cancelled", "sent"}]
        assert ends == [wanted[0]]


async def test_what_could_be_tried_again_only_after_its_expiry_expires_at_once(running: Running) -> None:
    """Two attempts fit, the third would come six seconds after the first; both stand in the timeline with the server's words."""
    running.smtp.script_always("late@example.com", replies("451 4.7.1 Later"))
    expiry = datetime.now(UTC) + timedelta(seconds=5.5)
    identifier = await running.send("late@example.com", expires_at=expiry.isoformat())
    expired = await running.client.settled(identifier)
    assert (expired["status"], expired["attempts"]) == ("expired", 2)
    told = [(entry["status"], entry["reason"]) for entry in expired["timeline"] if entry["status"] in {"retrying", "expired"}]
    assert told == [("retrying", "SMTP_451"), ("retrying", "SMTP_451"), ("expired", "EXPIRED")]
    assert datetime.fromisoformat(expired["timeline"][-1]["time"]) < expiry
    assert await running.cancel(identifier) == "TOO_LATE_TO_CANCEL"
