"""A worker dies between claim and record: the next one knows that it does not know, with the ledger in a real Valkey."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from clarion.delivery.v1.delivery_pb2 import Delivery, Outcome
from clarion.notification.v1.notification_pb2 import (
    NOTIFICATION_STATUS_EXPIRED,
    NOTIFICATION_STATUS_FAILED,
    NOTIFICATION_STATUS_SENT,
    NOTIFICATION_STATUS_SKIPPED,
    NotificationStatus,
)
from clarion.template.v1.template_pb2 import ON_UNKNOWN_HOLD, ON_UNKNOWN_RESEND, OnUnknown
from clarion.user.v1.recipient_service_pb2 import DECISION_SKIP, Recipient
from delivery.attempt_result import encode
from delivery.disposition import Dead, Defer, Disposition, Done, Retry
from delivery.errors import TransientDeliveryError
from delivery.ledger import PREFIX, Ledger
from delivery.models import Attempt, Claim, LedgerEntry, LedgerState, OutcomeUnknown, ReadyDelivery, attempt_key
from mesh.stores.cache import open_cache
from mesh.stores.settings import CacheSettings
from mesh.testing import FakeClock
from tests.delivery.fakes import FakeRecipients, FakeSender, make_delivery
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
@pytest.mark.parametrize("overtaken", [False, True])
async def test_what_another_worker_is_sending_is_waited_for(redis: Redis, policy: OnUnknown.ValueType, *, overtaken: bool) -> None:
    """Two workers may have the same message when a connection to the broker was lost. `overtaken` since the look-up."""
    delivery, sender, other = make_delivery(on_unknown=policy), FakeSender(), Ledger(redis)
    key = attempt_key(delivery.notification_id, delivery.run, delivery.attempt)
    claims: list[Claim] = []
    waits = asyncio.Event()

    class Overtaken(Ledger):
        async def claim(self, key: str) -> Claim:
            claims.append(await other.claim(key))
            return await super().claim(key)

        async def wait(self, key: str) -> LedgerEntry:
            waits.set()
            return await super().wait(key)

    if not overtaken:
        claims.append(await other.claim(key))
    ledger = Overtaken(redis)
    waiting = asyncio.create_task(make_pipeline(ledger, sender).handle([delivery]))
    await waits.wait()
    sent = Done(Outcome(notification_id=delivery.notification_id, attempt=1, status=NOTIFICATION_STATUS_SENT))
    await other.record(claims[0], encode(sent), sent=True)
    assert await waiting == [sent]
    assert sender.jobs == []
    await ledger.close()
    await other.close()


async def test_what_another_worker_sends_for_long_comes_back_later_and_holds_up_none_of_its_envelope(redis: Redis) -> None:
    slow, free, sender = make_delivery(1, on_unknown=ON_UNKNOWN_HOLD), make_delivery(2), FakeSender()
    other, ledger = Ledger(redis), Ledger(redis, patience_s=0.05)
    await other.claim(attempt_key(slow.notification_id, 0, 1))
    deferred, sent = await make_pipeline(ledger, sender).handle([slow, free])
    assert isinstance(deferred, Defer)
    assert isinstance(sent, Done)
    assert [job.delivery for job in sender.jobs] == [free]
    await ledger.close()
    await other.close()


async def test_a_worker_that_lost_its_lease_before_the_call_does_not_send(redis: Redis) -> None:
    """It was frozen between its claim and its call, and another worker has taken over."""
    clock = FakeClock()

    class Frozen(Ledger):
        async def claim(self, key: str) -> Claim:
            claim = await super().claim(key)
            await redis.set(PREFIX + key, b"U" + b"another's token." + b"99999999999999")
            clock.advance(60)
            return claim

    delivery, sender, ledger = make_delivery(), FakeSender(), Frozen(redis, clock=clock)
    (disposition,) = await make_pipeline(ledger, sender).handle([delivery])
    assert isinstance(disposition, Defer)
    assert sender.jobs == []
    await ledger.close()


@pytest.mark.parametrize("status", [NOTIFICATION_STATUS_SKIPPED, NOTIFICATION_STATUS_EXPIRED])
async def test_a_decision_not_to_send_does_not_overtake_a_worker_that_sends(redis: Redis, status: NotificationStatus.ValueType) -> None:
    """The preference changed, or the time ran out, between the two workers' looks."""
    delivery, recipients, other = make_delivery(), FakeRecipients(), Ledger(redis)
    recipients.answers = {"user-1": Recipient(decision=DECISION_SKIP, rule="preference:email:news")}
    if status == NOTIFICATION_STATUS_EXPIRED:
        delivery.expire_time.FromSeconds(1)
    key = attempt_key(delivery.notification_id, 0, 1)
    sent = Done(Outcome(notification_id=delivery.notification_id, attempt=1, status=NOTIFICATION_STATUS_SENT))

    class Overtaken(Ledger):
        async def claim(self, key: str) -> Claim:
            await other.record(await other.claim(key), encode(sent), sent=True)
            return await super().claim(key)

    ledger = Overtaken(redis)
    assert await make_pipeline(ledger, FakeSender(), recipients=recipients).handle([delivery]) == [sent]
    assert await other.look_up([key]) == [LedgerEntry(LedgerState.DONE, encode(sent))]
    await ledger.close()
    await other.close()


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
