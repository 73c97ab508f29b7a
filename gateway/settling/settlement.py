"""Outcomes from the bus into rows, and dead letters for review. A message is acked after the commit that records what it says."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol, TypeVar
from uuid import UUID

from google.protobuf.message import DecodeError

from clarion.delivery.v1.delivery_pb2 import Delivery, DeliveryFailed, DeliveryResolved
from delivery.envelopes import FAILED, UNREADABLE, ids_of, open_envelope
from delivery.lanes import FAILED_QUEUE, OUTCOME_QUEUE
from gateway.dispatch.relay import Notifier
from gateway.notifications.models import Entry, Outcome, Status, Unsent
from gateway.settling.convert import outcome_of
from gateway.settling.outcomes import Applied, Failure
from mesh.bus.broker import Broker, Message, Subscription
from mesh.errors import Unavailable
from mesh.ids import parse
from mesh.process.telemetry import meter
from mesh.resilience.batching import Batcher

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

_PREFETCH = 100
_BATCH = 32  # messages; each may carry many outcomes
_PAUSE_S = 1.0
_STOP_TIMEOUT_S = 3.0  # an outcome takes milliseconds; what is not acknowledged is redelivered
GIVEN_UP_BY_BUS = "DELIVERY_LIMIT"


class OutcomeStore(Protocol):
    """Where outcomes and dead letters are kept."""

    async def apply(self, outcomes: Sequence[Outcome]) -> Applied:
        """Applies outcomes."""

    async def file(self, failures: Sequence[Failure]) -> Sequence[UUID]:
        """Files dead letters; the notifications that got one."""

    async def give_up(self, identifiers: Sequence[UUID]) -> list[Failure]:
        """The failures of notifications whose deliveries can't be read, as far as they have not ended."""


class Budget(Protocol):
    """The recipients' rate limit."""

    def give_back(self, unsent: Sequence[Unsent]) -> None:
        """Gives back what these notifications took of it, in the background."""


