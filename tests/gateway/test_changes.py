"""The feed on a real PostgreSQL: nothing left out, in order, whatever order transactions commit in."""

import asyncio
from collections import defaultdict
from contextlib import aclosing
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import text

from gateway.accepting.models import Row
from gateway.accepting.notification_writer import NotificationWriter
from gateway.changes.errors import CursorExpired
from gateway.changes.models import Change, ChangeFilters
from gateway.changes.repository import ChangeRepository
from gateway.changes.use_cases import Feed, Tails
from gateway.notifications.models import Channel, Entry, Outcome, Status
from gateway.settling.outcomes import Outcomes
from mesh.context import FIRST_PROJECT
from mesh.errors import InvalidArgument
from mesh.ids import new_uuid
from mesh.stores.database import Database
from tests.gateway.factories import make_row
from tests.gateway.fakes import FakePeople

ALL = ChangeFilters(FIRST_PROJECT)
NOW = datetime.now(UTC)


async def store(database: Database, *rows: Row) -> None:
    writer = NotificationWriter(database, lambda _: None)
    await asyncio.gather(*map(writer.store, rows))
    await writer.close()


def outcome(row: Row, status: Status, attempt: int = 1, reason: str = "") -> Outcome:
    return Outcome(row.id, Entry(NOW, status, 0, attempt, reason=reason))


@pytest.fixture
def repository(database: Database) -> ChangeRepository:
    return ChangeRepository(database)


@pytest.fixture
def feed(repository: ChangeRepository) -> Feed:
    return Feed(repository, Tails(repository), FakePeople())


async def read_all(feed: Feed, filters: ChangeFilters = ALL, size: int = 2) -> list[Change]:
    found: list[Change] = []
    cursor = ""
    while True:
        page = await feed.page(filters, cursor, size)
        found += page.changes
        cursor = str(page.next_position) if page.next_position else ""
        if not page.has_more:
            return found


async def test_a_notifications_way_is_read_in_order(database: Database, repository: ChangeRepository, feed: Feed) -> None:
    row = make_row(category="news", metadata='{"order":"17"}', template="welcome")
    await store(database, row)
    outcomes = Outcomes(database)
    await outcomes.apply([outcome(row, Status.RETRYING, 1, "SMTP_451")])
    await outcomes.apply([outcome(row, Status.SENT, 2)])
    assert await repository.sequence() == 3
    assert await repository.sequence() == 0
    changes = await read_all(feed)
    assert [(change.status, change.attempt, change.reason) for change in changes] == [
        (Status.PENDING, 0, ""), (Status.RETRYING, 1, "SMTP_451"), (Status.SENT, 2, ""),
    ]  # fmt: skip
    assert [change.position for change in changes] == [1, 2, 3]
    assert (changes[0].user_id, changes[0].metadata, changes[0].category) == (row.user_id, {"order": "17"}, "news")


async def test_a_late_or_repeated_outcome_is_no_change(database: Database, repository: ChangeRepository, feed: Feed) -> None:
    row = make_row()
    await store(database, row)
    outcomes = Outcomes(database)
    for status in (Status.SENT, Status.SENT, Status.FAILED, Status.SENDING):
        await outcomes.apply([outcome(row, status)])
    await repository.sequence()
    assert [change.status for change in await read_all(feed)] == [Status.PENDING, Status.SENT]


async def test_what_commits_out_of_order_is_never_left_out(database: Database, repository: ChangeRepository, feed: Feed) -> None:
    """The first to take a number commits last: a reader that trusted the greatest number would skip it."""
    first, second = make_row(), make_row()
    await store(database, first, second)
    await repository.sequence()
    before = (await read_all(feed))[-1].position
    update = "UPDATE notifications SET status = $2 WHERE id = $1"
    async with database.driver() as slow:
        transaction = slow.transaction()
        await transaction.start()
        await slow.fetch(update, first.id, Status.SENT.value)
        async with database.driver() as quick:
            await quick.fetch(update, second.id, Status.FAILED.value)
        assert await repository.sequence() == 1
        page = await feed.page(ALL, str(before), 10)
        assert [change.notification_id for change in page.changes] == [second.id]
        await transaction.commit()
    assert await repository.sequence() == 1
    rest = await feed.page(ALL, str(page.next_position), 10)
    assert [change.notification_id for change in rest.changes] == [first.id]
    numbers = await _numbers(database)
    assert numbers != sorted(numbers)


async def _numbers(database: Database) -> list[int]:
    async with database.connect() as connection:
        rows = await connection.execute(text("SELECT unnest(seqs) FROM change_batches ORDER BY first_position"))
        return list(rows.scalars())


async def test_a_rolled_back_change_never_happened(database: Database, repository: ChangeRepository, feed: Feed) -> None:
    row = make_row()
    await store(database, row)
    async with database.driver() as driver:
        transaction = driver.transaction()
        await transaction.start()
        await driver.fetch("UPDATE notifications SET status = $2 WHERE id = $1", row.id, Status.SENT.value)
        await repository.sequence()
        await transaction.rollback()
    await repository.sequence()
    assert [change.status for change in await read_all(feed)] == [Status.PENDING]


