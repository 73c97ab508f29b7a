"""Notifications whose outcome never comes do not stay QUEUED for ever, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from delivery.lanes import work_queue
from devstack.broker import MemoryBroker
from gateway.accepting.models import Row
from gateway.accepting.notification_writer import NotificationWriter
from gateway.dispatch.outbox import PUT_BACK, Outbox
from gateway.notifications.models import Channel, Notification, Reach, Status
from gateway.notifications.repository import NotificationRepository
from gateway.notifications.watchers import Watchers
from gateway.settling.outcomes import Outcomes
from gateway.settling.stuck import MAX_PUT_BACKS, STUCK, StuckSweep
from gateway.settling.stuck_rows import StuckRows
from mesh.context import FIRST_PROJECT
from mesh.stores.database import Database
from mesh.testing import FakeClock
from tests.gateway.factories import make_row

AFTER_S = 600.0
LONG_S = 2 * AFTER_S


class Stage:
    """The sweep with rows that it may find."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.broker = MemoryBroker()
        self.clock = FakeClock()
        self.outbox = Outbox(database)
        self.sweep = StuckSweep(
            StuckRows(database), Outcomes(database), self.broker, Watchers(), after_s=AFTER_S, interval_s=60.0, clock=self.clock
        )

    async def queued(self, *rows: Row, heard_s: float = LONG_S) -> None:
        """Stores the rows as published, and last heard of that long ago."""
        writer = NotificationWriter(self.database, lambda _: None)
        await asyncio.gather(*(writer.store(row) for row in rows))
        await self.publish(*rows)
        await self.age(heard_s)

    async def publish(self, *rows: Row) -> None:
        await self.outbox.mark([(row.id, datetime.now(UTC)) for row in rows])

    async def age(self, seconds: float) -> None:
        """Lets time pass for the rows, the timeline and the sweep."""
        self.clock.advance(seconds)
        async with self.database.begin() as connection:
            for statement in (
                "UPDATE notifications SET update_time = update_time - CAST(:s AS interval), queued_at = queued_at - CAST(:s AS interval)",
                "UPDATE timeline SET time = time - CAST(:s AS interval), next_attempt_time = next_attempt_time - CAST(:s AS interval)",
            ):
                await connection.execute(text(statement), {"s": timedelta(seconds=seconds)})

    async def get(self, row: Row) -> Notification:
        found = await NotificationRepository(self.database).find(row.id, Reach(FIRST_PROJECT))
        assert found is not None
        return found

    async def run(self, statement: str) -> None:
        async with self.database.begin() as connection:
            await connection.execute(text(statement))

    async def dead_letters(self) -> list[tuple[object, ...]]:
        async with self.database.connect() as connection:
            return [tuple(row) for row in await connection.execute(text("SELECT notification_id, reason, state FROM dead_letters"))]


def old_row(**changes: Any) -> Row:
    """An id of days ago: the sweep looks at old ids only, and tests make the rest old by hand."""
    row = make_row()
    when = row.create_time - timedelta(days=1)
    return make_row(id=type(row.id)(int=row.id.int - (24 * 3600 * 1000 << 80)), create_time=when, **changes)


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    made = Stage(database)
    yield made
    await made.broker.close()


@pytest.mark.parametrize("status", [Status.QUEUED, Status.SENDING, Status.RETRYING])
async def test_what_nothing_was_heard_of_for_too_long_is_published_again(stage: Stage, status: Status) -> None:
    row = old_row()
    await stage.queued(row)
    await stage.run(f"UPDATE notifications SET status = {status:d}")
    await stage.sweep.sweep()
    found = await stage.get(row)
    assert (found.status, found.reason) == (Status.PENDING, PUT_BACK)
    assert [(entry.status, entry.reason) for entry in found.timeline] == [
        (Status.PENDING, ""), (Status.QUEUED, ""), (Status.QUEUED, PUT_BACK),
    ]  # fmt: skip
    claimed = await stage.outbox.claim(Channel.EMAIL, most=10, lease_s=3.0)
    assert [job.id for job in claimed.jobs] == [row.id]
    assert stage.sweep.stuck.total() == 1
    await stage.sweep.sweep()
    assert stage.sweep.stuck.total() == 0


async def test_what_was_on_the_bus_does_not_expire_in_the_backlog(stage: Stage) -> None:
    """It may have been sent in time, which only the workers' ledger knows."""
    row = old_row(expires_at=make_row().create_time - timedelta(hours=1))
    await stage.queued(row)
    await stage.sweep.sweep()
    claimed = await stage.outbox.claim(Channel.EMAIL, most=10, lease_s=3.0)
    assert ([job.id for job in claimed.jobs], claimed.expired) == ([row.id], ())