class Settlement:
    """Consumes both queues. `start` begins, `close` finishes what is in hand."""

    def __init__(self, broker: Broker, store: OutcomeStore, watchers: Notifier, budget: Budget) -> None:
        self._broker = broker
        self._store = store
        self._watchers = watchers
        self._budget = budget
        self._resolved: Batcher[Sequence[Outcome], None] = Batcher(self._apply, max_items=_BATCH, name="settlement")
        self._failures: Batcher[Sequence[Failure], None] = Batcher(self._file, max_items=_BATCH, name="dead-letters")
        self._subscriptions: list[Subscription] = []
        self._settled = meter().create_counter("clarion.settlement.outcomes", description="Outcomes recorded, by status.")
        self._dead = meter().create_counter("clarion.settlement.dead_letters", description="Dead letters filed.")
        self._unreadable = meter().create_counter("clarion.settlement.unreadable", description="Messages that can't be read.")

    @property
    def healthy(self) -> bool:
        """False when a queue's consumer is stuck."""
        return all(subscription.healthy for subscription in self._subscriptions)

    async def start(self) -> None:
        """Begins to consume, as soon as there is a broker."""
        self._subscriptions = [
            await self._broker.consume(OUTCOME_QUEUE, self.on_resolved, prefetch=_PREFETCH),
            await self._broker.consume(FAILED_QUEUE, self.on_failed, prefetch=_PREFETCH),
        ]

    async def close(self) -> None:
        """Takes no more messages and finishes those in hand."""
        await asyncio.gather(*(subscription.stop(timeout_s=_STOP_TIMEOUT_S) for subscription in self._subscriptions))
        await self._resolved.close()
        await self._failures.close()

    async def on_resolved(self, message: Message) -> None:
        """Records the outcomes of a DeliveryResolved."""
        try:
            resolved = DeliveryResolved.FromString(message.body)
        except DecodeError:
            await self._drop(message)
            return
        outcomes = [outcome for outcome in map(outcome_of, resolved.outcomes) if outcome is not None]
        if len(outcomes) < len(resolved.outcomes):
            log.error("outcomes without a notification or status", extra={"dropped": len(resolved.outcomes) - len(outcomes)})
            self._unreadable.add(len(resolved.outcomes) - len(outcomes))
        if outcomes:
            await _patiently(self._resolved.submit, outcomes)
        await message.ack()

    async def on_failed(self, message: Message) -> None:
        """Files the dead letters of a DeliveryFailed, of a DeliveryRequested that the broker gave up, or of what no worker could read."""
        failures, unreadable = read_failed(message)
        if unreadable:
            log.error("deliveries can't be read", extra={"queue": message.queue, "notification_ids": ",".join(map(str, unreadable))})
            self._unreadable.add(len(unreadable))
            failures += await _patiently(self._store.give_up, unreadable)
        elif not failures:
            await self._drop(message)
            return
        if failures:
            await _patiently(self._failures.submit, failures)
        await message.ack()

    async def apply(self, outcomes: Sequence[Outcome]) -> None:
        """Records outcomes in one transaction, then notifies those who wait for them."""
        applied = await self._store.apply(outcomes)
        self._budget.give_back(applied.unsent)
        self._watchers.notify(applied.known)
        for outcome in outcomes:
            self._settled.add(1, {"status": outcome.entry.status.name.lower()})

    async def _apply(self, batches: Sequence[Sequence[Outcome]]) -> Sequence[None]:
        await self.apply([outcome for batch in batches for outcome in batch])
        return [None] * len(batches)

    async def _file(self, batches: Sequence[Sequence[Failure]]) -> Sequence[None]:
        failures = [failure for batch in batches for failure in batch]
        filed = await self._store.file(failures)
        self._watchers.notify(failure.outcome.notification_id for failure in failures)
        self._dead.add(len(filed))
        if len(filed) < len(failures):
            log.info("failed deliveries of notifications that are not FAILED (any more)", extra={"count": len(failures) - len(filed)})
        return [None] * len(batches)

    async def _drop(self, message: Message) -> None:
        """It can never be read; what is known of it goes to the log, without its content."""
        digest = hashlib.sha256(message.body).hexdigest()
        log.error("message can't be read", extra={"queue": message.queue, "bytes": len(message.body), "sha256": digest})
        self._unreadable.add(1)
        await message.ack()


def read_failed(message: Message) -> tuple[list[Failure], list[UUID]]:
    """The failed deliveries in a message of failed.queue, and the notifications whose deliveries no process can read."""
    try:
        failed = DeliveryFailed.FromString(message.body)
    except DecodeError:
        failed = DeliveryFailed()
    # workers of the release before this one name no kind: only a DeliveryFailed has an outcome
    if message.kind == FAILED or (not message.kind and failed.HasField("outcome")):
        if not failed.HasField("outcome"):
            return [], [UUID(one) for one in ids_of(message.headers)]
        outcome = outcome_of(failed.outcome)
        return ([] if outcome is None else [Failure(outcome, failed.delivery.SerializeToString())]), []
    if message.kind == UNREADABLE:
        return [], [UUID(one) for one in ids_of(message.headers)]
    deliveries, unreadable = open_envelope(message.body, message.headers)
    readable = [_given_up(delivery) for delivery in deliveries if parse(delivery.notification_id)]
    return readable, [UUID(item.notification_id) for item in unreadable if item.notification_id]


def _given_up(delivery: Delivery) -> Failure:
    detail = "the message was delivered to workers several times and none of them answered"
    entry = Entry(datetime.now(UTC), Status.FAILED, delivery.run, delivery.attempt, GIVEN_UP_BY_BUS, detail)
    return Failure(Outcome(UUID(delivery.notification_id), entry), delivery.SerializeToString())


async def _patiently(record: Callable[[T], Awaitable[R]], what: T) -> R:
    """Records it, however long the database is away: the message stays unacked, so nothing is lost if we die waiting."""
    while True:
        try:
            return await record(what)
        except Unavailable as error:
            log.warning("recording outcomes failed; trying again", extra={"reason": error.reason})
            await asyncio.sleep(_PAUSE_S)
