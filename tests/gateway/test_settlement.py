"""Settlement: outcomes and dead letters from the in-process broker into a real PostgreSQL."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from clarion.delivery.v1.delivery_pb2 import Delivery, DeliveryFailed, DeliveryRequested, DeliveryResolved, Outcome
from clarion.notification.v1 import notification_pb2
from delivery.envelopes import FAILED, REQUESTED, UNREADABLE, envelope, ids_header
from delivery.lanes import FAILED_QUEUE, OUTCOME_QUEUE
from devstack.broker import MemoryBroker
from gateway.accepting.models import Row
from gateway.accepting.notification_writer import NotificationWriter
from gateway.dispatch.outbox import Outbox
from gateway.notifications.convert import notification_message
from gateway.notifications.models import Channel, DeviceResult, Notification, Reach, Status
from gateway.notifications.repository import NotificationRepository
from gateway.notifications.watchers import Watchers
from gateway.settling.outcomes import Outcomes
from gateway.settling.settlement import Settlement
from mesh.context import FIRST_PROJECT
from mesh.stores.database import Database
from tests.gateway.factories import make_delivery, make_row
from tests.gateway.fakes import Budget

START = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Desk:
    """Settlement with what feeds it and what shows its work."""

    def __init__(self, database: Database) -> None:
        self.broker = MemoryBroker()
        self.database = database
        self.watchers = Watchers()
        self.settlement = Settlement(self.broker, Outcomes(database), self.watchers, Budget())
        self.repository = NotificationRepository(database)

    async def store(self, *rows: Row) -> None:
        journal = NotificationWriter(self.database, lambda _: None)
        await asyncio.gather(*(journal.store(row) for row in rows))

    async def tell(self, *outcomes: Outcome) -> None:
        await self.broker.publish(OUTCOME_QUEUE, DeliveryResolved(outcomes=outcomes).SerializeToString())

    async def settled(self) -> None:
        """Waits until everything published so far is recorded."""
        async with asyncio.timeout(20):
            while any([await self.broker.depth(OUTCOME_QUEUE), await self.broker.depth(FAILED_QUEUE), self.in_flight]):  # noqa: ASYNC110  a queue offers no event
                await asyncio.sleep(0.005)

    @property
    def in_flight(self) -> int:
        return sum(subscription.in_flight for subscription in self.settlement._subscriptions)

    async def get(self, identifier: UUID) -> Notification:
        found = await self.repository.find(identifier, Reach(FIRST_PROJECT))
        assert found is not None
        return found

    async def dead_letters(self) -> list[tuple[UUID, str, int, int]]:
        async with self.database.connect() as connection:
            rows = await connection.execute(text("SELECT notification_id, reason, run, attempts FROM dead_letters"))
            return [tuple(row) for row in rows]


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    opened = Desk(database)
    await opened.settlement.start()
    yield opened
    await opened.settlement.close()
    await opened.broker.close()


def outcome(row: Row, status: Status, attempt: int = 1, *, at: int = 0, called: bool = True, **more: object) -> Outcome:
    message = Outcome(
        notification_id=str(row.id),
        attempt=attempt,
        status=notification_pb2.NotificationStatus.ValueType(status),
        **more,  # type: ignore[arg-type]  # fields by name
    )
    message.time.FromDatetime(START + timedelta(seconds=at + 1))
    if called:
        message.start_time.FromDatetime(START + timedelta(seconds=at))
    return message


async def test_an_outcome_moves_the_notification_on_and_tells_its_story(desk: Desk) -> None:
    row = make_row(create_time=START - timedelta(seconds=5))
    await desk.store(row)
    await desk.tell(outcome(row, Status.RETRYING, reason="SMTP_451", detail="try later"))
    await desk.tell(outcome(row, Status.SENT, 2, at=10, locale="pt-BR"))
    await desk.settled()
    found = await desk.get(row.id)
    assert (found.status, found.progress.attempts, found.locale, found.reason) == (Status.SENT, 2, "pt-BR", "")
    assert found.update_time == START + timedelta(seconds=11)
    assert [(entry.status, entry.attempt, entry.reason) for entry in found.timeline] == [
        (Status.PENDING, 0, ""),
        (Status.SENDING, 1, ""),
        (Status.RETRYING, 1, "SMTP_451"),
        (Status.SENDING, 2, ""),
        (Status.SENT, 2, ""),
    ]


async def test_shuffled_and_repeated_outcomes_end_alike(desk: Desk) -> None:
    """Fifty notifications, each outcome told three times in any order, in envelopes of random size."""
    rows = [make_row(create_time=START) for _ in range(50)]
    await desk.store(*rows)
    told = [outcome(row, status, attempt, at=attempt) for row in rows for status, attempt in [(Status.RETRYING, 1), (Status.SENT, 2)]] * 3
    random.Random(7).shuffle(told)
    while told:
        size = random.Random(len(told)).randint(1, 40)
        await desk.tell(*told[:size])
        del told[:size]
    await desk.settled()
    for row in rows:
        found = await desk.get(row.id)
        assert (found.status, found.progress.attempt) == (Status.SENT, 2)
        assert [entry.status for entry in found.timeline[1:]] == [Status.SENDING, Status.RETRYING, Status.SENDING, Status.SENT]


async def test_a_try_that_is_far_away_waits_in_the_database_like_a_scheduled_send(desk: Desk) -> None:
    """With the delivery as the worker left it; a repeated outcome, also a late one, does not put it back twice."""
    row = make_row(create_time=START)
    await desk.store(row)
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    far = outcome(row, Status.RETRYING, 4, reason="SMTP_451", next=Delivery(notification_id=str(row.id), attempt=5, refusals=1))
    far.next_attempt_time.FromDatetime(due)
    await desk.tell(far, far)
    await desk.settled()
    waiting = await desk.get(row.id)
    assert (waiting.status, waiting.progress.attempts, waiting.reason) == (Status.SCHEDULED, 4, "SMTP_451")
    assert waiting.timeline[-1].next_attempt_time == due
    outbox = Outbox(desk.database)
    assert (await outbox.claim(Channel.EMAIL, most=10, lease_s=60)).jobs == ()
    async with desk.database.begin() as connection:
        await connection.execute(text("UPDATE notifications SET dispatch_at = now() WHERE id = :id"), {"id": row.id})
    ((identifier, _, _, payload, _),) = (await outbox.claim(Channel.EMAIL, most=10, lease_s=60)).jobs
    delivery = Delivery.FromString(payload)
    assert (identifier, delivery.attempt, delivery.refusals) == (row.id, 5, 1)
    await desk.tell(far)
    await desk.settled()
    assert (await desk.get(row.id)).status is Status.PENDING
    await desk.tell(outcome(row, Status.SENT, 5, at=7200))
    await desk.settled()
    sent = await desk.get(row.id)
    assert (sent.status, sent.progress.attempts) == (Status.SENT, 5)


def postponed(row: Row, due: datetime, *, at: int = 0) -> Outcome:
    message = outcome(
        row, Status.SCHEDULED, at=at, called=False, reason="QUIET_HOURS", detail="quiet_hours:22:00-07:00",
        next=Delivery(notification_id=str(row.id), attempt=1),
    )  # fmt: skip
    message.next_attempt_time.FromDatetime(due)
    return message


async def test_what_its_person_does_not_want_now_waits_in_the_database(desk: Desk) -> None:
    """As often as it is postponed; it uses up no attempt, is shown as scheduled, and its timeline has every way on the bus."""
    row = make_row(create_time=START)
    await desk.store(row)
    outbox = Outbox(desk.database)
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    for turn in range(2):
        await outbox.mark([(row.id, START + timedelta(seconds=100 * turn))])
        await desk.tell(postponed(row, due, at=100 * turn + 1))
        await desk.settled()
        waiting = await desk.get(row.id)
        assert (waiting.status, waiting.shown_status, waiting.progress.attempts) == (Status.SCHEDULED, Status.SCHEDULED, 0)
        assert (waiting.reason, waiting.queued_at) == ("QUIET_HOURS", None)
        # a mark that was slower than the worker changes nothing
        assert await outbox.mark([(row.id, START)]) == []
        assert (await outbox.claim(Channel.EMAIL, most=10, lease_s=60)).jobs == ()
        async with desk.database.begin() as connection:
            await connection.execute(text("UPDATE notifications SET dispatch_at = now() WHERE id = :id"), {"id": row.id})
        assert [job.id for job in (await outbox.claim(Channel.EMAIL, most=10, lease_s=60)).jobs] == [row.id]
    await outbox.mark([(row.id, START + timedelta(seconds=200))])
    await desk.tell(outcome(row, Status.SENT, at=201))
    await desk.settled()
    sent = await desk.get(row.id)
    assert (sent.status, sent.progress.attempts) == (Status.SENT, 1)
    assert [(entry.status, entry.reason) for entry in sent.timeline] == [
        (Status.PENDING, ""),
        (Status.QUEUED, ""),
        (Status.SCHEDULED, "QUIET_HOURS"),
        (Status.QUEUED, ""),
        (Status.SCHEDULED, "QUIET_HOURS"),
        (Status.QUEUED, ""),
        (Status.SENDING, ""),
        (Status.SENT, ""),
    ]


async def test_what_has_begun_is_not_postponed_any_more(desk: Desk) -> None:
    """The message was delivered twice: one worker sends, while another one has found that it is night."""
    rows = [make_row(create_time=START) for _ in range(2)]
    await desk.store(*rows)
    due = datetime.now(UTC) + timedelta(hours=2)
    await desk.tell(outcome(rows[0], Status.SENDING), postponed(rows[0], due))
    await desk.tell(outcome(rows[1], Status.SENT), postponed(rows[1], due))
    await desk.settled()
    assert [(await desk.get(row.id)).status for row in rows] == [Status.SENDING, Status.SENT]


async def test_the_timeline_names_the_provider_and_those_that_were_tried_before(desk: Desk) -> None:
    row = make_row(create_time=START)
    await desk.store(row)
    await desk.tell(outcome(row, Status.SENT, provider="smtp.backup", detail="after smtp.primary: SMTP_CONNECT"))
    await desk.settled()
    entry = notification_message(await desk.get(row.id)).timeline[-1]
    assert (entry.provider, entry.detail) == ("smtp.backup", "after smtp.primary: SMTP_CONNECT")


async def test_results_per_device_are_kept(desk: Desk) -> None:
    row = make_row()
    await desk.store(row)
    result = notification_pb2.DeviceResult
    devices = [result(device_id="d1", accepted=True), result(device_id="d2", reason="UNREGISTERED")]
    await desk.tell(outcome(row, Status.SENT, devices=devices))
    await desk.settled()
    assert (await desk.get(row.id)).timeline[-1].devices == (DeviceResult("d1", accepted=True), DeviceResult("d2", False, "UNREGISTERED"))


async def test_a_failed_delivery_is_filed_once_however_often_it_comes(desk: Desk) -> None:
    row = make_row()
    await desk.store(row)
    failed = DeliveryFailed(delivery=make_delivery(row), outcome=outcome(row, Status.FAILED, 4, reason="SMTP_550", detail="no such box"))
    for _ in range(3):
        await desk.broker.publish(FAILED_QUEUE, failed.SerializeToString(), kind=FAILED)
    await desk.settled()
    assert await desk.dead_letters() == [(row.id, "SMTP_550", 0, 4)]
    assert (await desk.get(row.id)).status is Status.FAILED


async def test_an_envelope_that_the_broker_gave_up_is_filed_item_by_item(desk: Desk) -> None:
    """All but those that are settled."""
    rows = [make_row() for _ in range(3)]
    await desk.store(*rows)
    await desk.tell(outcome(rows[0], Status.SENT))
    await desk.settled()
    given_up = DeliveryRequested(deliveries=[make_delivery(row) for row in rows])
    await desk.broker.publish(FAILED_QUEUE, given_up.SerializeToString(), kind=REQUESTED)
    await desk.settled()
    assert {(identifier, reason) for identifier, reason, _, _ in await desk.dead_letters()} == {
        (rows[1].id, "DELIVERY_LIMIT"),
        (rows[2].id, "DELIVERY_LIMIT"),
    }
    assert (await desk.get(rows[0].id)).status is Status.SENT


async def test_unreadable_and_unknown_messages_stop_nobody(desk: Desk) -> None:
    row = make_row()
    await desk.store(row)
    for queue in (OUTCOME_QUEUE, FAILED_QUEUE):
        await desk.broker.publish(queue, b"\xff\xff garbage")
        await desk.broker.publish(queue, b"")
    await desk.tell(outcome(make_row(), Status.SENT), Outcome(notification_id="x", status=notification_pb2.NOTIFICATION_STATUS_SENT))
    await desk.tell(outcome(row, Status.SENT))
    await desk.settled()
    assert (await desk.get(row.id)).status is Status.SENT
    assert await desk.dead_letters() == []


async def test_followers_hear_of_a_change(desk: Desk) -> None:
    row = make_row()
    await desk.store(row)
    with desk.watchers.watch(row.id) as changed:
        await desk.tell(outcome(row, Status.SENT))
        await asyncio.wait_for(changed.wait(), 20)


async def test_what_no_worker_can_read_is_filed_under_its_notification_and_harms_no_other(desk: Desk) -> None:
    """As a worker sets it aside, as the broker gives an envelope up, and as a dead letter of its own; settled ones stay."""
    rows = [make_row() for _ in range(5)]
    await desk.store(*rows)
    await desk.tell(outcome(rows[4], Status.SENT))
    await desk.settled()
    deep = b"\x52" + b"\xff\x7f"  # the variables, cut off
    await desk.broker.publish(FAILED_QUEUE, deep, headers=ids_header([rows[0].id]), kind=UNREADABLE)
    body = envelope([make_delivery(rows[1]).SerializeToString(), deep, b"\x0a\x24" + str(rows[3].id).encode() + deep])
    await desk.broker.publish(FAILED_QUEUE, body, headers=ids_header(row.id for row in rows[1:4]), kind=REQUESTED)
    await desk.broker.publish(FAILED_QUEUE, b"\xff", headers=ids_header([rows[4].id]), kind=FAILED)
    await desk.settled()
    assert {(identifier, reason) for identifier, reason, _, _ in await desk.dead_letters()} == {
        (rows[0].id, "UNREADABLE"),
        (rows[1].id, "DELIVERY_LIMIT"),
        (rows[2].id, "UNREADABLE"),
        (rows[3].id, "UNREADABLE"),
    }
    assert (await desk.get(rows[4].id)).status is Status.SENT


async def test_the_kind_tells_a_failed_delivery_from_an_envelope(desk: Desk) -> None:
    rows = [make_row() for _ in range(2)]
    await desk.store(*rows)
    failed = DeliveryFailed(delivery=make_delivery(rows[0]), outcome=outcome(rows[0], Status.FAILED, reason="X"))
    await desk.broker.publish(FAILED_QUEUE, failed.SerializeToString(), kind=FAILED)
    await desk.broker.publish(FAILED_QUEUE, DeliveryRequested(deliveries=[make_delivery(rows[1])]).SerializeToString(), kind=REQUESTED)
    await desk.settled()
    assert {(identifier, reason) for identifier, reason, _, _ in await desk.dead_letters()} == {
        (rows[0].id, "X"),
        (rows[1].id, "DELIVERY_LIMIT"),
    }


@pytest.mark.parametrize("ahead_s", [-60, -3, 0, 3, 60])
async def test_the_timeline_tells_what_happened_whatever_the_clocks_say(desk: Desk, ahead_s: int) -> None:
    """The gateway's clock is ahead of the worker's by that much; the times are shown as they were read."""
    accepted = START + timedelta(seconds=ahead_s)
    row = make_row(create_time=accepted)
    await desk.store(row)
    await Outbox(desk.database).mark([(row.id, accepted)])
    await desk.tell(
        outcome(row, Status.RETRYING, 1, at=1), outcome(row, Status.QUEUED, 2, at=5, called=False), outcome(row, Status.SENT, 2, at=9)
    )
    await desk.settled()
    timeline = (await desk.get(row.id)).timeline
    assert [(entry.status, entry.attempt) for entry in timeline] == [
        (Status.PENDING, 0),
        (Status.QUEUED, 0),
        (Status.SENDING, 1),
        (Status.RETRYING, 1),
        (Status.QUEUED, 2),
        (Status.SENDING, 2),
        (Status.SENT, 2),
    ]
    assert (timeline[0].time, timeline[-1].time) == (accepted, START + timedelta(seconds=10))
