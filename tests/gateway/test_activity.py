"""Counts of what happened: they equal what the feed says, stay small, and are read in any steps."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from clarion.notification.v1.activity_service_pb2 import GetActivityRequest
from clarion.notification.v1.dead_letter_service_pb2 import ListDeadLettersRequest
from delivery.lanes import build_topology
from devstack.broker import MemoryBroker
from gateway.accepting.models import Row
from gateway.activity.convert import filters_of as activity_filters
from gateway.activity.models import BOUNDS_S, MINUTE, ActivityFilters, FailedPlan, Severity, Span, Waiting, latency_of, tally
from gateway.activity.queues import Kind, Lane, QueueDesk, QueueState
from gateway.activity.repository import ActivityRepository
from gateway.activity.use_cases import ActivityDesk, Reach, span_of
from gateway.breakers.models import Breaker, Force, State, Worker
from gateway.changes.models import ChangeFilters
from gateway.changes.repository import ChangeRepository
from gateway.changes.use_cases import Feed, Tails
from gateway.dead_letters.convert import filters_of as dead_letter_filters
from gateway.facts.models import Report
from gateway.facts.repository import record as record_facts
from gateway.notifications.models import TERMINAL, Channel, Entry, Fact, Outcome, Status
from gateway.settling.outcomes import Failure, Outcomes
from mesh.bus.broker import BrokerUnavailable, Message, QueueSize
from mesh.context import FIRST_PROJECT
from mesh.errors import InvalidArgument, ServiceError, Unavailable
from mesh.stores.database import Database
from tests.gateway.factories import make_row
from tests.gateway.fakes import FakePeople
from tests.gateway.test_changes import read_all, store

NOW = datetime.now(UTC)
LIVE = ActivityFilters(FIRST_PROJECT, test=False)
_NAMES = {Status.SENT: "sent", Status.FAILED: "failed", Status.SKIPPED: "skipped", Status.EXPIRED: "expired", Status.CANCELLED: "cancelled"}
_FACTS = {Fact.DELIVERED: "delivered", Fact.HARD_BOUNCED: "bounced", Fact.SOFT_BOUNCED: "bounced", Fact.COMPLAINED: "complained"}


def _outcome(row: Row, status: Status, time: datetime, attempt: int = 1) -> Outcome:
    return Outcome(row.id, Entry(time, status, 0, attempt))


async def _report(database: Database, row: Row, fact: Fact, time: datetime) -> None:
    async with database.driver() as driver, driver.transaction():
        await record_facts(driver, [Report(row.id, f"{fact.name}", fact, time, "ses", "")])


@pytest.mark.parametrize("seed", range(4))
async def test_the_counts_equal_what_the_feed_says(database: Database, seed: int) -> None:
    """Random ways of notifications, put in order at random moments."""
    chance = random.Random(seed)
    changes, outcomes = ChangeRepository(database), Outcomes(database)
    rows = []
    for number in range(30):
        start = NOW - timedelta(minutes=chance.randrange(5), seconds=chance.random())
        row = make_row(
            template=chance.choice(["a", "b"]), channel=chance.choice(list(Channel)), create_time=start, test=chance.random() < 0.2,
            project=FIRST_PROJECT if number % 10 else "another",
        )  # fmt: skip
        await store(database, row)
        rows.append(row)
    for row in rows:
        time, attempt = row.create_time, 1
        for _ in range(chance.randrange(4)):
            time += timedelta(seconds=chance.random() * 40)
            status = chance.choice([Status.QUEUED, Status.SENDING, Status.RETRYING, *sorted(TERMINAL)])
            await outcomes.apply([_outcome(row, status, time, attempt)])
            attempt += status is Status.RETRYING
        if chance.random() < 0.3:
            await _report(database, row, chance.choice(list(_FACTS)), time + timedelta(seconds=1))
        if chance.random() < 0.2:
            await changes.sequence()
    await changes.sequence()
    feed = Feed(changes, Tails(changes), FakePeople())
    seen: set[object] = set()
    expected: Counter[Any] = Counter()
    for change in await read_all(feed, ChangeFilters(FIRST_PROJECT), 100):
        name = _FACTS.get(change.fact) if change.fact else _NAMES.get(change.status)
        if change.notification_id not in seen:
            name = "accepted"
        seen.add(change.notification_id)
        if name is not None:
            minute = change.time.replace(second=0, microsecond=0)
            expected[change.test, minute, change.channel, change.template, name] += 1
    found: Counter[Any] = Counter()
    repository = ActivityRepository(database)
    start = (NOW - timedelta(minutes=10)).replace(second=0, microsecond=0)
    span = Span(start, start + timedelta(minutes=20), MINUTE)
    for test in (False, True):
        for channel in Channel:
            for template in ("a", "b"):
                filters = ActivityFilters(FIRST_PROJECT, test, channel, template)
                for point, counted in await repository.over_time(filters, span):
                    if counted.name is not None:
                        found[test, start + point * MINUTE, channel, template, counted.name] += counted.number
    assert found == expected


async def test_versions_of_a_template_are_counted_side_by_side(database: Database) -> None:
    """The newest first, with how long each took; other templates, and what was counted before versions were, are in none."""
    changes, outcomes = ChangeRepository(database), Outcomes(database)
    early = NOW - timedelta(hours=1)
    rows = [make_row(template="a", template_version=version, create_time=early) for version in (1, 1, 1, 2, 2)]
    await store(database, *rows, make_row(template="b", template_version=7, create_time=early))
    for row, status, after in zip(rows, [Status.SENT, Status.SENT, Status.FAILED, Status.SENT, Status.SENT], [1, 1, 1, 9, 9], strict=True):
        await outcomes.apply([_outcome(row, status, early + timedelta(seconds=after))])
    await changes.sequence()
    async with database.begin() as connection:
        await connection.execute(
            text("INSERT INTO activity SELECT 'default', false, 60, CAST(:at AS timestamptz), 1, 'a', 6, 0, 1, 50"), {"at": early}
        )
    desk = ActivityDesk(ActivityRepository(database), _Breakers(), _Queues(), _Plans(), peers={})
    activity = await desk.activity(LIVE._replace(template="a"), early - timedelta(minutes=1), NOW, None)
    assert [(version, dict(tally.counts)) for version, tally in activity.versions] == [
        (2, {"accepted": 2, "sent": 2}),
        (1, {"accepted": 3, "sent": 2, "failed": 1}),
    ]
    assert [tally.latency.p95 if tally.latency else None for _, tally in activity.versions] == [10, 1]
    assert activity.total.counts["sent"] == 54
    assert list((await desk.activity(LIVE, early - timedelta(minutes=1), NOW, None)).versions) == []


async def test_old_minutes_become_hours_and_old_hours_are_forgotten(database: Database) -> None:
    start = (NOW - timedelta(days=4)).replace(minute=0, second=0, microsecond=0)
    insert = text("""
        INSERT INTO activity SELECT 'default', false, 60, CAST(:start AS timestamptz) + n * interval '1 minute', 1, 'a', 6, 0, n % 3, 2
        FROM generate_series(0, 179) n
    """)
    async with database.begin() as connection:
        await connection.execute(insert, {"start": start})
    repository = ActivityRepository(database)
    span = Span(start, start + timedelta(hours=3), timedelta(hours=1))
    before = sorted(await repository.over_time(LIVE, span))
    assert sum(counted.number for _, counted in before) == 360
    while await repository.clean(older_than_s=30 * 86_400, most=50):
        assert sorted(await repository.over_time(LIVE, span)) == before
    async with database.connect() as connection:
        kept = (await connection.execute(text("SELECT span_s, count(*) FROM activity GROUP BY 1"))).all()
    assert [tuple(row) for row in kept] == [(3600, 9)]
    while await repository.clean(older_than_s=86_400, most=5):
        pass
    assert await repository.over_time(LIVE, span) == []


async def test_how_long_it_took_leaves_out_what_its_person_put_off(database: Database) -> None:
    changes, outcomes = ChangeRepository(database), Outcomes(database)
    early = NOW - timedelta(hours=1)
    quick, late, put_off, planned = (make_row(create_time=early) for _ in range(4))
    planned = planned._replace(send_at=early + timedelta(minutes=30))
    await store(database, quick, late, put_off, planned)
    postponed = Entry(early, Status.SCHEDULED, 0, 1, reason="QUIET_HOURS", next_attempt_time=early + timedelta(minutes=20))
    await outcomes.apply([Outcome(put_off.id, postponed, next_payload=put_off.payload)])
    for row, after in ((quick, 1.5), (late, 100), (put_off, 1300), (planned, 1801)):
        await outcomes.apply([_outcome(row, Status.SENT, early + timedelta(seconds=after))])
    await changes.sequence()
    span = Span(early - timedelta(minutes=1), NOW, timedelta(hours=2))
    latency = tally(counted for _, counted in await ActivityRepository(database).over_time(LIVE, span)).latency
    assert latency is not None
    assert (latency.measured, latency.p50, latency.p99) == (3, 1.5, 120)
    assert latency.within_target == pytest.approx(2 / 3)


async def test_what_was_given_up_waits_for_a_decision_by_cause_and_tests_do_not(database: Database) -> None:
    outcomes = Outcomes(database)
    live, test, elsewhere = make_row(), make_row(test=True), make_row(project="another")
    await store(database, live, test, elsewhere)
    for row in (live, test, elsewhere):
        entry = Entry(NOW, Status.FAILED, 0, 1, reason="RENDER_FAILED")
        await outcomes.file([Failure(Outcome(row.id, entry), row.payload)])
    waiting = await ActivityRepository(database).waiting(FIRST_PROJECT)
    assert (list(waiting.letters), waiting.due) == ([("template", 1)], 0)


async def test_what_the_workers_have_had_for_long_is_seen_and_what_waits_for_a_time_is_not(database: Database) -> None:
    """As it is while no worker runs, and while one puts everything off since it reaches no template_svc."""
    rows = [
        make_row(),
        make_row(),
        make_row(),
        make_row(project="another"),
        make_row(status=Status.SCHEDULED),
        make_row(status=Status.SENT),
    ]
    await store(database, *rows)
    put_off = "UPDATE notifications SET status = :queued, queued_at = now() - CAST(:ago AS interval), reason = :reason WHERE id = :id"
    async with database.begin() as connection:
        for row, minutes, reason in ((rows[0], 5, "UPSTREAM_UNAVAILABLE"), (rows[1], 2, ""), (rows[2], 0, ""), (rows[3], 9, "X")):
            given = {"queued": Status.QUEUED.value, "ago": timedelta(minutes=minutes), "reason": reason, "id": row.id}
            await connection.execute(text(put_off), given)
        for row in rows[4:]:
            await connection.execute(text("UPDATE notifications SET queued_at = now() - interval '1 hour' WHERE id = :id"), {"id": row.id})
    waiting = await ActivityRepository(database).waiting(FIRST_PROJECT)
    assert (waiting.queued, list(waiting.reasons)) == (2, ["UPSTREAM_UNAVAILABLE"])
    assert 300 <= waiting.queued_s < 540
    [problem] = await _desk(waiting).problems(FIRST_PROJECT)
    assert problem.reason == "WORKERS_BEHIND"
    assert "2 notifications have been with the workers for more than a minute" in problem.description
    assert "(UPSTREAM_UNAVAILABLE)" in problem.description


@pytest.mark.parametrize(
    ("seconds", "said"), [(61.0, "has waited a minute."), (150.0, "has waited 2 minutes."), (90_000.0, "1,500 minutes.")]
)
async def test_how_long_something_has_waited_is_said_in_minutes(seconds: float, said: str) -> None:
    [problem] = await _desk(Waiting(1, seconds, [])).problems(FIRST_PROJECT)
    assert problem.description.endswith(said)


async def test_a_service_that_does_not_answer_is_named() -> None:
    async def reached() -> None: ...

    async def hangs() -> None:
        await asyncio.Event().wait()

    async def refused() -> None:
        raise Unavailable("no")

    for reach in (hangs, refused):
        [problem] = await _desk(Waiting(0, 0.0, []), peers={"user_svc": reach, "template_svc": reached}).problems(FIRST_PROJECT)
        assert (problem.reason, problem.severity) == ("SERVICE_AWAY", Severity.URGENT)
        assert problem.description.startswith("user_svc does not answer")


def test_a_nul_in_a_filter_asks_for_nothing_that_there_is() -> None:
    """Left out, a template of one NUL meant all templates, also in a call that discards dead letters."""
    assert dead_letter_filters(FIRST_PROJECT, ListDeadLettersRequest(template="\0", reason="a\0")).template not in {None, ""}
    assert activity_filters(FIRST_PROJECT, GetActivityRequest(template="\0")).template not in {None, ""}
    assert activity_filters(FIRST_PROJECT, GetActivityRequest()).template is None


@given(st.lists(st.floats(0.001, 80_000), min_size=1, max_size=200))
def test_quantiles_are_the_upper_bounds_of_their_ranges(seconds: list[float]) -> None:
    buckets = Counter(sum(second > bound for bound in BOUNDS_S) for second in seconds)
    latency = latency_of(buckets)
    assert latency is not None
    ranked = sorted(seconds)
    for share, found in ((0.5, latency.p50), (0.95, latency.p95), (0.99, latency.p99)):
        exact = ranked[max(0, -int(-share * len(ranked) // 1) - 1)]
        assert found >= exact
        assert found == next(bound for bound in BOUNDS_S if bound >= exact)
    assert latency.within_target == sum(second <= 2 for second in seconds) / len(seconds)


@given(st.integers(0, 399 * 86_400), st.integers(1, 40 * 86_400), st.integers(0, 100))
def test_a_span_is_made_of_whole_steps_around_what_is_asked(ago_s: int, length_s: int, minutes: int) -> None:
    start = NOW - timedelta(seconds=ago_s)
    end = start + timedelta(seconds=length_s)
    step = timedelta(minutes=minutes) if minutes else None
    with suppress(InvalidArgument) if step else nullcontext():
        _check_span(span_of(start, end, step, NOW), start, end, chosen=step is None)


def _check_span(span: Span, start: datetime, end: datetime, *, chosen: bool) -> None:
    assert span.start <= start < end <= span.end
    assert (span.end - span.start) == span.points * span.step
    assert start - span.start < span.step > span.end - end
    assert span.points <= 1500
    if chosen:
        assert span.points <= 63 or span.step == timedelta(days=7)


@pytest.mark.parametrize(
    ("start", "end", "step", "said"),
    [
        (NOW, NOW, None, "start_time: must be before end_time"),
        (NOW - timedelta(days=500), NOW, None, "start_time: must be at most 400 days"),
        (NOW - timedelta(hours=1), NOW, timedelta(seconds=30), "step: must be a number of whole minutes"),
        (NOW - timedelta(hours=1), NOW, timedelta(), "step: must be a number of whole minutes"),
        (NOW - timedelta(days=3), NOW, timedelta(minutes=5), "step: must be a number of whole hours"),
        (NOW - timedelta(hours=40), NOW, timedelta(minutes=1), "at most 1500 are answered"),
        (None, datetime(1, 1, 1, tzinfo=UTC), None, "end_time: must be from 1971"),
        (datetime(9999, 12, 31, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, tzinfo=UTC), None, "end_time: must be from 1971"),
        (NOW - timedelta(hours=1), NOW, timedelta(days=3_000_000), "step: must be at most 400 days"),
        (NOW - timedelta(hours=1), NOW, timedelta(minutes=-1), "step: must be a number of whole minutes"),
    ],
    ids=["empty", "long", "seconds", "none", "hours", "many", "first", "last", "endless", "negative"],
)
def test_a_span_that_can_not_be_counted_says_why(start: datetime | None, end: datetime, step: timedelta | None, said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        span_of(start, end, step, NOW)


class _Store:
    """What is counted and what waits, as a test says."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting

    async def over_time(self, filters: ActivityFilters, span: Span) -> list[Any]:
        return []

    async def by_template(self, filters: ActivityFilters, span: Span) -> list[Any]:
        return []

    async def by_version(self, filters: ActivityFilters, span: Span) -> list[Any]:
        return []

    async def waiting(self, project: str) -> Waiting:
        return self._waiting


