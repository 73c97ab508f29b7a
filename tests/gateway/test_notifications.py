"""Reading, listing, cancelling and following, on a real PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql

from clarion.delivery.v1 import delivery_pb2
from gateway.accepting.models import Row
from gateway.accepting.notification_writer import NotificationWriter
from gateway.notifications.errors import NotificationNotFound, NotWaiting, TooLateToCancel
from gateway.notifications.models import CANCELLABLE, Channel, Entry, Filters, Outcome, Status
from gateway.notifications.repository import NotificationRepository, page_query
from gateway.notifications.use_cases import Notifications
from gateway.notifications.watchers import ChangePoll, Watchers
from gateway.settling.convert import outcome_of
from gateway.settling.outcomes import Outcomes
from mesh.context import FIRST_PROJECT
from mesh.errors import InvalidArgument
from mesh.ids import new_uuid
from mesh.stores.database import Database
from mesh.testing import caller
from tests.gateway.factories import make_row
from tests.gateway.fakes import Budget, FakeCaptures, FakePeople

OPERATOR = caller("notifications:read", "notifications:send")
NOW = datetime.now(UTC)


class FakeBus:
    """The workers' ledger: `next` is the attempt that nobody has begun, None when one is under way. `asked` holds runs."""

    def __init__(self) -> None:
        self.next: int | None = 1
        self.asked: list[tuple[str, int]] = []
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def cancel_run(self, notification_id: str, run: int, attempt: int = 0) -> int | None:
        self.asked.append((notification_id, run))
        if self.meanwhile is not None:
            await self.meanwhile()
        return self.next


@pytest.fixture
def watchers() -> Watchers:
    return Watchers()


@pytest.fixture
def bus() -> FakeBus:
    return FakeBus()


@pytest.fixture
def notifications(database: Database, bus: FakeBus, watchers: Watchers) -> Notifications:
    return Notifications(NotificationRepository(database), bus, watchers, Budget(), FakeCaptures(), people=FakePeople())


async def store(database: Database, *rows: Row) -> None:
    journal = NotificationWriter(database, lambda _: None)
    for row in rows:
        await journal.store(row)


def sent(row: Row) -> Outcome:
    return Outcome(row.id, Entry(NOW, Status.SENT, 0, 1, start_time=NOW - timedelta(seconds=1)))


async def test_a_notification_is_read_with_all_that_was_stored(database: Database, notifications: Notifications) -> None:
    row = make_row(locale="pt-BR", category="news", metadata='{"order":"17"}', expires_at=NOW + timedelta(days=1))
    await store(database, row)
    found = await notifications.get(OPERATOR, str(row.id))
    assert (found.id, found.user_id, found.template, found.template_version) == (row.id, row.user_id, "welcome", 1)
    assert (found.locale, found.category, found.metadata, found.expires_at) == ("pt-BR", "news", {"order": "17"}, row.expires_at)
    assert [entry.status for entry in found.timeline] == [Status.PENDING]


async def test_a_person_sees_their_own_only(database: Database, notifications: Notifications) -> None:
    """Those of others are as if they did not exist, in single reads, lists and when following."""
    own, other = make_row(), make_row()
    await store(database, own, other)
    person = caller(user_id=str(own.user_id))
    assert (await notifications.get(person, str(own.id))).id == own.id
    with pytest.raises(NotificationNotFound):
        await notifications.get(person, str(other.id))
    with pytest.raises(NotificationNotFound):
        await anext(notifications.watch(person, str(other.id)))
    listed = await notifications.list_notifications(person, "", Filters(FIRST_PROJECT), 0, "")
    assert [item.id for item in listed.items] == [own.id]
    assert (await notifications.list_notifications(person, str(other.user_id), Filters(FIRST_PROJECT), 0, "")).items == ()


@pytest.mark.parametrize("identifier", ["", "x", "not-a-uuid-but-as-long-as-one-is-ok!", str(UUID(int=1))])
async def test_an_unknown_id_is_not_found(notifications: Notifications, identifier: str) -> None:
    with pytest.raises(NotificationNotFound):
        await notifications.get(OPERATOR, identifier)


