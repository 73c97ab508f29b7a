"""The relay and its outbox: a real PostgreSQL and the in-process broker."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clarion.delivery.v1.delivery_pb2 import DeliveryRequested
from delivery.lanes import work_queue
from devstack.broker import MemoryBroker
from gateway.accepting.models import Row
from gateway.accepting.notification_writer import NotificationWriter
from gateway.dispatch.leases import Leases
from gateway.dispatch.outbox import Outbox
from gateway.dispatch.relay import Relay
from gateway.notifications.models import Channel, OutboxItem, Priority, Reach, Status
from gateway.notifications.repository import NotificationRepository
from gateway.notifications.watchers import Watchers
from mesh.bus.broker import Message
from mesh.context import FIRST_PROJECT
from mesh.stores.database import Database
from mesh.testing import FakeClock
from tests.gateway.factories import make_row
from tests.gateway.fakes import Budget


class Bus:
    """The broker and what arrived in its work queues."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self.envelopes: list[tuple[str, list[str]]] = []
        self.arrived = asyncio.Event()

    async def listen(self) -> None:
        for channel in ("email", "push"):
            for urgent in (False, True):
                await self.broker.consume(work_queue(channel, urgent=urgent), self._take, prefetch=100)

    async def _take(self, message: Message) -> None:
        deliveries = DeliveryRequested.FromString(message.body).deliveries
        self.envelopes.append((message.queue, [delivery.notification_id for delivery in deliveries]))
        await message.ack()
        self.arrived.set()

    @property
    def ids(self) -> list[str]:
        return [identifier for _, ids in self.envelopes for identifier in ids]

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.ids) < count:
                self.arrived.clear()
                await self.arrived.wait()


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    opened = Bus(MemoryBroker())
    await opened.listen()
    yield opened
    await opened.broker.close()


@pytest.fixture
async def relay(bus: Bus, database: Database) -> AsyncIterator[Relay]:
    opened = Relay(bus.broker, Outbox(database), Watchers(), Budget(), lease_s=3.0, sweep_s=0.02)
    yield opened
    await opened.close()


def jobs(rows: Sequence[Row]) -> list[OutboxItem]:
    return [OutboxItem(row.id, Channel(row.channel), Priority(row.priority), row.payload, row.caller) for row in rows]


async def store(database: Database, rows: Sequence[Row], relay: Relay | None = None) -> None:
    journal = NotificationWriter(database, lambda stored: relay.offer(jobs(stored)) if relay else None)
    await asyncio.gather(*(journal.store(row) for row in rows))


async def statuses(database: Database, rows: Sequence[Row]) -> set[Status]:
    repository = NotificationRepository(database)
    found = [await repository.find(row.id, Reach(FIRST_PROJECT)) for row in rows]
    return {notification.status for notification in found if notification is not None}


async def test_committed_rows_are_published_at_once_in_envelopes_and_marked(bus: Bus, relay: Relay, database: Database) -> None:
    rows = [make_row(channel=channel) for channel in (Channel.EMAIL, Channel.PUSH) for _ in range(60)]
    await store(database, rows, relay)
    await bus.until(120)
    await relay.close()
    assert sorted(bus.ids) == sorted(str(row.id) for row in rows)
    assert {queue for queue, _ in bus.envelopes} == {"email.queue", "push.queue"}
    assert max(len(ids) for _, ids in bus.envelopes) <= 50
    assert len(bus.envelopes) < 60
    assert await statuses(database, rows) == {Status.QUEUED}


async def test_an_urgent_notification_travels_alone_in_its_own_lane(bus: Bus, relay: Relay, database: Database) -> None:
    await store(database, [make_row(priority=Priority.HIGH) for _ in range(5)], relay)
    await bus.until(5)
    assert [(queue, len(ids)) for queue, ids in bus.envelopes] == [("email.urgent.queue", 1)] * 5


async def test_the_sweeper_takes_what_a_crash_left_and_drains_a_backlog(bus: Bus, relay: Relay, database: Database) -> None:
    """1,200 rows are more than two pages."""
    due = datetime.now(UTC) - timedelta(seconds=1)
    rows = [make_row(dispatch_at=due) for _ in range(1200)]
    await store(database, rows)
    relay.start()
    await bus.until(1200)
    await relay.close()
    assert len(bus.ids) == len(set(bus.ids)) == 1200
    assert await statuses(database, rows[::100]) == {Status.QUEUED}


async def test_a_row_under_lease_or_in_the_future_is_left_alone(bus: Bus, relay: Relay, database: Database) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    scheduled = make_row(status=Status.SCHEDULED, send_at=later, dispatch_at=later)
    await store(database, [make_row(), scheduled])
    assert await relay.sweep() is False
    assert bus.ids == []


async def test_a_scheduled_row_is_published_when_its_time_has_come(bus: Bus, relay: Relay, database: Database) -> None:
    now = datetime.now(UTC)
    row = make_row(status=Status.SCHEDULED, create_time=now - timedelta(hours=1), send_at=now, dispatch_at=now)
    await store(database, [row])
    await relay.sweep()
    await bus.until(1)
    await relay.close()
    notification = await NotificationRepository(database).find(row.id, Reach(FIRST_PROJECT))
    assert notification is not None
    assert [entry.status for entry in notification.timeline] == [Status.SCHEDULED, Status.QUEUED]