async def test_many_writers_and_two_sequencers_leave_nothing_out(database: Database, repository: ChangeRepository, feed: Feed) -> None:
    """Each notification's changes are in its own order; each is there once; readers see one order."""
    rows = [make_row() for _ in range(60)]
    await store(database, *rows)
    outcomes, done = Outcomes(database), asyncio.Event()

    async def sequencer() -> None:
        while not done.is_set():
            await repository.sequence()
            await asyncio.sleep(0)

    async def writer(part: list[Row]) -> None:
        for status, attempt in ((Status.SENDING, 1), (Status.RETRYING, 1), (Status.SENDING, 2), (Status.SENT, 2)):
            for start in range(0, len(part), 7):
                await outcomes.apply([outcome(row, status, attempt) for row in part[start : start + 7]])

    sequencers = [asyncio.create_task(sequencer()) for _ in range(2)]
    await asyncio.gather(*(writer(rows[start::4]) for start in range(4)))
    done.set()
    await asyncio.gather(*sequencers)
    await repository.sequence()
    changes = await read_all(feed, size=13)
    assert [change.position for change in changes] == list(range(1, len(changes) + 1))
    ways: dict[UUID, list[tuple[Status, int]]] = defaultdict(list)
    for change in changes:
        ways[change.notification_id].append((change.status, change.attempt))
    expected = [(Status.PENDING, 0), (Status.SENDING, 1), (Status.RETRYING, 1), (Status.SENDING, 2), (Status.SENT, 2)]
    assert ways == {row.id: expected for row in rows}
    assert await read_all(feed, size=100) == changes


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (ALL, 4),
        (ALL._replace(statuses=(Status.SENT,)), 1),
        (ALL._replace(statuses=(Status.SENT, Status.PENDING)), 4),
        (ALL._replace(channel=Channel.PUSH), 1),
        (ALL._replace(template="other"), 1),
        (ALL._replace(category="news"), 2),
        (ALL._replace(metadata={"order": "17"}), 2),
        (ALL._replace(metadata={"order": "17", "shop": "x"}), 0),
        (ALL._replace(user_id=new_uuid()), 0),
        (ChangeFilters("another"), 0),
    ],
)
async def test_filters_narrow_the_feed(
    database: Database, repository: ChangeRepository, feed: Feed, filters: ChangeFilters, found: int
) -> None:
    first = make_row(category="news", metadata='{"order":"17"}')
    await store(database, first, make_row(template="other"), make_row(channel=Channel.PUSH))
    await Outcomes(database).apply([outcome(first, Status.SENT)])
    await repository.sequence()
    assert len(await read_all(feed, filters)) == found


async def test_each_project_has_a_feed_of_its_own(database: Database, repository: ChangeRepository, feed: Feed) -> None:
    await store(database, make_row(), make_row(project="another"), make_row(project="another"))
    await repository.sequence()
    assert [change.position for change in await read_all(feed)] == [1]
    assert [change.position for change in await read_all(feed, ChangeFilters("another"))] == [1, 2]


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "\u0661", "9" * 20, "7"])
async def test_what_is_no_cursor_is_refused(database: Database, repository: ChangeRepository, feed: Feed, cursor: str) -> None:
    await store(database, make_row())
    await repository.sequence()
    with pytest.raises(InvalidArgument, match="cursor"):
        await feed.page(ALL, cursor, 0)


async def test_what_is_old_is_forgotten_and_an_old_cursor_says_so(database: Database, repository: ChangeRepository, feed: Feed) -> None:
    """The positions go on where they were, even when all is old."""
    for _ in range(3):
        await store(database, make_row())
        await repository.sequence()
    async with database.begin() as connection:
        await connection.execute(text("UPDATE change_batches SET create_time = now() - interval '8 days'"))
    while await repository.clean(older_than_s=7 * 86_400, most=1):
        pass
    assert [change.position for change in await read_all(feed)] == [3]
    async with database.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM changes"))).scalar_one() == 1
    with pytest.raises(CursorExpired):
        await feed.page(ALL, "1", 0)
    assert [change.position for change in (await feed.page(ALL, "2", 0)).changes] == [3]


async def test_after_a_restore_into_another_cluster_new_changes_are_found(
    database: Database, repository: ChangeRepository, feed: Feed
) -> None:
    """There, transaction ids begin anew, and say nothing of what is new."""
    await store(database, make_row())
    await repository.sequence()
    async with database.begin() as connection:
        await connection.execute(text("UPDATE change_horizon SET snapshot = '4000000000:4000000000:'"))
    await store(database, make_row())
    assert await repository.sequence() == 1
    assert await repository.sequence() == 0
    assert len(await read_all(feed)) == 2


async def test_a_watcher_gets_what_is_behind_its_cursor_and_then_each_change(database: Database, repository: ChangeRepository) -> None:
    tails = Tails(repository)
    feed = Feed(repository, tails, FakePeople())
    old, row = make_row(), make_row()
    await store(database, old)
    await tails.advance()
    async with aclosing(feed.watch(ALL, await feed.begin(ALL.project, ""))) as fresh, aclosing(feed.watch(ALL, 0)) as replayed:
        assert (await anext(replayed)).notification_id == old.id
        waiting = asyncio.ensure_future(anext(fresh))
        more = asyncio.ensure_future(anext(replayed))
        await asyncio.sleep(0)
        await store(database, row)
        while not (waiting.done() and more.done()):
            await tails.advance()
            await asyncio.sleep(0.01)
        assert (await waiting).notification_id == row.id
        assert (await more).notification_id == row.id
