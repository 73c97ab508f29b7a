"""The reviewers' desk over a real database: dead letters to make, and what is published when they are decided."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from google.protobuf.struct_pb2 import Struct

from clarion.delivery.v1.delivery_pb2 import Delivery, DeliveryFailed, DeliveryRequested, DeliveryResolved, Outcome
from clarion.notification.v1 import notification_pb2
from delivery.envelopes import FAILED
from delivery.lanes import FAILED_QUEUE, OUTCOME_QUEUE, work_queue
from devstack.broker import MemoryBroker
from gateway.accepting.models import Row
from gateway.accepting.notification_writer import NotificationWriter
from gateway.dead_letters.bulk_repository import BulkRepository
from gateway.dead_letters.bulk_runner import BulkRunner
from gateway.dead_letters.bulk_use_cases import BulkOperations, Order
from gateway.dead_letters.models import DeadLetterFilters, State
from gateway.dead_letters.preview import Previewer
from gateway.dead_letters.repository import DeadLetterRepository
from gateway.dead_letters.use_cases import DeadLetters
from gateway.dispatch.outbox import Outbox
from gateway.dispatch.relay import Relay
from gateway.notifications.models import Entry, Notification, OutboxItem, Reach, Status
from gateway.notifications.models import Outcome as OutcomeModel
from gateway.notifications.repository import NotificationRepository
from gateway.notifications.watchers import Watchers
from gateway.settling.outcomes import Failure, Outcomes
from gateway.settling.settlement import Settlement
from mesh.bus.broker import Message
from mesh.context import FIRST_PROJECT
from mesh.ids import parse
from mesh.stores.database import Database
from mesh.testing import caller
from tests.delivery.fakes import FakeRecipients, FakeRenderer
from tests.gateway.factories import make_delivery, make_row
from tests.gateway.fakes import Budget

REVIEWER = caller("deadletters:review", "deadletters:content", "deadletters:redirect")
START = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Desk:
    """Dead letters, what is published, and the stores beneath. Every person exists but those in `strangers`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.published: list[OutboxItem] = []
        self.woken = 0
        self.strangers: set[str] = set()
        self.recipients, self.renderer = FakeRecipients(), FakeRenderer()
        previews = Previewer(self.recipients, self.renderer)
        self.letters = DeadLetters(DeadLetterRepository(database), self, previews=previews, people=self, lease_s=3.0)
        self.jobs = BulkOperations(BulkRepository(database), self)

    def offer(self, jobs: Sequence[OutboxItem]) -> None:
        self.published += jobs

    def wake(self) -> None:
        self.woken += 1

    async def find(self, project: str, reference: str) -> str | None:
        return None if reference in self.strangers or parse(reference) is None else reference

    async def fail(
        self, row: Row, *, run: int = 0, at: int = 0, reason: str = "SMTP_550", detail: str = "no such box", **fields: Any
    ) -> None:
        """Its last attempt failed; `fields` are those of the delivery as it was last tried."""
        await self.fail_many([row], run=run, at=at, reason=reason, detail=detail, **fields)

    async def fail_many(
        self, rows: Sequence[Row], *, run: int = 0, at: int = 0, reason: str = "SMTP_550", detail: str = "", **fields: Any
    ) -> None:
        failures = []
        for row in rows:
            delivery = make_delivery(row)
            delivery.MergeFrom(Delivery(run=run, attempt=4, **fields))
            entry = Entry(START + timedelta(seconds=at), Status.FAILED, run, 4, reason, detail)
            failures.append(Failure(OutcomeModel(row.id, entry), delivery.SerializeToString()))
        await Outcomes(self.database).file(failures)

    async def failed(self, *, reason: str = "SMTP_550", at: int = 0, **changes: Any) -> Row:
        """A notification with a dead letter."""
        return (await self.failed_many(1, reason=reason, at=at, **changes))[0]

    async def failed_many(self, count: int, *, reason: str = "SMTP_550", at: int = 0, **changes: Any) -> list[Row]:
        rows = [make_row(**changes) for _ in range(count)]
        journal = NotificationWriter(self.database, lambda _: None)
        await asyncio.gather(*(journal.store(row) for row in rows))
        await self.fail_many(rows, reason=reason, at=at)
        return rows

    async def get(self, identifier: UUID) -> Notification:
        found = await NotificationRepository(self.database).find(identifier, Reach(FIRST_PROJECT))
        assert found is not None
        return found

    def delivery(self, number: int = -1) -> Delivery:
        """What was published, the last by default."""
        return Delivery.FromString(self.published[number].payload)