class _Breakers:
    def __init__(self, *breakers: Breaker | ServiceError) -> None:
        self._breakers = breakers

    async def list_breakers(self) -> list[Breaker]:
        for one in self._breakers:
            if isinstance(one, ServiceError):
                raise one
        return [one for one in self._breakers if isinstance(one, Breaker)]


class _Queues:
    """Work queues that no worker takes anything from, or a bus that does not answer."""

    def __init__(self, *queues: QueueState | ServiceError) -> None:
        self._queues = queues

    async def without_worker(self) -> list[QueueState]:
        for one in self._queues:
            if isinstance(one, ServiceError):
                raise one
        return [one for one in self._queues if isinstance(one, QueueState)]


class _Plans:
    """Scheduled publications that failed, or a template_svc that does not answer."""

    def __init__(self, *plans: FailedPlan | ServiceError) -> None:
        self._plans = plans

    async def failed(self, project: str) -> list[FailedPlan]:
        for one in self._plans:
            if isinstance(one, ServiceError):
                raise one
        return [one for one in self._plans if isinstance(one, FailedPlan)]


def _desk(
    waiting: Waiting, *breakers: Breaker | ServiceError, peers: Mapping[str, Reach] | None = None, plans: "_Plans | None" = None
) -> ActivityDesk:
    return ActivityDesk(_Store(waiting), _Breakers(*breakers), _Queues(), plans or _Plans(), peers=peers or {})