async def test_what_waits_for_workers_that_are_away_is_not_stuck(stage: Stage) -> None:
    row = old_row()
    await stage.queued(row)
    await stage.broker.publish(work_queue("email"), b"x")
    await stage.sweep.sweep()
    assert ((await stage.get(row)).status, stage.sweep.stuck.total()) == (Status.QUEUED, 0)


@pytest.mark.parametrize("heard", ["now()", "now() - interval '5 minutes'"])
async def test_a_sign_of_life_is_heard(stage: Stage, heard: str) -> None:
    """Deferrals change the timeline only."""
    row = old_row()
    await stage.queued(row)
    await stage.run(
        "INSERT INTO timeline (notification_id, run, attempt, status, mark, time, reason, detail, provider) "
        f"SELECT id, 0, 1, {Status.QUEUED:d}, 1, {heard}, 'BREAKER_OPEN', '', '' FROM notifications"
    )
    await stage.sweep.sweep()
    assert ((await stage.get(row)).status, stage.sweep.stuck.total()) == (Status.QUEUED, 0)


async def test_a_try_that_was_announced_is_waited_for(stage: Stage) -> None:
    row = old_row()
    await stage.queued(row)
    await stage.run(
        "INSERT INTO timeline (notification_id, run, attempt, status, mark, time, next_attempt_time, reason, detail, provider) "
        f"SELECT id, 0, 1, {Status.RETRYING:d}, 0, now() - interval '1 hour', now() + interval '1 minute', '', '', '' FROM notifications"
    )
    await stage.sweep.sweep()
    assert (await stage.get(row)).status is Status.QUEUED


async def test_after_several_times_it_is_a_dead_letter(stage: Stage) -> None:
    row = old_row()
    await stage.queued(row)
    for _ in range(MAX_PUT_BACKS):
        await stage.sweep.sweep()
        assert (await stage.get(row)).status is Status.PENDING
        await stage.age(5)
        await stage.publish(row)
        await stage.age(LONG_S)
    await stage.sweep.sweep()  # the queue is seen empty, but only now: a worker may have it in hand
    assert (await stage.get(row)).status is Status.QUEUED
    assert stage.sweep.stuck.total() == 1
    await stage.age(AFTER_S + 1)
    await stage.sweep.sweep()
    found = await stage.get(row)
    assert (found.status, found.reason) == (Status.FAILED, STUCK)
    assert await stage.dead_letters() == [(row.id, STUCK, 1)]


async def test_what_was_erased_can_not_be_published_again(stage: Stage) -> None:
    row = old_row()
    await stage.queued(row)
    await stage.run("UPDATE notifications SET payload = NULL")
    await stage.sweep.sweep()
    await stage.age(AFTER_S + 1)
    await stage.sweep.sweep()
    assert (await stage.get(row)).status is Status.FAILED
    assert await stage.dead_letters() == [(row.id, STUCK, 3)]


async def test_ended_scheduled_and_young_ones_are_left_alone(stage: Stage) -> None:
    rows = [old_row() for _ in range(3)]
    await stage.queued(*rows)
    sent, scheduled, young = rows
    await stage.run(f"UPDATE notifications SET status = {Status.SENT:d} WHERE id = '{sent.id}'")
    await stage.run(f"UPDATE notifications SET status = {Status.SCHEDULED:d} WHERE id = '{scheduled.id}'")
    await stage.run(f"UPDATE notifications SET update_time = now() WHERE id = '{young.id}'")
    await stage.sweep.sweep()
    assert [(await stage.get(row)).status for row in rows] == [Status.SENT, Status.SCHEDULED, Status.QUEUED]


async def test_more_than_a_page_is_found_and_two_gateways_put_each_back_once(stage: Stage) -> None:
    rows = [old_row() for _ in range(620)]
    await stage.queued(*rows)
    other = StuckSweep(StuckRows(stage.database), Outcomes(stage.database), stage.broker, Watchers(), after_s=AFTER_S, clock=stage.clock)
    await asyncio.gather(stage.sweep.sweep(), other.sweep())
    async with stage.database.connect() as connection:
        counted = await connection.execute(
            text(f"SELECT count(*), count(DISTINCT notification_id) FROM timeline WHERE reason = '{PUT_BACK}'")
        )
        assert tuple(counted.one()) == (620, 620)