async def test_pages_follow_each_other_newest_first(database: Database, notifications: Notifications) -> None:
    rows = [make_row() for _ in range(7)]
    await store(database, *rows)
    seen: list[UUID] = []
    token = ""
    while True:
        page = await notifications.list_notifications(OPERATOR, "", Filters(FIRST_PROJECT), 3, token)
        seen += [item.id for item in page.items]
        token = page.next_token
        if not token:
            break
    assert seen == [row.id for row in reversed(rows)]


async def test_filters_hold_together_and_bind_the_token(database: Database, notifications: Notifications) -> None:
    person = new_uuid()
    rows = [
        make_row(user_id=person, channel=channel, template=template, test=template == "b") for channel in Channel for template in ("a", "b")
    ]
    await store(database, *rows, make_row())
    for filters, count in (
        (Filters(FIRST_PROJECT), 4),
        (Filters(FIRST_PROJECT, channel=Channel.PUSH), 2),
        (Filters(FIRST_PROJECT, channel=Channel.PUSH, template="a"), 1),
        (Filters(FIRST_PROJECT, status=Status.SENT), 0),
        (Filters(FIRST_PROJECT, test=True), 2),
        (Filters(FIRST_PROJECT, created_after=rows[2].create_time), 2),
        (Filters(FIRST_PROJECT, created_before=rows[2].create_time), 2),
        (Filters(FIRST_PROJECT, created_after=NOW + timedelta(days=1)), 0),
        (Filters(FIRST_PROJECT, created_after=datetime.min.replace(tzinfo=UTC)), 4),
        (Filters(FIRST_PROJECT, created_before=datetime.min.replace(tzinfo=UTC)), 0),
        (Filters(FIRST_PROJECT, created_after=datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)), 4),
        (Filters(FIRST_PROJECT, created_after=datetime.max.replace(tzinfo=UTC)), 0),
        (Filters(FIRST_PROJECT, created_before=datetime.max.replace(tzinfo=UTC)), 4),
        (Filters(FIRST_PROJECT, created_before=datetime.max.replace(tzinfo=UTC, microsecond=0)), 4),
    ):
        page = await notifications.list_notifications(OPERATOR, str(person), filters, 0, "")
        assert len(page.items) == count, filters
    first = await notifications.list_notifications(OPERATOR, str(person), Filters(FIRST_PROJECT), 1, "")
    with pytest.raises(InvalidArgument):
        await notifications.list_notifications(OPERATOR, str(person), Filters(FIRST_PROJECT, channel=Channel.PUSH), 1, first.next_token)
    assert (await notifications.list_notifications(OPERATOR, "ada", Filters(FIRST_PROJECT), 1, "")).items == ()


async def test_labels_the_last_change_and_the_request_are_filters_too(database: Database, notifications: Notifications) -> None:
    rows = [
        make_row(metadata='{"campaign":"spring","team":"a"}', correlation_id="r-1"),
        make_row(metadata='{"campaign":"spring"}', correlation_id="r-1"),
        make_row(metadata='{"campaign":"autumn"}', correlation_id="r-2"),
        make_row(),
    ]
    await store(database, *rows)
    later = rows[3].create_time + timedelta(seconds=1)
    await Outcomes(database).apply([Outcome(rows[0].id, Entry(later + timedelta(hours=1), Status.SENT, 0, 1))])
    for filters, places in (
        (Filters(FIRST_PROJECT, metadata={"campaign": "spring"}), [1, 0]),
        (Filters(FIRST_PROJECT, metadata={"team": "a", "campaign": "spring"}), [0]),
        (Filters(FIRST_PROJECT, metadata={"campaign": "spring", "team": "b"}), []),
        (Filters(FIRST_PROJECT, correlation_id="r-1"), [1, 0]),
        (Filters(FIRST_PROJECT, correlation_id="r"), []),
        (Filters(FIRST_PROJECT, updated_after=later), [0]),
        (Filters(FIRST_PROJECT, updated_before=later), [3, 2, 1]),
        (Filters(FIRST_PROJECT, updated_before=later, metadata={"campaign": "spring"}), [1]),
        (Filters("another", metadata={"campaign": "spring"}), []),
    ):
        page = await notifications.list_notifications(OPERATOR, "", filters, 0, "")
        assert [item.id for item in page.items] == [rows[place].id for place in places], filters
    spring, token = Filters(FIRST_PROJECT, metadata={"campaign": "spring"}), ""
    first = await notifications.list_notifications(OPERATOR, "", spring, 1, token)
    second = await notifications.list_notifications(OPERATOR, "", spring, 1, first.next_token)
    assert [one.id for page in (first, second) for one in page.items] == [rows[1].id, rows[0].id]
    with pytest.raises(InvalidArgument):
        await notifications.list_notifications(OPERATOR, "", Filters(FIRST_PROJECT, metadata={"campaign": "x"}), 1, first.next_token)