def _breaker(name: str, state: State, force: Force = Force.AUTO) -> Breaker:
    return Breaker(name, state, 5, None, NOW, force, None, None, "user:ada" if force is Force.OPEN else "", "", NOW)


async def test_all_that_is_wrong_is_said_the_most_urgent_first() -> None:
    waiting = Waiting(1200, 300.0, [("template", 3), ("bus", 1)])
    breakers = (_breaker("smtp", State.OPEN), _breaker("fcm", State.CLOSED), _breaker("ses", State.CLOSED, Force.OPEN))
    found = await _desk(waiting, *breakers).problems(FIRST_PROJECT)
    assert [problem.reason for problem in found] == ["BREAKER_OPEN", "NOTIFICATIONS_WAIT", "BREAKER_HELD_OPEN", "DEAD_LETTERS"]
    assert [problem.severity for problem in found] == [Severity.URGENT] * 2 + [Severity.NOTICE] * 2
    assert "1,200 notifications are due" in found[1].description
    assert "4 notifications were given up and wait for a decision: 3 template, 1 bus" in found[3].description
    assert all(problem.next_step.endswith((".", "`.")) for problem in found)
    assert "user:ada holds the breaker of ses open" in found[2].description
    [_, _, held, _] = await _desk(waiting, *breakers).problems("another")
    assert "ada" not in held.description + held.next_step


