"""Jobs about many dead letters: made once, worked off at a rate, over crashes, each letter once; on a real PostgreSQL."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from devstack.broker import MemoryBroker
from gateway.dead_letters.bulk_errors import BulkOperationNotFound
from gateway.dead_letters.bulk_models import BulkOperation, BulkState, Claimed, Step
from gateway.dead_letters.bulk_repository import BulkRepository
from gateway.dead_letters.bulk_runner import BulkRunner
from gateway.dead_letters.models import Action, Actor, Cause, DeadLetterFilters, State, View
from gateway.notifications.models import Channel, Status
from mesh.context import FIRST_PROJECT
from mesh.errors import InvalidArgument, Unavailable
from mesh.idempotency.errors import IdempotencyKeyReused
from mesh.ids import new_uuid
from mesh.stores.database import Database
from tests.gateway.dead_letter_desk import REVIEWER, START, Desk, open_floor, order
from tests.waiting import until_answered


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


async def ended(desk: Desk, job: BulkOperation) -> BulkOperation:
    """The job when it runs no longer."""

    async def over() -> bool:
        return (await desk.jobs.get(REVIEWER, str(job.id))).state is not BulkState.RUNNING

    await until_answered(over)
    return await desk.jobs.get(REVIEWER, str(job.id))


async def statuses(database: Database) -> Counter[Status]:
    async with database.connect() as connection:
        rows = await connection.execute(text("SELECT status, count(*) FROM notifications GROUP BY status"))
        return Counter({Status(status): count for status, count in rows})


async def until_sent(desk: Desk, count: int) -> None:
    async def sent() -> bool:
        return (await statuses(desk.database))[Status.SENT] == count

    await until_answered(sent)


async def audits(database: Database) -> Counter[tuple[UUID, Action, UUID | None, str]]:
    async with database.connect() as connection:
        rows = await connection.execute(
            text("SELECT notification_id, action, job_id, actor_kind || ':' || actor_id FROM dead_letter_audit")
        )
        return Counter((row[0], Action(row[1]), row[2], row[3]) for row in rows)


async def test_a_thousand_letters_are_each_sent_exactly_once(desk: Desk) -> None:
    """Each with its audit entry; and repeating the order changes nothing, whatever key it comes under."""
    rows = await desk.failed_many(1000)
    async with open_floor(desk.database, MemoryBroker()) as floor:
        job = await desk.jobs.order(REVIEWER, order(key="k-1"))
        floor.runner.wake()
        assert (job.total, job.state) == (1000, BulkState.RUNNING)
        done = await ended(desk, job)
        assert (done.state, done.done, done.skipped) == (BulkState.DONE, 1000, 0)
        await until_sent(desk, 1000)
        assert floor.sent == Counter(f"{row.id}.1" for row in rows)
        trail = await audits(desk.database)
        assert trail == Counter((row.id, Action.REQUEUED, job.id, "api_key:test-key") for row in rows)

        assert await desk.jobs.order(REVIEWER, order(key="k-1")) == done
        another = await desk.jobs.order(REVIEWER, order(key="k-2"))
        assert (another.total, another.state) == (0, BulkState.DONE)
        assert await audits(desk.database) == trail
        assert floor.sent.total() == 1000


async def test_a_job_of_a_test_key_requeues_only_what_test_keys_have_sent(desk: Desk) -> None:
    await desk.failed_many(3)
    tests = await desk.failed_many(2, test=True)
    job = await desk.jobs.order(replace(REVIEWER, test=True), order())
    assert job.total == 2
    assert (await desk.jobs.order(REVIEWER, order())).total == 5
    async with desk.database.connect() as connection:
        items = await connection.execute(text("SELECT notification_id FROM dead_letter_job_items WHERE job_id = :job"), {"job": job.id})
        assert {row[0] for row in items} == {row.id for row in tests}


async def test_a_letter_that_fails_again_is_not_taken_twice_by_its_job(desk: Desk) -> None:
    """It waits for the next decision."""
    await desk.failed_many(60)
    async with open_floor(desk.database, MemoryBroker()) as floor:
        floor.failing = True
        job = await desk.jobs.order(REVIEWER, order())
        await ended(desk, job)

        async def failed() -> bool:
            page = await desk.letters.list_dead_letters(DeadLetterFilters(FIRST_PROJECT), 200, "")
            return len(page.items) == 60 and {letter.run for letter in page.items} == {1}

        await until_answered(failed)
        assert floor.sent.total() == 60
        floor.failing = False
        await ended(desk, await desk.jobs.order(REVIEWER, order()))
        await until_sent(desk, 60)
        assert set(floor.sent.values()) == {1}


async def test_a_job_goes_on_after_a_crash(desk: Desk) -> None:
    """The process that had it is gone without a word; what it did is not done again."""
    rows = await desk.failed_many(300)
    job = await desk.jobs.order(REVIEWER, order())
    crashed = BulkRepository(desk.database)
    owner = new_uuid()
    [claimed] = await crashed.claim(owner, most=8, lease_s=0.5)
    for _ in range(2):  # what these two steps decided is committed, and their process dies before it publishes anything
        await crashed.step(claimed, owner, most=50, lease_s=0.5, dispatch_lease_s=0.5)
    assert (await desk.jobs.get(REVIEWER, str(job.id))).done == 100
    async with open_floor(desk.database, MemoryBroker()) as floor:
        assert (await ended(desk, job)).done == 300
        await until_sent(desk, 300)
        assert floor.sent == Counter(f"{row.id}.1" for row in rows)
    assert set((await audits(desk.database)).values()) == {1}


async def test_a_step_that_dies_in_its_middle_has_not_happened(desk: Desk) -> None:
    """Letters, notifications, audit and counts are one transaction."""
    await desk.failed_many(20)
    job = await desk.jobs.order(REVIEWER, order())
    store, owner = BulkRepository(desk.database), new_uuid()
    [claimed] = await store.claim(owner, most=8, lease_s=30)
    async with desk.database.begin() as connection:  # the last statement of the step has to wait, and its client dies meanwhile
        await connection.execute(text("SELECT 1 FROM dead_letter_job_items FOR UPDATE"))
        step = asyncio.create_task(store.step(claimed, owner, most=20, lease_s=30, dispatch_lease_s=3))
        await _blocked(desk.database)
        step.cancel()
        await asyncio.gather(step, return_exceptions=True)
    assert (await statuses(desk.database)) == Counter({Status.FAILED: 20})
    assert not await audits(desk.database)
    assert (await store.step(claimed, owner, most=50, lease_s=30, dispatch_lease_s=3)).more is False
    assert (await desk.jobs.get(REVIEWER, str(job.id))).done == 20


async def _blocked(database: Database) -> None:
    async def waiting() -> bool:
        async with database.connect() as connection:
            found = await connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))
            return bool(found.scalar_one())

    await until_answered(waiting)


async def test_two_replicas_do_not_work_on_one_job(desk: Desk) -> None:
    await desk.failed_many(10)
    await desk.jobs.order(REVIEWER, order())
    store, first, second = BulkRepository(desk.database), new_uuid(), new_uuid()
    [claimed] = await store.claim(first, most=8, lease_s=30)
    assert await store.claim(second, most=8, lease_s=30) == []
    assert await store.step(claimed, second, most=5, lease_s=30, dispatch_lease_s=3) == Step((), more=False)
    await store.release(claimed, first)
    assert [job.id for job in await store.claim(second, most=8, lease_s=30)] == [claimed.id]
    assert not await store.renew(claimed, first, lease_s=30)
    assert await audits(desk.database) == Counter()


async def test_what_a_filter_finds_is_taken_oldest_first_up_to_the_most(desk: Desk) -> None:
    late, early, middle = [await desk.failed(at=at) for at in (30, 0, 15)]
    await desk.failed(template="other")
    await desk.failed(reason="RENDER_FAILED")
    filters = DeadLetterFilters(FIRST_PROJECT, cause=Cause.PROVIDER_PERMANENT, template="welcome", created_after=START)
    job = await desk.jobs.order(REVIEWER, order(filters=filters, most=2))
    assert (job.total, job.filters, job.created_by) == (2, filters, "api_key:test-key")
    store, owner = BulkRepository(desk.database), new_uuid()
    [claimed] = await store.claim(owner, most=8, lease_s=30)
    step = await store.step(claimed, owner, most=1, lease_s=30, dispatch_lease_s=3)
    assert [job.id for job in step.jobs] == [early.id]
    step = await store.step(claimed, owner, most=1, lease_s=30, dispatch_lease_s=3)
    assert [job.id for job in step.jobs] == [middle.id]
    assert (await desk.letters.get(REVIEWER, str(late.id), View.BASIC)).state is State.OPEN


async def test_a_filter_keeps_its_times_and_kinds(desk: Desk) -> None:
    filters = DeadLetterFilters(
        FIRST_PROJECT,
        channel=Channel.PUSH,
        template="a",
        reason="X",
        cause=Cause.BUS,
        created_after=START,
        created_before=START + timedelta(days=1),
    )
    job = await desk.jobs.order(REVIEWER, order(filters=filters))
    assert (await desk.jobs.get(REVIEWER, str(job.id))).filters == filters


async def test_what_may_have_been_sent_is_requeued_only_when_it_is_named(desk: Desk) -> None:
    """Its template wants nobody to get it twice."""
    await desk.failed(reason="OUTCOME_UNKNOWN")
    assert (await desk.jobs.order(REVIEWER, order())).total == 0
    assert (await desk.jobs.order(REVIEWER, order(filters=DeadLetterFilters(FIRST_PROJECT, template="welcome")))).total == 0
    assert (await desk.jobs.order(REVIEWER, order(filters=DeadLetterFilters(FIRST_PROJECT, reason="OUTCOME_UNKNOWN")))).total == 1
    assert (await desk.jobs.order(REVIEWER, order(filters=DeadLetterFilters(FIRST_PROJECT, cause=Cause.UNKNOWN_OUTCOME)))).total == 1


async def test_what_can_not_be_sent_any_more_is_skipped_with_its_reason(desk: Desk) -> None:
    rows = [await desk.failed(expires_at=expires_at) for expires_at in (None, datetime.now(UTC), None)]
    job = await desk.jobs.order(REVIEWER, order())
    await desk.letters.discard(REVIEWER, str(rows[2].id), "meanwhile")
    async with open_floor(desk.database, MemoryBroker()) as floor:
        done = await ended(desk, job)
        await floor.sent_at_least(1)
    assert (done.state, done.total, done.done, done.skipped) == (BulkState.DONE, 3, 1, 2)
    assert done.skipped_reasons == {"ALREADY_RESOLVED": 1, "EXPIRED": 1}
    assert (await desk.letters.get(REVIEWER, str(rows[1].id), View.BASIC)).state is State.OPEN


async def test_many_are_discarded_in_the_same_way(desk: Desk) -> None:
    rows = await desk.failed_many(120)
    kept = await desk.failed(template="other")
    with pytest.raises(InvalidArgument):
        await desk.jobs.order(REVIEWER, order(State.DISCARDED))
    job = await desk.jobs.order(REVIEWER, order(State.DISCARDED, filters=DeadLetterFilters(FIRST_PROJECT, template="welcome")))
    async with open_floor(desk.database, MemoryBroker()) as floor:
        assert (await ended(desk, job)).done == 120
        assert floor.sent.total() == 0
    assert await audits(desk.database) == Counter((row.id, Action.DISCARDED, job.id, "api_key:test-key") for row in rows)
    assert (await desk.letters.get(REVIEWER, str(kept.id), View.BASIC)).state is State.OPEN
    assert (await desk.letters.get(REVIEWER, str(rows[0].id), View.BASIC)).note == "after the outage"


async def test_ten_equal_orders_at_once_are_one_job(desk: Desk) -> None:
    await desk.failed_many(30)
    jobs = await asyncio.gather(*(desk.jobs.order(REVIEWER, order(key="k-1")) for _ in range(10)))
    assert len({job.id for job in jobs}) == 1
    assert {job.total for job in jobs} == {30}


async def test_another_order_under_the_same_key_is_refused(desk: Desk) -> None:
    await desk.jobs.order(REVIEWER, order(key="k-1"))
    with pytest.raises(IdempotencyKeyReused):
        await desk.jobs.order(REVIEWER, order(key="k-1", rate=5))
    await desk.jobs.order(REVIEWER, order(State.DISCARDED, filters=DeadLetterFilters(FIRST_PROJECT, template="a"), key="k-1"))


async def test_a_cancelled_job_stops_where_it_is(desk: Desk) -> None:
    await desk.failed_many(10)
    job = await desk.jobs.order(REVIEWER, order())
    store, owner = BulkRepository(desk.database), new_uuid()
    [claimed] = await store.claim(owner, most=8, lease_s=30)
    await store.step(claimed, owner, most=4, lease_s=30, dispatch_lease_s=3)
    for _ in range(2):
        assert (await desk.jobs.cancel(REVIEWER, str(job.id))).state is BulkState.CANCELLED
    assert (await store.step(claimed, owner, most=4, lease_s=30, dispatch_lease_s=3)) == Step((), more=False)
    assert await store.claim(owner, most=8, lease_s=30) == []
    found = await desk.jobs.get(REVIEWER, str(job.id))
    assert (found.state, found.done, found.total) == (BulkState.CANCELLED, 4, 10)


async def test_jobs_are_listed_newest_first(desk: Desk) -> None:
    jobs = [await desk.jobs.order(REVIEWER, order()) for _ in range(3)]
    first = await desk.jobs.list_jobs(REVIEWER, 2, "")
    rest = await desk.jobs.list_jobs(REVIEWER, 2, first.next_token)
    assert [job.id for job in (*first.items, *rest.items)] == [job.id for job in reversed(jobs)]
    assert rest.next_token == ""
    for identifier in ("x", str(new_uuid())):
        with pytest.raises(BulkOperationNotFound):
            await desk.jobs.get(REVIEWER, identifier)
        with pytest.raises(BulkOperationNotFound):
            await desk.jobs.cancel(REVIEWER, identifier)


class ScriptedQueue:
    """One job of `letters`; each step may be told to fail first. Remembers when steps were made, and what was asked of them."""

    def __init__(self, letters: int, rate: int, *, failures: Sequence[Exception] = ()) -> None:
        self.left = letters
        self.job = Claimed(new_uuid(), State.REQUEUED, rate, "", Actor("user", "ada"))
        self.failures = list(failures)
        self.steps: list[tuple[float, int]] = []
        self.renewed = asyncio.Event()
        self.released = False
        self.done = asyncio.Event()
        self._given = False

    async def claim(self, owner: UUID, *, most: int, lease_s: float) -> Sequence[Claimed]:
        given, self._given = self._given, True
        return [] if given else [self.job]

    async def renew(self, job: Claimed, owner: UUID, *, lease_s: float) -> bool:
        self.renewed.set()
        return True

    async def release(self, job: Claimed, owner: UUID) -> None:
        self.released = True

    async def step(self, job: Claimed, owner: UUID, *, most: int, lease_s: float, dispatch_lease_s: float) -> Step:
        if self.failures:
            raise self.failures.pop(0)
        self.steps.append((asyncio.get_running_loop().time(), most))
        self.left -= most
        if self.left <= 0:
            self.done.set()
        return Step((), more=self.left > 0)


async def run(queue: ScriptedQueue, *, ready: asyncio.Event | None = None) -> None:
    """Runs until the queue's job is done."""
    runner = BulkRunner(queue, Desk.__new__(Desk), lambda: ready is None or ready.is_set(), dispatch_lease_s=3, poll_s=0.01)
    runner.start()
    try:
        async with asyncio.timeout(60):
            if ready is not None:
                await queue.renewed.wait()
                assert queue.steps == []
                ready.set()
            await queue.done.wait()
    finally:
        await runner.close()