# What is asked for is rare among them, as it is where an index matters.
_MANY = text("""
    INSERT INTO notifications (
        id, user_id, channel, template, template_version, locale, priority, category, status, create_time, update_time, dispatch_at, caller,
        correlation_id
    )
    SELECT gen_random_uuid(), gen_random_uuid(), 2, 't' || n, 1, '', 1, '', 6, now(), now(), now(), '', ''
    FROM generate_series(1, 2000) AS n
""")


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        (Filters(FIRST_PROJECT, user_id=new_uuid()), "user_id_id_idx"),
        (Filters(FIRST_PROJECT, channel=Channel.EMAIL), "project_channel_id_idx"),
        (Filters(FIRST_PROJECT, status=Status.FAILED), "status_id_idx"),
        (Filters(FIRST_PROJECT, template="welcome"), "project_template_id_idx"),
        (Filters(FIRST_PROJECT), "project_id_idx"),
    ],
)
async def test_each_listed_query_walks_an_index(database: Database, filters: Filters, index: str) -> None:
    """Neither a sort nor a scan of the table, in any partition."""
    async with database.begin() as connection:
        await connection.execute(_MANY)
        await connection.execute(text("ANALYZE notifications"))
    query = page_query(filters, after=new_uuid()).limit(51)
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    statement = str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    async with database.begin() as connection:
        # an empty table is cheapest to sort; a full one is not
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        await connection.execute(text("SET LOCAL enable_bitmapscan = off"))
        plan = "\n".join((await connection.execute(text(f"EXPLAIN {statement}"))).scalars())
    assert f"notifications_default_{index}" in plan, plan
    assert "Seq Scan" not in plan
    assert "Sort" not in plan


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        (Filters(FIRST_PROJECT, metadata={"order": "17"}), "metadata_idx"),
        (Filters(FIRST_PROJECT, updated_after=NOW - timedelta(hours=1)), "update_time_idx"),
        (Filters(FIRST_PROJECT, correlation_id="c-17"), "correlation_id_id_idx"),
        (Filters(FIRST_PROJECT, metadata={"campaign": "everyone"}), "project_id_idx"),
    ],
)
async def test_a_rare_label_change_or_request_is_found_by_an_index(database: Database, filters: Filters, index: str) -> None:
    """Of many rows, as the planner does it by itself. A label that most have is read off the newest."""
    async with database.begin() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))  # without the feed
        await connection.execute(_LABELLED)
        await connection.execute(text("ANALYZE notifications"))
        query = page_query(filters, after=None).limit(51)
        dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
        statement = str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        plan = "\n".join((await connection.exec_driver_sql(f"EXPLAIN {statement.replace('%', '%%')}")).scalars())
    assert index in plan, plan
    assert "Seq Scan on notifications_default" not in plan


_LABELLED = text("""
    INSERT INTO notifications (
        id, user_id, channel, template, template_version, locale, priority, category, status, create_time, update_time, dispatch_at, caller,
        correlation_id, metadata
    )
    SELECT gen_random_uuid(), gen_random_uuid(), 2, 't', 1, '', 1, '', 6, now(), now() - n * interval '1 minute', now(), '', 'c-' || n,
        jsonb_build_object('order', n::text, 'campaign', 'everyone')
    FROM generate_series(1, 20000) AS n
""")


