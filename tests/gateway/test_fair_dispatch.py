"""Nobody's campaign keeps others waiting: the relay with a real PostgreSQL and the in-process broker."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from clarion.delivery.v1.delivery_pb2 import DeliveryRequested
from delivery.lanes import work_queue
from devstack.broker import MemoryBroker
from gateway.accepting.models import Row
from gateway.dispatch.outbox import _CLAIM_IN_TURN, MOST_COUNTED, Claimed, Outbox
from gateway.dispatch.relay import Relay
from gateway.notifications.models import Channel, OutboxItem, Priority, Status
from gateway.notifications.watchers import Watchers
from mesh.bus.broker import BrokerUnavailable, Message
from mesh.stores.database import Database
from tests.gateway.factories import make_row
from tests.gateway.fakes import Budget
from tests.waiting import until, until_answered

CAMPAIGN, OTHER = "api_key:campaign", "api_key:other"
DEPTH = 4
_COLUMNS = Row._fields[: Row._fields.index("digest")]


class Workers:
    """Takes everything from the work queues, once they are told to begin."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self.ids: list[str] = []
        self.envelopes: list[int] = []

    async def begin(self, *channels: str) -> None:
        for channel in channels or ("email", "push"):
            for urgent in (False, True):
                await self.broker.consume(work_queue(channel, urgent=urgent), self._take, prefetch=1)

    async def _take(self, message: Message) -> None:
        ids = [delivery.notification_id for delivery in DeliveryRequested.FromString(message.body).deliveries]
        self.ids += ids
        self.envelopes.append(len(ids))
        await message.ack()


class Blind(MemoryBroker):
    """A broker that tells nobody how much waits in it."""

    async def depth(self, queue: str) -> int:
        raise BrokerUnavailable("the message broker does not answer")


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    made = Workers(MemoryBroker())
    yield made
    await made.broker.close()


@pytest.fixture
async def relay(workers: Workers, database: Database) -> AsyncIterator[Relay]:
    opened = Relay(workers.broker, Outbox(database), Watchers(), Budget(), lease_s=60.0, sweep_s=0.02, lane_depth=DEPTH)
    yield opened
    await opened.close()


async def fill(database: Database, rows: Sequence[Row]) -> None:
    """Stores many rows at once."""
    async with database.driver() as driver:
        values = [(*row[: len(_COLUMNS)], row.create_time) for row in rows]
        await driver.copy_records_to_table("notifications", records=values, columns=[*_COLUMNS, "update_time"])


def overdue(count: int, caller: str, *, seconds: float = 60.0, **changes: Any) -> list[Row]:
    due = datetime.now(UTC) - timedelta(seconds=seconds)
    return [make_row(caller=caller, dispatch_at=due + timedelta(microseconds=number), **changes) for number in range(count)]


def jobs(rows: Sequence[Row]) -> list[OutboxItem]:
    return [OutboxItem(row.id, Channel(row.channel), Priority(row.priority), row.payload, row.caller) for row in rows]


async def test_a_callers_first_passes_the_thousands_that_another_has_just_sent(relay: Relay, workers: Workers, database: Database) -> None:
    """The queue gets its few envelopes, the rest waits in the relay by caller: the other's is in the next envelope."""
    campaign, other = [make_row(caller=CAMPAIGN) for _ in range(3000)], make_row(caller=OTHER)
    await fill(database, [*campaign, other])
    relay.offer(jobs(campaign))
    await until_answered(lambda: full(workers.broker))
    relay.offer(jobs([other]))
    await workers.begin()
    await until(lambda: len(workers.ids) == 3001)
    assert workers.ids.index(str(other.id)) <= (DEPTH + 1) * 50
    assert len(workers.envelopes) == 61


async def full(broker: MemoryBroker) -> bool:
    return await broker.depth("email.queue") >= DEPTH


async def test_a_callers_first_is_on_the_first_page_of_anothers_ten_thousand(relay: Relay, workers: Workers, database: Database) -> None:
    """The sweeper gives every caller an equal share of a page, though the campaign has waited for longer."""
    other = overdue(3, OTHER, seconds=1.0)
    await fill(database, [*overdue(10_000, CAMPAIGN), *other])
    await workers.begin()
    relay.start()
    await until(lambda: len(workers.ids) == 10_003)
    assert max(workers.ids.index(str(row.id)) for row in other) < 50
    assert len(set(workers.ids)) == 10_003


async def test_new_jobs_and_the_backlog_go_in_turn(relay: Relay, workers: Workers, database: Database) -> None:
    """Neither starves the other."""
    old, new = overdue(1000, OTHER), [make_row(caller=CAMPAIGN) for _ in range(1000)]
    await fill(database, [*old, *new])
    relay.offer(jobs(new))
    await until_answered(lambda: full(workers.broker))
    await relay.sweep()
    await workers.begin()
    relay.start()
    await until(lambda: len(workers.ids) == 2000)
    middle = Counter(identifier in {str(row.id) for row in old} for identifier in workers.ids[500:1500])
    assert min(middle.values()) > 300


async def test_urgent_ones_are_never_held(relay: Relay, workers: Workers, database: Database) -> None:
    campaign, urgent = [make_row(caller=CAMPAIGN) for _ in range(1000)], [make_row(priority=Priority.HIGH) for _ in range(50)]
    await fill(database, [*campaign, *urgent])
    relay.offer(jobs(campaign))
    await until_answered(lambda: full(workers.broker))
    relay.offer(jobs(urgent))
    await until_answered(lambda: holds(workers.broker, "email.urgent.queue", 50))


