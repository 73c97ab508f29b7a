"""Cancel against claim, in a real Valkey: it is cancelled and nobody gets it, or somebody may and the cancel says that it is too late."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from clarion.delivery.v1.delivery_pb2 import Delivery, Outcome
from clarion.notification.v1.notification_pb2 import NOTIFICATION_STATUS_CANCELLED, NOTIFICATION_STATUS_SENT, DeviceResult
from delivery.attempt_result import ATTEMPTS, decode, encode
from delivery.cancellation import Cancellation, LedgerUnavailable
from delivery.disposition import Disposition, Done, Retry
from delivery.errors import TransientDeliveryError
from delivery.ledger import PREFIX, Ledger
from delivery.models import Attempt, Claim, LedgerState, ReadyDelivery, attempt_key
from mesh.ids import new_id
from mesh.stores.cache import open_cache
from mesh.stores.settings import CacheSettings
from tests.delivery.fakes import FakeSender, make_delivery
from tests.delivery.leases import run_out
from tests.delivery.pipelines import make_pipeline
from tests.examples import examples


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with open_cache(CacheSettings(url=redis_url)) as client:
        yield client


def copy_for(attempt: int, identifier: str) -> Delivery:
    delivery = make_delivery(attempt=attempt)
    delivery.notification_id = identifier
    return delivery


@dataclass
class Worker:
    """One of several that may have the same message; its steps are those of the pipeline."""

    ledger: Ledger
    claim: Claim | None = None  # of the attempt that it is trying
    attempt: int = 0

    @property
    def doubtful(self) -> bool:
        return self.claim is not None and self.claim.entry.state is LedgerState.UNKNOWN


@dataclass
class World:
    """A notification between workers and canceller. `reached` is set from the moment on that a provider may have taken it."""

    redis: Redis
    cancellation: Cancellation
    workers: list[Worker]
    identifier: str = field(default_factory=new_id)
    waiting: int = 1  # the attempt whose message is on the bus
    reached: bool = False
    cancelled: bool = False

    @property
    def under_way(self) -> bool:
        return any(worker.claim for worker in self.workers)

    def key(self, attempt: int) -> str:
        return attempt_key(self.identifier, 0, attempt)

    async def claim(self, worker: Worker) -> None:
        """Takes the message. What a claim allows is a call to the provider, which must never follow a cancel."""
        if worker.claim is not None:
            return
        claim = await worker.ledger.claim(self.key(self.waiting))
        if claim.held:
            assert not self.cancelled, "called after the cancel"
            worker.claim, worker.attempt = claim, self.waiting
        elif claim.entry.state is LedgerState.CANCELLED:
            assert self.cancelled
        elif claim.entry.state is LedgerState.DONE and isinstance(decode(claim.entry.record), Retry):
            self.waiting = min(self.waiting + 1, ATTEMPTS)  # redelivered after the record: its retry is published again

    async def refuse(self, worker: Worker) -> None:
        """The provider says that it does not have it."""
        if worker.claim is not None:
            retry = Retry(Outcome(reason="SMTP_451"))
            standing = await worker.ledger.record(worker.claim, encode(retry, doubtful=worker.doubtful))
            if standing.state is LedgerState.NONE:
                self.waiting = min(worker.attempt + 1, ATTEMPTS)
            worker.claim = None

    async def take(self, worker: Worker) -> None:
        if worker.claim is not None:
            self.reached = True
            await worker.ledger.record(worker.claim, encode(Done(Outcome(status=NOTIFICATION_STATUS_SENT))), sent=True)
            worker.claim = None

    async def die(self, worker: Worker) -> None:
        """The provider may have it; the message comes again, to some worker."""
        if worker.claim is not None:
            self.reached = True
            worker.ledger._held.clear()
            await self.freeze(worker)
            worker.claim = None

    async def freeze(self, worker: Worker) -> None:
        """For longer than its lease, while it works on: so it does not learn that it is late."""
        if worker.claim is not None:
            await run_out(self.redis, worker.claim)

    async def cancel(self, worker: Worker) -> None:
        answer = await self.cancellation.cancel_run(self.identifier, 0)
        if answer is None:
            assert not self.cancelled, "a cancel that held is never taken back"
            assert self.reached or self.under_way or self.waiting == ATTEMPTS, "refused without a reason"
        else:
            assert not self.reached
            assert not self.under_way
            assert answer == self.waiting or not self.cancelled
            self.cancelled = True


_STEPS: tuple[Callable[[World, Worker], object], ...] = (World.claim, World.refuse, World.take, World.die, World.freeze, World.cancel)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=examples(300))
@given(steps=st.lists(st.tuples(st.sampled_from(_STEPS), st.integers(0, 1)), max_size=16))
async def test_it_is_cancelled_and_never_sent_or_sent_and_too_late(redis: Redis, steps: list[tuple[Callable[..., object], int]]) -> None:
    """In every order of cancels, claims, refusals, successes, freezes and deaths of two workers that share the message."""
    world = World(redis, Cancellation(redis), [Worker(Ledger(redis)), Worker(Ledger(redis))])
    for step, number in steps:
        await step(world, world.workers[number])  # type: ignore[misc]  # all of them are coroutines
    assert not (world.cancelled and world.reached)
    for worker in world.workers:
        await worker.ledger.close()


async def test_a_cancel_names_the_attempt_that_will_not_begin(redis: Redis) -> None:
    ledger, cancellation = Ledger(redis), Cancellation(redis, ttl_s=100)
    for attempt in range(1, ATTEMPTS):
        identifier = new_id()
        for earlier in range(1, attempt):
            await ledger.record(await ledger.claim(attempt_key(identifier, 0, earlier)), encode(Retry(Outcome(reason="SMTP_451"))))
        assert await cancellation.cancel_run(identifier, 0) == attempt
        assert await cancellation.cancel_run(identifier, 0) == attempt, "twice is no error"
        assert 0 < await redis.ttl(PREFIX + attempt_key(identifier, 0, attempt)) <= 100
        assert (await ledger.claim(attempt_key(identifier, 0, attempt))).entry.state is LedgerState.CANCELLED
        assert (await ledger.claim(attempt_key(identifier, 1, 1))).entry.state is LedgerState.NONE, "another run is another matter"
    await ledger.close()


async def test_a_retry_for_the_rest_of_the_devices_is_too_late_to_cancel(redis: Redis) -> None:
    """Somebody has it already."""
    ledger, identifier = Ledger(redis), new_id()
    partly = Retry(Outcome(devices=[DeviceResult(device_id="phone", accepted=True), DeviceResult(device_id="tablet")]))
    await ledger.record(await ledger.claim(attempt_key(identifier, 0, 1)), encode(partly))
    assert await Cancellation(redis).cancel_run(identifier, 0) is None
    assert decode((await ledger.look_up([attempt_key(identifier, 0, 1)]))[0].record) == partly
    await ledger.close()


async def test_a_cancel_holds_where_the_ledger_has_forgotten_earlier_attempts(redis: Redis) -> None:
    """The message may be at its third attempt when Redis was emptied: all that may come is marked."""
    identifier = new_id()
    assert await Cancellation(redis).cancel_run(identifier, 0) == 1
    sender = FakeSender()
    disposition = await handled(redis, sender, copy_for(3, identifier))
    assert isinstance(disposition, Done)
    assert (disposition.outcome.status, disposition.outcome.attempt) == (NOTIFICATION_STATUS_CANCELLED, 3)
    assert sender.jobs == []


async def test_of_a_cancel_and_a_worker_at_the_same_time_one_wins(redis: Redis) -> None:
    """Sixty races: the provider was called exactly where the cancel said that it was too late. The first and the last are decided."""
    cancellation, ledger, sender = Cancellation(redis), Ledger(redis), FakeSender()
    pipeline = make_pipeline(ledger, sender)
    deliveries = [copy_for(1, new_id()) for _ in range(60)]

    async def cancel(delivery: Delivery, yields: int = 0) -> bool:
        for _ in range(yields):
            await asyncio.sleep(0)
        return await cancellation.cancel_run(delivery.notification_id, 0) is not None

    async def race(number: int, delivery: Delivery) -> tuple[bool, Disposition]:
        cancelled, (disposition,) = await asyncio.gather(cancel(delivery, number), pipeline.handle([delivery]))
        return cancelled, disposition

    first, *raced, last = deliveries
    results = [(await cancel(first), (await pipeline.handle([first]))[0])]
    results += await asyncio.gather(*(race(number, delivery) for number, delivery in enumerate(raced)))
    (late,) = await pipeline.handle([last])
    results.append((await cancel(last), late))
    sent = {job.delivery.notification_id for job in sender.jobs}
    assert first.notification_id not in sent
    assert last.notification_id in sent
    for delivery, (cancelled, disposition) in zip(deliveries, results, strict=True):
        assert cancelled is (delivery.notification_id not in sent)
        assert isinstance(disposition, Done)
        assert (disposition.outcome.status == NOTIFICATION_STATUS_CANCELLED) is cancelled
    await ledger.close()
    await cancellation.close()


async def test_a_cancel_between_two_attempts_stops_the_second(redis: Redis) -> None:
    async def refuse(job: ReadyDelivery) -> Attempt:
        raise TransientDeliveryError("SMTP_451")

    sender, identifier = FakeSender(refuse), new_id()
    assert isinstance(await handled(redis, sender, copy_for(1, identifier)), Retry)
    assert await Cancellation(redis).cancel_run(identifier, 0) == 2
    assert isinstance(await handled(redis, sender, copy_for(2, identifier)), Done)
    assert len(sender.jobs) == 1


async def test_without_redis_nobody_can_tell() -> None:
    async with open_cache(CacheSettings(url="redis://127.0.0.1:1", timeout_s=0.5)) as away:
        with pytest.raises(LedgerUnavailable) as raised:
            await Cancellation(away).cancel_run(new_id(), 0)
    assert raised.value.retry_after_s == 1


async def handled(redis: Redis, sender: FakeSender, delivery: Delivery) -> Disposition:
    ledger = Ledger(redis)
    (disposition,) = await make_pipeline(ledger, sender).handle([delivery])
    await ledger.close()
    return disposition