async def test_the_sweeper_of_urgent_ones_walks_its_own_index(database: Database) -> None:
    """That of the others is in `test_fair_dispatch.py`."""
    async with database.begin() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        due = "status IN (1, 2) AND priority = 2 AND dispatch_at <= now()"
        query = f"SELECT id FROM notifications WHERE {due} ORDER BY dispatch_at LIMIT 500"
        plan = "\n".join((await connection.execute(text(f"EXPLAIN {query}"))).scalars())
    assert "dispatch_at_idx" in plan, plan
    assert "Sort" not in plan


async def test_a_scheduled_notification_can_be_cancelled_twice(database: Database, notifications: Notifications) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    row = make_row(status=Status.SCHEDULED, send_at=later, dispatch_at=later)
    await store(database, row)
    for _ in range(2):
        assert (await notifications.cancel(OPERATOR, str(row.id))).status is Status.CANCELLED
    found = await notifications.get(OPERATOR, str(row.id))
    assert [entry.status for entry in found.timeline] == [Status.SCHEDULED, Status.CANCELLED]


async def test_a_wait_can_be_skipped_twice_and_once_more_when_another_call_has_just_done_it(
    database: Database, notifications: Notifications
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    row = make_row(status=Status.SCHEDULED, send_at=later, dispatch_at=later, test=True)
    await store(database, row)
    answers = await asyncio.gather(*(notifications.skip_wait(OPERATOR, str(row.id)) for _ in range(4)))
    assert [found.status for found in answers] == [Status.SCHEDULED] * 4
    assert (await notifications.skip_wait(OPERATOR, str(row.id))).id == row.id


async def test_the_wait_of_one_that_was_cancelled_is_not_skipped(database: Database, notifications: Notifications) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    row = make_row(status=Status.SCHEDULED, send_at=later, dispatch_at=later, test=True)
    await store(database, row)
    await notifications.cancel(OPERATOR, str(row.id))
    with pytest.raises(NotWaiting, match="it is cancelled"):
        await notifications.skip_wait(OPERATOR, str(row.id))


ON_THE_BUS = sorted(CANCELLABLE - {Status.SCHEDULED})


@pytest.mark.parametrize("status", ON_THE_BUS)
async def test_what_nobody_has_begun_to_send_can_be_cancelled(
    database: Database, notifications: Notifications, bus: FakeBus, watchers: Watchers, status: Status
) -> None:
    """Twice is no error, followers hear of it, and the attempt that will not be made does not count."""
    bus.next = 2 if status is Status.RETRYING else 1
    row = make_row(status=status)
    await store(database, row)
    with watchers.watch(row.id) as changed:
        cancelled = await notifications.cancel(OPERATOR, str(row.id))
        assert changed.is_set()
    assert cancelled.status is Status.CANCELLED
    assert [entry.status for entry in cancelled.timeline][-1] is Status.CANCELLED
    assert cancelled.progress.attempts == (1 if status is Status.RETRYING else 0)
    assert await notifications.cancel(OPERATOR, str(row.id)) == cancelled
    assert bus.asked == [(str(row.id), 0)]


@pytest.mark.parametrize("status", [*ON_THE_BUS, Status.SENT, Status.FAILED, Status.SKIPPED, Status.EXPIRED])
async def test_what_somebody_sends_or_is_over_is_too_late_to_cancel(
    database: Database, notifications: Notifications, bus: FakeBus, status: Status
) -> None:
    """The ledger is asked where the row leaves it open, and nothing watchers."""
    bus.next = None
    row = make_row(status=status)
    await store(database, row)
    before = await notifications.get(OPERATOR, str(row.id))
    with pytest.raises(TooLateToCancel):
        await notifications.cancel(OPERATOR, str(row.id))
    assert await notifications.get(OPERATOR, str(row.id)) == before
    assert len(bus.asked) == (status in CANCELLABLE)


async def test_what_ends_while_it_is_being_cancelled_stays_as_it_ended(
    database: Database, notifications: Notifications, bus: FakeBus
) -> None:
    """A worker may skip it, or find it expired, without having begun an attempt."""
    row = make_row(status=Status.QUEUED)
    await store(database, row)
    skipped = Outcome(row.id, Entry(NOW, Status.SKIPPED, 0, 1, "PREFERENCE"))
    bus.meanwhile = lambda: Outcomes(database).apply([skipped])
    with pytest.raises(TooLateToCancel, match="skipped"):
        await notifications.cancel(OPERATOR, str(row.id))
    assert (await notifications.get(OPERATOR, str(row.id))).status is Status.SKIPPED


async def test_a_worker_that_comes_upon_a_cancel_cancels_the_row_too(database: Database, notifications: Notifications) -> None:
    """A gateway may die between the mark in the ledger and the row; told by both, it stands in the timeline once."""
    left, done = make_row(status=Status.QUEUED), make_row(status=Status.QUEUED)
    await store(database, left, done)
    await notifications.cancel(OPERATOR, str(done.id))
    await Outcomes(database).apply([Outcome(row.id, Entry(NOW, Status.CANCELLED, 0, 1)) for row in (left, done)])
    for row in (left, done):
        found = await notifications.get(OPERATOR, str(row.id))
        assert (found.status, found.progress.attempts) == (Status.CANCELLED, 0)
        assert [entry.status for entry in found.timeline].count(Status.CANCELLED) == 1


async def test_late_outcomes_leave_a_cancelled_one_cancelled_and_stand_in_its_timeline(
    database: Database, notifications: Notifications, bus: FakeBus
) -> None:
    bus.next = 2
    row = make_row(status=Status.QUEUED)
    await store(database, row)
    await notifications.cancel(OPERATOR, str(row.id))
    await Outcomes(database).apply([Outcome(row.id, Entry(NOW, Status.RETRYING, 0, 1, "SMTP_451", start_time=NOW))])
    found = await notifications.get(OPERATOR, str(row.id))
    assert (found.status, found.progress.attempts) == (Status.CANCELLED, 1)
    assert {(entry.status, entry.reason) for entry in found.timeline} >= {(Status.RETRYING, "SMTP_451"), (Status.CANCELLED, "")}


async def test_a_scheduled_one_that_gets_onto_the_bus_meanwhile_is_cancelled_there(
    database: Database, notifications: Notifications
) -> None:
    """Nobody but the sweeper moves it on, and the row tells who was first."""
    later = datetime.now(UTC) + timedelta(hours=1)
    row = make_row(status=Status.SCHEDULED, send_at=later, dispatch_at=later)
    await store(database, row)
    repository = NotificationRepository(database)
    assert not await repository.cancel(row.id, run=0, attempt=0, before={Status.PENDING})
    assert not await repository.cancel(row.id, run=1, attempt=0, before={Status.SCHEDULED})
    assert await repository.cancel(row.id, run=0, attempt=0, before={Status.SCHEDULED})


async def test_an_unknown_one_can_not_be_cancelled(notifications: Notifications) -> None:
    with pytest.raises(NotificationNotFound):
        await notifications.cancel(OPERATOR, str(new_uuid()))


@pytest.mark.parametrize("heard", [True, False], ids=["settled here", "settled by another replica"])
async def test_a_follower_sees_each_state_until_the_last(
    database: Database, notifications: Notifications, watchers: Watchers, *, heard: bool
) -> None:
    row = make_row()
    await store(database, row)
    states: list[Status] = []
    begun = asyncio.Event()

    async def follow() -> None:
        async for state in notifications.watch(OPERATOR, str(row.id)):
            states.append(state.status)
            begun.set()

    changes = ChangePoll(NotificationRepository(database), watchers)
    following = asyncio.create_task(follow())
    await begun.wait()
    await changes.poll()
    await Outcomes(database).apply([sent(row)])
    if heard:
        watchers.notify([row.id])
    else:
        await changes.poll()
    await asyncio.wait_for(following, 20)
    assert states == [Status.PENDING, Status.SENT]


def test_an_outcome_without_sense_is_told() -> None:
    make: Callable[..., delivery_pb2.Outcome] = delivery_pb2.Outcome
    assert outcome_of(make(notification_id="x", status=6)) is None
    assert outcome_of(make(notification_id=str(new_uuid()), status=0)) is None