async def test_all_is_well_where_nothing_is_wrong_and_a_silent_redis_is_not_well() -> None:
    well = Waiting(5, 2.0, [])
    assert await _desk(well, _breaker("smtp", State.CLOSED)).problems(FIRST_PROJECT) == []
    [problem] = await _desk(well, Unavailable("redis")).problems(FIRST_PROJECT)
    assert problem.reason == "BREAKERS_UNKNOWN"


async def test_a_publication_that_was_planned_and_failed_is_wrong() -> None:
    well = Waiting(0, 0.0, [])
    plans = _Plans(FailedPlan("welcome", 4, datetime(2030, 1, 31, 9, tzinfo=UTC), "version 3 is in use by now"))
    [problem] = await _desk(well, plans=plans).problems(FIRST_PROJECT)
    assert (problem.reason, problem.severity) == ("PUBLICATION_FAILED", Severity.NOTICE)
    said = "Version 4 of the template welcome was to come into use at 2030-01-31 09:00 UTC and did not: version 3 is in use by now."
    assert problem.description == said
    assert "`clarion templates publish welcome 4`" in problem.next_step
    # that template_svc is away is a problem of its own
    assert await _desk(well, plans=_Plans(Unavailable("away"))).problems(FIRST_PROJECT) == []


async def test_work_that_no_worker_takes_is_wrong_and_so_is_a_bus_that_does_not_answer() -> None:
    well, breakers = Waiting(0, 0.0, []), _Breakers()
    queue = QueueState("email.queue", Kind.WORK, Channel.EMAIL, False, QueueSize(7, 0), 90.0)
    [problem] = await ActivityDesk(_Store(well), breakers, _Queues(queue), _Plans(), peers={}).problems(FIRST_PROJECT)
    assert (problem.reason, problem.severity) == ("NO_WORKER", Severity.URGENT)
    assert "No worker takes what waits in email.queue: 7 messages" in problem.description
    [problem] = await ActivityDesk(_Store(well), breakers, _Queues(BrokerUnavailable("away")), _Plans(), peers={}).problems(FIRST_PROJECT)
    assert problem.reason == "BUS_UNREACHABLE"


