"""Nobody waits behind somebody else's campaign. Order decides these tests, not time."""

import asyncio

import pytest

from devstack.client import Client
from devstack.samples import WELCOME
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

CAMPAIGN = 3000
_AT_ONCE = 1000
# Half of the campaign. What lies ahead of a message that is just accepted is less: ten envelopes in the queue, some more while it is
# emptied fast, and four in the worker's hands.
_SHORT_QUEUE = 1500


async def _campaign(system: System, address: str) -> str:
    """Queues thousands and returns their recipient while most of them wait."""
    await system.client.create_template("welcome", "email", WELCOME)
    user = await system.client.create_user(address)
    request = {"user_id": user, "channel": "email", "template": "welcome", "variables": {"name": "C"}}
    batch = {"requests": [request] * _AT_ONCE}
    answers = await asyncio.gather(*(system.client.call("POST", "/v1/notifications:batch", batch) for _ in range(CAMPAIGN // _AT_ONCE)))
    assert sum(answer["accepted_count"] for answer in answers) == CAMPAIGN
    return user


async def _order(system: System, before: int, campaign: str, single: str) -> tuple[int, int]:
    """How many of the campaign came before the single one, and how many after it."""
    async with asyncio.timeout(90):
        await system.smtp.received_at_least(before + CAMPAIGN + 1)
    recipients = [mail.recipients[0] for mail in system.smtp.mails if mail.recipients[0] in {campaign, single}]
    position = recipients.index(single)
    return position, len(recipients) - position - 1


async def test_an_urgent_message_passes_a_campaign(system: System) -> None:
    """Only what was sent before it was accepted, and what is in the worker's hands, comes before it."""
    before = system.smtp.received
    await _campaign(system, "campaign-1@example.com")
    user = await system.client.create_user("code@example.com")
    await system.client.send(user, "email", "welcome", {"name": "Code"}, priority="HIGH")
    sent_by_then = system.smtp.received - before
    ahead, behind = await _order(system, before, "campaign-1@example.com", "code@example.com")
    assert ahead <= sent_by_then + 300
    assert behind > 0


async def test_a_callers_first_message_passes_anothers_campaign(system: System) -> None:
    """Both are of normal priority: it waits for a short queue only, not for thousands."""
    secret = (await system.client.call("POST", "/v1/api-keys", {"name": "other", "scopes": ["notifications:send"]}))["secret"]
    user = await system.client.create_user("first@example.com")
    before = system.smtp.received
    async with Client(system.processes.url, secret) as other:
        await _campaign(system, "campaign-2@example.com")
        await other.send(user, "email", "welcome", {"name": "First"})
    sent_by_then = system.smtp.received - before
    ahead, behind = await _order(system, before, "campaign-2@example.com", "first@example.com")
    assert ahead <= sent_by_then + _SHORT_QUEUE
    assert behind > 0
