"""A worker dies between claim and record: the next one knows that it does not know, with the ledger in a real Valkey."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from clarion.delivery.v1.delivery_pb2 import Delivery
from clarion.notification.v1.notification_pb2 import NOTIFICATION_STATUS_FAILED, NOTIFICATION_STATUS_SENT
from clarion.template.v1.template_pb2 import ON_UNKNOWN_HOLD, ON_UNKNOWN_RESEND, OnUnknown
from delivery.disposition import Dead, Disposition, Done, Retry
from delivery.errors import TransientDeliveryError
from delivery.ledger import Ledger
from delivery.models import Attempt, LedgerEntry, OutcomeUnknown, ReadyDelivery
from mesh.stores.cache import open_cache
from mesh.stores.settings import CacheSettings
from tests.delivery.fakes import FakeSender, make_delivery
from tests.delivery.pipelines import make_pipeline


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with open_cache(CacheSettings(url=redis_url)) as client:
        yield client


async def handled(redis: Redis, sender: FakeSender, delivery: Delivery) -> Disposition:
    """By a worker of its own: nothing but Redis is shared."""
    ledger = Ledger(redis)
    (disposition,) = await make_pipeline(ledger, sender).handle([delivery])
    await ledger.close()
    return disposition


async def killed_while_sending(redis: Redis, delivery: Delivery) -> None:
    """The provider has the job and the worker ends before it hears what came of it."""
    sending = asyncio.Event()

    async def never_answer(job: ReadyDelivery) -> Attempt:
        sending.set()
        await asyncio.Event().wait()
        return Attempt()

    dying = asyncio.create_task(handled(redis, FakeSender(never_answer), delivery))
    await sending.wait()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)


async def test_it_is_sent_again_under_the_same_name_and_the_timeline_tells_so(redis: Redis) -> None:
    """Message-ID and collapse key are made of the notification's id, so that mail boxes and devices can tell."""
    delivery, sender = make_delivery(on_unknown=ON_UNKNOWN_RESEND), FakeSender()
    await killed_while_sending(redis, delivery)
    disposition = await handled(redis, sender, delivery)
    assert isinstance(disposition, Done)
    assert disposition.outcome.status == NOTIFICATION_STATUS_SENT
    assert disposition.outcome.detail == "tried again: an earlier try of this attempt ended without an answer"
    assert [job.delivery for job in sender.jobs] == [delivery]
    assert await handled(redis, sender, delivery) == disposition
    assert len(sender.jobs) == 1


async def test_where_the_template_says_hold_a_person_decides(redis: Redis) -> None:
    delivery, sender = make_delivery(on_unknown=ON_UNKNOWN_HOLD), FakeSender()
    await killed_while_sending(redis, delivery)
    for _ in range(2):
        disposition = await handled(redis, sender, delivery)
        assert isinstance(disposition, Dead)
        outcome = disposition.outcome
        assert (outcome.status, outcome.reason) == (NOTIFICATION_STATUS_FAILED, "OUTCOME_UNKNOWN")
        assert outcome.detail == "an earlier try of this attempt ended without an answer"
    assert sender.jobs == []


@pytest.mark.parametrize("policy", [ON_UNKNOWN_RESEND, ON_UNKNOWN_HOLD])
async def test_a_claim_that_was_made_since_the_look_up_is_unknown_too(redis: Redis, policy: OnUnknown.ValueType) -> None:
    """Two workers may have the same message when a connection to the broker was lost."""
    delivery, sender = make_delivery(on_unknown=policy), FakeSender()
    ledger = Ledger(redis)

    class Overtaken(Ledger):
        async def claim(self, key: str) -> LedgerEntry:
            await ledger.claim(key)
            return await super().claim(key)

    overtaken = Overtaken(redis)
    (disposition,) = await make_pipeline(overtaken, sender).handle([delivery])
    assert isinstance(disposition, Dead if policy == ON_UNKNOWN_HOLD else Done)
    assert len(sender.jobs) == (0 if policy == ON_UNKNOWN_HOLD else 1)
    await overtaken.close()
    await ledger.close()


async def test_a_failure_after_an_unknown_outcome_keeps_the_doubt(redis: Redis) -> None:
    delivery = make_delivery()

    async def refuse(job: ReadyDelivery) -> Attempt:
        raise TransientDeliveryError("SMTP_451", "later")

    await killed_while_sending(redis, delivery)
    disposition = await handled(redis, FakeSender(refuse), delivery)
    assert isinstance(disposition, Retry)
    assert disposition.outcome.reason == "SMTP_451"
    assert disposition.outcome.detail == "tried again: an earlier try of this attempt ended without an answer; later"


async def test_a_provider_that_does_not_answer_leaves_an_unknown_outcome_as_well(redis: Redis) -> None:
    async def fall_silent(job: ReadyDelivery) -> Attempt:
        raise OutcomeUnknown("SMTP_TIMEOUT", "no reply to the last line")

    assert isinstance(await handled(redis, FakeSender(fall_silent), make_delivery(1)), Retry)
    held = await handled(redis, FakeSender(fall_silent), make_delivery(2, on_unknown=ON_UNKNOWN_HOLD))
    assert isinstance(held, Dead)
    assert held.outcome.reason == "OUTCOME_UNKNOWN"
