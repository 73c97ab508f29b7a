"""Manual review over REST: letters that a refusing SMTP server made, looked at, corrected, requeued by filter, and sent."""

import asyncio
from typing import Any

import pytest

from devstack.samples import WELCOME
from devstack.smtp import replies
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

LETTERS = 20


async def _failed(system: System, template: str, addresses: list[str]) -> list[str]:
    """Notifications that an SMTP server has refused with 550 just once each, so that the next try succeeds."""
    await system.client.create_template(template, "email", WELCOME)
    identifiers = []
    for address in addresses:
        system.smtp.script(address, replies("550 5.2.1 Mailbox disabled"))
        user = await system.client.create_user(address)
        identifiers.append(await system.client.send(user, "email", template, {"name": "Grace"}))
    for identifier in identifiers:
        assert (await system.client.settled(identifier))["status"] == "failed"
    await _until(
        system, f"/v1/dead-letters?page_size=200&template={template}", lambda listed: len(listed["dead_letters"]) == len(addresses)
    )
    return identifiers


async def _until(system: System, path: str, satisfied: Any) -> Any:
    """The first answer that satisfies. Polls, since the system is other processes."""
    async with asyncio.timeout(60):
        while not satisfied(answer := await system.client.call("GET", path)):  # noqa: ASYNC110  other processes offer no event
            await asyncio.sleep(0.05)
    return answer


async def test_letters_requeued_by_filter_are_each_sent_once(system: System) -> None:
    """The trail of each tells who did it; the same order under the same key answers the same job and sends nothing more."""
    addresses = [f"review{number}@example.com" for number in range(LETTERS)]
    identifiers = await _failed(system, "review-by-filter", addresses)
    order = {
        "filter": {"template": "review-by-filter", "reason": "SMTP_550"},
        "rate_per_s": 100,
        "note": "mailboxes are back",
        "request_id": "review-1",
    }
    job = await system.client.call("POST", "/v1/dead-letters:requeue", order)
    assert (job["total_count"], job["action"], job["rate_per_s"]) == (LETTERS, "requeued", 100)
    done = await _until(system, f"/v1/dead-letter-jobs/{job['id']}", lambda answer: answer["state"] == "done")
    assert (done["done_count"], done["skipped_count"]) == (LETTERS, 0)
    for identifier in identifiers:
        assert (await system.client.settled(identifier))["status"] == "sent"
        letter = await system.client.call("GET", f"/v1/dead-letters/{identifier}?view=basic")
        assert letter["state"] == "requeued"
        assert [(entry["action"], entry["note"], entry["job_id"]) for entry in letter["audit"]] == [
            ("requeued", "mailboxes are back", job["id"])
        ]
    assert (await system.client.call("POST", "/v1/dead-letters:requeue", order))["id"] == job["id"]
    received = [mail.recipients[0] for mail in system.smtp.mails if mail.recipients[0] in addresses]
    assert sorted(received) == sorted(addresses)


async def test_a_letter_is_looked_at_and_sent_to_a_corrected_address(system: System) -> None:
    """Redacted unless all is asked for; the new address gets the mail and stands in no answer but the full one."""
    [identifier] = await _failed(system, "review-one", ["tpyo@example.com"])
    path = f"/v1/dead-letters/{identifier}"
    letter = await system.client.call("GET", path)
    assert (letter["preview"]["recipient"], letter["preview"]["decision"]) == ("t***@example.com", "send")
    assert letter["preview"]["variables"] == {"name": "***"}
    assert "Grace" not in str(letter)
    assert "***" in str(letter["preview"]["content"])
    full = await system.client.call("GET", f"{path}?view=full")
    assert full["preview"]["recipient"] == "tpyo@example.com"
    assert "Grace" in str(full["preview"]["content"])
    await system.client.call("POST", f"{path}:annotate", {"note": "a typo"})
    requeued = await system.client.call("POST", f"{path}:requeue", {"email": "typo@example.com"})
    assert (requeued["state"], "typo@" in str(requeued)) == ("requeued", False)
    assert (await system.client.settled(identifier))["status"] == "sent"
    assert [mail.recipients[0] for mail in system.smtp.mails if mail.recipients[0] in {"typo@example.com", "tpyo@example.com"}] == [
        "typo@example.com"
    ]
    trail = (await system.client.call("GET", f"{path}?view=basic"))["audit"]
    assert [entry["action"] for entry in trail] == ["viewed", "noted", "requeued"]
    assert trail[-1]["changed"] == ["email"]