class _Workers:
    async def workers(self) -> list[Worker]:
        return []


async def test_queues_say_what_waits_since_when_and_who_takes_it(database: Database) -> None:
    """A worker's report ends the wait of its notification; the gateway's clock is not asked."""
    broker, repository = MemoryBroker(build_topology()), ActivityRepository(database)
    rows = [make_row(channel=Channel.EMAIL), make_row(channel=Channel.EMAIL), make_row(channel=Channel.PUSH)]
    for row, minutes in zip(rows, (10, 2, 5), strict=True):
        await store(database, row)
        queued = f"status = {Status.QUEUED:d}, queued_at = now() - interval '{minutes} minutes'"
        await database.fetch(f"UPDATE notifications SET {queued} WHERE id = $1", row.id)
    await broker.publish("email.queue", b"1")
    desk = QueueDesk(broker, repository, _Workers())
    [waiting] = await desk.without_worker()
    assert (waiting.name, waiting.size) == ("email.queue", QueueSize(1, 0))
    ages = await repository.on_the_bus()
    assert ages.keys() == {Lane(Channel.EMAIL, False), Lane(Channel.PUSH, False)}
    assert 600 <= ages[Lane(Channel.EMAIL, False)] < 660
    await Outcomes(database).apply([_outcome(rows[0], Status.SENT, datetime.now(UTC))])
    queues = {queue.name: queue for queue in await desk.queues()}
    assert 120 <= (queues["email.queue"].oldest_s or 0) < 180
    assert (queues["email.retry.2s"].kind, queues["email.retry.2s"].channel) == (Kind.DELAY, Channel.EMAIL)
    assert [queue.kind for queue in queues.values()] == sorted(queue.kind for queue in queues.values())

    async def take(message: Message) -> None:
        await message.ack()

    await broker.consume("email.queue", take, prefetch=1)
    assert await desk.without_worker() == []
    broker.disconnect()
    with pytest.raises(BrokerUnavailable):
        await desk.queues()