async def test_two_sweepers_share_a_backlog(bus: Bus, relay: Relay, database: Database) -> None:
    """SKIP LOCKED and the lease: nothing is published twice."""
    due = datetime.now(UTC) - timedelta(seconds=1)
    await store(database, [make_row(dispatch_at=due) for _ in range(900)])
    other = Relay(bus.broker, Outbox(database), Watchers(), Budget(), lease_s=3.0)
    while any(await asyncio.gather(relay.sweep(), other.sweep())):
        pass
    await other.close()
    await bus.until(900)
    assert len(bus.ids) == len(set(bus.ids)) == 900


async def test_nothing_is_lost_while_the_broker_is_away(bus: Bus, database: Database) -> None:
    bus.broker.disconnect()
    relay = Relay(bus.broker, Outbox(database), Watchers(), Budget(), lease_s=0.05, sweep_s=0.02)
    relay.start()
    rows = [make_row(dispatch_at=datetime.now(UTC)) for _ in range(70)]
    await store(database, rows, relay)
    assert await statuses(database, rows) == {Status.PENDING}
    bus.broker.connect()
    await bus.until(70)
    await relay.close()
    assert set(bus.ids) == {str(row.id) for row in rows}


async def test_what_has_expired_in_the_backlog_is_not_published(bus: Bus, relay: Relay, database: Database) -> None:
    now = datetime.now(UTC)
    row = make_row(dispatch_at=now, expires_at=now)
    await store(database, [row])
    await relay.sweep()
    assert bus.ids == []
    notification = await NotificationRepository(database).find(row.id, Reach(FIRST_PROJECT))
    assert notification is not None
    assert (notification.status, notification.reason) == (Status.EXPIRED, "EXPIRED_IN_BACKLOG")
    assert [entry.status for entry in notification.timeline] == [Status.PENDING, Status.EXPIRED]


async def test_urgent_rows_of_a_backlog_go_first(bus: Bus, relay: Relay, database: Database) -> None:
    due = datetime.now(UTC) - timedelta(seconds=10)
    urgent = make_row(priority=Priority.HIGH, dispatch_at=due + timedelta(seconds=9))
    await store(database, [*(make_row(dispatch_at=due) for _ in range(600)), urgent])
    await relay.sweep()
    await bus.until(501)
    assert str(urgent.id) in bus.ids


class Hanging(MemoryBroker):
    """Takes messages and confirms them when `confirm` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.confirm, self.publishing = asyncio.Event(), asyncio.Event()

    async def publish(self, queue: str, body: bytes, **more: Any) -> None:
        self.publishing.set()
        await self.confirm.wait()
        await super().publish(queue, body, **more)


async def test_a_row_is_not_published_again_while_its_publish_may_still_be_confirmed(database: Database) -> None:
    """The broker takes longer than a lease; another replica sweeps all the while."""
    slow, quick = Hanging(), MemoryBroker()
    relay = Relay(slow, Outbox(database), Watchers(), Budget(), lease_s=0.4, sweep_s=10)
    other = Relay(quick, Outbox(database), Watchers(), Budget(), lease_s=3.0)
    relay._leases.start()
    row = make_row()
    await store(database, [row], relay)
    await slow.publishing.wait()
    renewals: list[datetime] = []
    async with asyncio.timeout(20):
        while len(set(renewals)) < 8:  # two leases
            await other.sweep()
            (found,) = await database.fetch("SELECT dispatch_at, now() AS now FROM notifications WHERE id = $1", row.id)
            assert found["dispatch_at"] > found["now"]
            renewals.append(found["dispatch_at"])
            await asyncio.sleep(0.02)
    assert await quick.depth("email.queue") == 0
    slow.confirm.set()
    await relay.close()
    await other.close()
    assert await statuses(database, [row]) == {Status.QUEUED}


async def test_a_gateway_whose_publishes_hang_takes_no_more_of_the_backlog(database: Database) -> None:
    slow, clock = Hanging(), FakeClock()
    relay = Relay(slow, Outbox(database), Watchers(), Budget(), lease_s=3.0)
    relay._leases = Leases(Outbox(database), lease_s=3.0, clock=clock)
    first = make_row()
    await store(database, [first], relay)
    await slow.publishing.wait()
    clock.advance(2)
    waiting = make_row(dispatch_at=datetime.now(UTC) - timedelta(seconds=1))
    await store(database, [waiting], relay)
    assert await relay.sweep() is False
    (found,) = await database.fetch("SELECT dispatch_at <= now() AS free FROM notifications WHERE id = $1", waiting.id)
    assert found["free"], "another replica may take it"
    slow.confirm.set()
    await relay.close()
    assert await slow.depth("email.queue") == 1


@pytest.mark.parametrize("ahead_s", [-60, 60])
async def test_a_lease_does_not_depend_on_the_gateways_clock(bus: Bus, relay: Relay, database: Database, ahead_s: int) -> None:
    now = datetime.now(UTC) + timedelta(seconds=ahead_s)
    held = make_row(create_time=now, dispatch_at=now + timedelta(seconds=30))
    left = make_row(create_time=now, dispatch_at=now - timedelta(seconds=1))
    await store(database, [held, left])
    await relay.sweep()
    await bus.until(1)
    assert bus.ids == [str(left.id)]