async def holds(broker: MemoryBroker, queue: str, count: int) -> bool:
    return await broker.depth(queue) == count


async def test_a_channel_whose_workers_are_away_does_not_hold_another(relay: Relay, workers: Workers, database: Database) -> None:
    push = overdue(600, CAMPAIGN, channel=Channel.PUSH)
    await fill(database, [*overdue(600, CAMPAIGN), *push])
    await workers.begin("push")
    relay.start()
    await until(lambda: len(workers.ids) == 600)
    assert set(workers.ids) == {str(row.id) for row in push}


async def test_a_queue_of_unknown_depth_gets_everything() -> None:
    """Rather out of turn than not at all."""
    workers = Workers(Blind())
    relay = Relay(workers.broker, Empty(), Watchers(), Budget(), lease_s=60.0, lane_depth=DEPTH)
    relay.offer(jobs([make_row(caller=CAMPAIGN) for _ in range(1000)]))
    await workers.begin()
    await until(lambda: len(workers.ids) == 1000)
    await relay.close()
    await workers.broker.close()


class Empty:
    """A backlog without anything in it."""

    async def claim_urgent(self, *, most: int, lease_s: float) -> Claimed:
        return Claimed((), (), full=False)

    async def claim(self, channel: Channel, *, most: int, lease_s: float, after: str = "") -> Claimed:
        return Claimed((), (), full=False)

    async def renew(self, identifiers: Sequence[UUID], *, lease_s: float) -> None:
        """Nothing is taken from it."""

    async def mark(self, queued: Sequence[tuple[UUID, datetime]]) -> Sequence[UUID]:
        return [identifier for identifier, _ in queued]


async def test_what_is_held_for_too_long_comes_again_from_the_database(workers: Workers, database: Database) -> None:
    """Its lease runs out while nobody works; all arrives when somebody does."""
    relay = Relay(workers.broker, Outbox(database), Watchers(), Budget(), lease_s=0.2, sweep_s=0.02, lane_depth=DEPTH)
    rows = [make_row(caller=CAMPAIGN, dispatch_at=datetime.now(UTC) + timedelta(seconds=0.2)) for _ in range(600)]
    await fill(database, rows)
    relay.offer(jobs(rows))
    await until_answered(lambda: full(workers.broker))
    await asyncio.sleep(0.15)  # what has to pass is the time for which they are the relay's, half of its lease
    relay.start()
    await workers.begin()
    await until(lambda: len(set(workers.ids)) == 600)
    await relay.close()


async def test_a_page_goes_on_behind_the_last_caller_of_the_one_before(database: Database) -> None:
    """More callers than a page has capacity for: each gets one in a round, though the first has a hundred."""
    outbox = Outbox(database)
    names = [f"user:{number}" for number in range(5)]
    await fill(database, [*overdue(100, names[0]), *(row for name in names[1:] for row in overdue(1, name))])
    pages = [await outbox.claim(Channel.EMAIL, most=2, lease_s=60.0)]
    while pages[-1].last:
        pages.append(await outbox.claim(Channel.EMAIL, most=2, lease_s=60.0, after=pages[-1].last))
    assert [[job.caller for job in page.jobs] for page in pages] == [names[:2], names[2:4], names[4:]]


async def test_callers_whose_rows_lie_in_the_future_take_no_share(database: Database) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    planned = [make_row(caller=f"user:{n}", status=Status.SCHEDULED, send_at=later, dispatch_at=later) for n in range(20)]
    await fill(database, [*planned, *overdue(60, CAMPAIGN)])
    page = await Outbox(database).claim(Channel.EMAIL, most=50, lease_s=60.0)
    assert [job.caller for job in page.jobs] == [CAMPAIGN] * 50
    assert page.full
    assert 59 < page.lag_s < 600


async def test_a_page_walks_the_index_however_long_the_backlog_is(database: Database) -> None:
    """Neither a scan nor a sort of what waits: its cost is that of the page."""
    await fill(database, [*overdue(10_000, CAMPAIGN), *overdue(10, OTHER)])
    async with database.driver() as driver:
        await driver.execute("ANALYZE notifications")
        plan = "\n".join(row[0] for row in await driver.fetch(f"EXPLAIN {_CLAIM_IN_TURN}", 3.0, 500, Channel.EMAIL, "", 200))
    assert "caller_dispatch_at_idx" in plan
    assert "Seq Scan on notifications" not in plan, plan
    assert "Bitmap" not in plan, plan


async def test_what_waits_is_measured_with_its_age(database: Database) -> None:
    """Pending ones since their acceptance, scheduled ones since their time has come; others are not counted."""
    outbox = Outbox(database)
    assert await outbox.measure() == (0, 0.0)
    now = datetime.now(UTC)
    later, before = now + timedelta(days=1), now - timedelta(hours=1)
    scheduled = make_row(status=Status.SCHEDULED, create_time=before, send_at=now, dispatch_at=now - timedelta(seconds=30))
    await fill(database, [scheduled, make_row(status=Status.SCHEDULED, send_at=later, dispatch_at=later), make_row(status=Status.SENT)])
    size, oldest_s = await outbox.measure()
    assert (size, 30 <= oldest_s < 50) == (1, True)
    pending = make_row(create_time=now - timedelta(seconds=50))
    await fill(database, [pending])
    size, oldest_s = await outbox.measure()
    assert (size, oldest_s >= 50) == (2, True)
    assert MOST_COUNTED > 2
