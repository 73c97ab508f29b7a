"""A whole delivery between machines whose clocks differ: what the timeline says, what expires and what is listed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from clarion.delivery.v1.delivery_pb2 import Delivery
from delivery.consumer import DeliveryConsumer
from delivery.disposition import Disposition, Settled
from delivery.pipeline import DeliveryPipeline
from devstack.broker import MemoryBroker
from gateway.accepting.models import Row
from gateway.accepting.notification_writer import NotificationWriter
from gateway.dispatch.outbox import Outbox
from gateway.dispatch.relay import Relay
from gateway.notifications.models import Channel, Filters, Notification, OutboxItem, Priority, Reach, Status
from gateway.notifications.repository import NotificationRepository
from gateway.notifications.watchers import Watchers
from gateway.settling.outcomes import Outcomes
from gateway.settling.settlement import Settlement
from mesh.context import FIRST_PROJECT
from mesh.ids import least_at
from mesh.stores.clock import SharedClock
from mesh.stores.database import Database
from tests.delivery.fakes import FakeLedger, FakeSender
from tests.delivery.pipelines import make_pipeline
from tests.gateway.factories import make_delivery, make_row
from tests.gateway.fakes import Budget
from tests.waiting import until_answered


class Clock:
    """A machine's clock that is `ahead_s` wrong."""

    def __init__(self, ahead_s: float) -> None:
        self.ahead = timedelta(seconds=ahead_s)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def now_s(self) -> float:
        return self.now().timestamp()


@dataclass
class System:
    """The gateway's parts, which are right, and a worker's."""

    database: Database
    relay: Relay
    sender: FakeSender

    async def send(self, row: Row) -> Notification:
        """Accepts the row and waits until it has ended."""
        writer = NotificationWriter(self.database, lambda rows: self.relay.offer([_item(one) for one in rows]))
        await writer.store(row)
        repository = NotificationRepository(self.database)
        found: list[Notification] = []

        async def ended() -> bool:
            one = await repository.find(row.id, Reach(FIRST_PROJECT))
            found[:] = [one] if one is not None else []
            return one is not None and one.progress.is_terminal and one.queued_at is not None

        await until_answered(ended)
        await writer.close()
        return found[0]


def _item(row: Row) -> OutboxItem:
    return OutboxItem(row.id, Channel(row.channel), Priority(row.priority), row.payload, row.caller)


@asynccontextmanager
async def system(database: Database, clock: Clock | SharedClock) -> AsyncIterator[System]:
    broker, sender = MemoryBroker(), FakeSender()
    pipeline: DeliveryPipeline = make_pipeline(FakeLedger(), sender, now_s=clock.now_s)

    async def handle(deliveries: Sequence[Delivery], _: Settled) -> Sequence[Disposition]:
        return await pipeline.handle(deliveries)

    consumer = DeliveryConsumer(broker, "email", handle, prefetch=4, clock=clock.now)
    settlement = Settlement(broker, Outcomes(database), Watchers(), Budget())
    relay = Relay(broker, Outbox(database), Watchers(), Budget(), lease_s=3.0)
    await consumer.start()
    await settlement.start()
    yield System(database, relay, sender)
    await relay.close()
    await consumer.stop(timeout_s=3.0)
    await settlement.close()
    await broker.close()


@pytest.mark.parametrize("ahead_s", [-3.0, 3.0, -60.0, 60.0])
async def test_the_timeline_is_in_order_whatever_the_workers_clock_says(database: Database, ahead_s: float) -> None:
    async with system(database, Clock(ahead_s)) as running:
        found = await running.send(make_row())
    assert [entry.status for entry in found.timeline] == [Status.PENDING, Status.QUEUED, Status.SENDING, Status.SENT]
    times = [entry.time for entry in found.timeline]
    shown = (times[2] - times[1]).total_seconds()
    assert abs(shown - ahead_s) < 2.5, "times are shown as they were read"


def expiring(in_s: float) -> Row:
    expires = datetime.now(UTC) + timedelta(seconds=in_s)
    row = make_row(expires_at=expires)
    delivery = make_delivery(row)
    delivery.expire_time.FromDatetime(expires)
    return row._replace(payload=delivery.SerializeToString())


@pytest.mark.parametrize("ahead_s", [-60.0, -3.0, 3.0, 60.0])
async def test_a_wrong_clock_neither_drops_what_has_time_left_nor_sends_what_has_none(database: Database, ahead_s: float) -> None:
    """The worker asks a server that all share."""

    async def ask() -> float:
        return datetime.now(UTC).timestamp()

    clock = SharedClock(ask, wall=Clock(ahead_s).now_s)
    await clock.measure()
    async with system(database, clock) as running:
        in_time, late = await asyncio.gather(running.send(expiring(20.0)), running.send(expiring(-0.5)))
    assert (in_time.status, late.status) == (Status.SENT, Status.EXPIRED)
    assert [job.delivery.notification_id for job in running.sender.jobs] == [str(in_time.id)]


@pytest.mark.parametrize("behind_s", [-60.0, 0.0, 60.0])
async def test_created_after_stands_gateways_whose_clocks_differ(database: Database, behind_s: float) -> None:
    """An id holds its gateway's own clock; the time of acceptance is the one that all gateways share."""
    now = datetime.now(UTC)
    made = least_at(now - timedelta(seconds=behind_s))
    row = make_row(id=UUID(int=made.int + 1), create_time=now)
    writer = NotificationWriter(database, lambda _: None)
    await writer.store(row)
    repository = NotificationRepository(database)
    for after, before, found in ((-1, 1, 1), (1, 2, 0), (-2, -1, 0)):
        filters = Filters(FIRST_PROJECT, created_after=now + timedelta(seconds=after), created_before=now + timedelta(seconds=before))
        assert len((await repository.list_page(filters, size=10, token="")).items) == found
    await writer.close()