@pytest.mark.parametrize(("rate", "letters", "most", "least_s"), [(100, 60, 10, 0.5), (15, 5, 1, 4 / 15), (1000, 400, 100, 0.3)])
async def test_a_job_is_never_faster_than_its_rate(rate: int, letters: int, most: int, least_s: float) -> None:
    """However few letters a second are asked for: a step is as large as a tenth of a second allows, and at least one letter."""
    queue = ScriptedQueue(letters, rate)
    await run(queue)
    assert {size for _, size in queue.steps} == {most}
    assert queue.steps[-1][0] - queue.steps[0][0] >= least_s - 0.01


async def test_a_step_that_fails_is_made_again() -> None:
    queue = ScriptedQueue(200, 1000, failures=[Unavailable("away"), ValueError("a defect")])
    await run(queue)
    assert sum(size for _, size in queue.steps) == 200


async def test_a_job_waits_while_there_is_no_broker() -> None:
    """It stays this process's, and requeues nothing that would go out all at once later."""
    queue = ScriptedQueue(100, 1000)
    await run(queue, ready=asyncio.Event())


async def test_a_job_is_left_to_others_when_its_process_stops() -> None:
    queue = ScriptedQueue(1_000_000, 1)
    runner = BulkRunner(queue, Desk.__new__(Desk), lambda: True, dispatch_lease_s=3, poll_s=0.01)
    runner.start()
    async with asyncio.timeout(60):
        while not queue.steps:  # noqa: ASYNC110  the first step is made at once
            await asyncio.sleep(0)
        await runner.close()
    assert queue.released