def order(
    decision: State = State.REQUEUED,
    *,
    filters: DeadLetterFilters = DeadLetterFilters(FIRST_PROJECT),  # noqa: B008  a constant
    rate: int = 1000,
    most: int = 0,
    key: str = "",
) -> Order:
    """A reviewer's order; the fingerprint stands for all that is asked."""
    return Order(decision, filters, rate, most, "after the outage", key, repr((decision, filters, rate, most)).encode())


class Floor:
    """A gateway's relay, settlement and job runner, and a worker that sends whatever it gets and remembers how often."""

    def __init__(self, database: Database, broker: MemoryBroker) -> None:
        self.broker = broker
        self.relay = Relay(broker, Outbox(database), Watchers(), Budget(), lease_s=3.0, sweep_s=0.05)
        self.settlement = Settlement(broker, Outcomes(database), Watchers(), Budget())
        self.runner = BulkRunner(
            BulkRepository(database), self.relay, lambda: broker.connected, dispatch_lease_s=3.0, lease_s=0.5, poll_s=0.02
        )
        self.sent: Counter[str] = Counter()
        self.failing = False
        self._arrived = asyncio.Event()

    async def work(self, message: Message) -> None:
        deliveries = DeliveryRequested.FromString(message.body).deliveries
        for delivery in deliveries:
            self.sent[f"{delivery.notification_id}.{delivery.run}"] += 1
        if self.failing:
            for delivery in deliveries:
                failed = DeliveryFailed(delivery=delivery, outcome=outcome_of(delivery, Status.FAILED, "SMTP_550"))
                await self.broker.publish(FAILED_QUEUE, failed.SerializeToString(), kind=FAILED)
        else:
            resolved = DeliveryResolved(outcomes=[outcome_of(delivery, Status.SENT) for delivery in deliveries])
            await self.broker.publish(OUTCOME_QUEUE, resolved.SerializeToString())
        await message.ack()
        self._arrived.set()

    async def sent_at_least(self, count: int) -> None:
        """Returns when so many deliveries have reached the provider."""
        async with asyncio.timeout(60):
            while self.sent.total() < count:
                self._arrived.clear()
                await self._arrived.wait()


@asynccontextmanager
async def open_floor(database: Database, broker: MemoryBroker) -> AsyncIterator[Floor]:
    """Runs until the end of the block; what is under way by then is finished."""
    floor = Floor(database, broker)
    workers = [await broker.consume(work_queue("email"), floor.work, prefetch=10)]
    await floor.settlement.start()
    floor.relay.start()
    floor.runner.start()
    try:
        yield floor
    finally:
        await floor.runner.close()
        await floor.relay.close()
        for worker in workers:
            await worker.stop(timeout_s=10)
        await floor.settlement.close()


def outcome_of(delivery: Delivery, status: Status, reason: str = "") -> Outcome:
    """What a worker tells of a delivery."""
    message = Outcome(
        notification_id=delivery.notification_id,
        run=delivery.run,
        attempt=delivery.attempt,
        status=notification_pb2.NotificationStatus.ValueType(status),
        reason=reason,
    )
    message.time.FromDatetime(datetime.now(UTC))
    return message


def struct(**values: Any) -> Struct:
    """The variables of a delivery."""
    made = Struct()
    made.update(values)
    return made
