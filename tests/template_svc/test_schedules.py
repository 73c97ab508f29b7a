"""Publications at a time that was chosen before; on the fake and on PostgreSQL, whose clock decides there."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from mesh.context import FIRST_PROJECT
from mesh.errors import InvalidArgument
from mesh.stores.database import Database
from template_svc.archiving.use_cases import ArchiveStore
from template_svc.errors import (
    IncompleteLocale,
    PublicationScheduled,
    PublishedMeanwhile,
    ScheduleNotFound,
    ScheduleOver,
    TemplateArchived,
    TemplateNotFound,
    VersionArchived,
    VersionNotFound,
)
from template_svc.library import Library
from template_svc.models import Mark, Rules, TemplateKey, VersionKey
from template_svc.repository import TemplateRepository
from template_svc.schedules.models import DuePlan, NewPlan, Plan, PlanFilters, PlanKey, State
from template_svc.schedules.repository import PlanRepository
from template_svc.schedules.use_cases import PlanStore, Publisher, Schedules
from template_svc.scheduling import Scheduler, Standing
from template_svc.use_cases import Authoring, TemplateStore
from tests.template_svc.factories import Clock, make_template, make_version
from tests.template_svc.fakes import InlineProcesses, MemoryPartials, MemoryPlans, MemoryTemplates
from tests.template_svc.memory_senders import MemorySenders

KEY = TemplateKey(FIRST_PROJECT, "welcome")
ADA, BOB = Mark("user:ada", "the spring sale"), Mark("user:bob", "later")
# Long enough that no plan comes due by itself while a test runs.
AHEAD = timedelta(days=1)

ComesDue = Callable[[], Awaitable[None]]


@pytest.fixture
def plans(request: pytest.FixtureRequest, store: TemplateStore, clock: Clock) -> PlanStore:
    """Plans for the templates of `store`."""
    return MemoryPlans(store, clock) if isinstance(store, MemoryTemplates) else PlanRepository(request.getfixturevalue("database"))


@pytest.fixture
def comes_due(request: pytest.FixtureRequest, store: TemplateStore, clock: Clock) -> ComesDue:
    """Makes the time come that all plans wait for."""

    async def pass_by() -> None:
        clock.advance(days=2)
        if not isinstance(store, MemoryTemplates):
            async with request.getfixturevalue("database").begin() as connection:
                await connection.execute(text("UPDATE scheduled_publications SET publish_at = publish_at - interval '2 days'"))

    return pass_by


@pytest.fixture
def schedules(store: TemplateStore, plans: PlanStore, processes: InlineProcesses, clock: Clock) -> Schedules:
    """The rules, where incomplete locales may not be published."""
    scheduler = Scheduler(processes, Standing(lambda: 0))
    return Schedules(
        plans,
        Authoring(store, MemoryPartials(), Library(store), scheduler, clock, senders=MemorySenders(), rules=Rules(complete_only=True)),
    )


@pytest.fixture
async def welcome(store: TemplateStore, clock: Clock) -> None:
    """A template with three versions, the first of them published."""
    made = await store.insert(make_template(), clock())
    assert made is not None
    for publish in (True, False, False):
        await store.add_version(made, make_version(), publish, clock())


async def schedule(
    schedules: Schedules, plans: PlanStore, version: int, mark: Mark = ADA, *, previous: int = 0, replaces: str = ""
) -> Plan:
    at = await plans.now() + AHEAD
    return await schedules.schedule(VersionKey(*KEY, version), at, mark, previous_version=previous, replaces=replaces)


async def published(store: TemplateStore) -> int:
    template = await store.find(KEY)
    assert template is not None
    return template.published_version


@pytest.mark.usefixtures("welcome")
async def test_a_version_comes_into_use_at_its_time_and_not_before(
    store: TemplateStore, schedules: Schedules, plans: PlanStore, comes_due: ComesDue
) -> None:
    """The history names who planned it, and the plan."""
    plan = await schedule(schedules, plans, 2)
    assert (plan.state, plan.previous_version, plan.mark, plan.end_time) == (State.PLANNED, 1, ADA, None)
    publisher = Publisher(plans)
    await publisher.publish_due()
    assert await published(store) == 1
    await comes_due()
    await publisher.publish_due()
    assert await published(store) == 2
    done = await schedules.get(FIRST_PROJECT, str(plan.key.id))
    assert done.state is State.PUBLISHED
    assert done.end_time is not None
    [newest, _] = await store.list_publications(KEY, None, 10)
    assert (newest.version, newest.previous_version, newest.mark, newest.plan) == (2, 1, ADA, plan.key.id)
    await publisher.publish_due()
    assert len(await store.list_publications(KEY, None, 10)) == 2


@pytest.mark.usefixtures("welcome")
async def test_what_was_published_meanwhile_is_not_undone(
    store: TemplateStore, schedules: Schedules, plans: PlanStore, comes_due: ComesDue, clock: Clock
) -> None:
    plan = await schedule(schedules, plans, 2)
    await store.publish(VersionKey(*KEY, 3), clock(), BOB)
    await comes_due()
    await Publisher(plans).publish_due()
    failed = await schedules.get(FIRST_PROJECT, str(plan.key.id))
    assert (failed.state, failed.reason) == (State.FAILED, "PUBLISHED_MEANWHILE")
    assert "version 3 is in use by now" in failed.description
    assert await published(store) == 3
    assert (await schedule(schedules, plans, 2)).previous_version == 3  # the one that failed stands in no one's way


@pytest.mark.usefixtures("welcome")
async def test_what_is_in_use_already_at_its_time_is_published_once(
    store: TemplateStore, schedules: Schedules, plans: PlanStore, comes_due: ComesDue, clock: Clock
) -> None:
    plan = await schedule(schedules, plans, 2)
    await store.publish(VersionKey(*KEY, 2), clock(), BOB)
    await comes_due()
    await Publisher(plans).publish_due()
    assert (await schedules.get(FIRST_PROJECT, str(plan.key.id))).state is State.PUBLISHED
    assert [one.mark for one in await store.list_publications(KEY, None, 1)] == [BOB]


async def test_the_first_publication_can_be_planned_and_is_not_done_over_another(
    store: TemplateStore, schedules: Schedules, plans: PlanStore, comes_due: ComesDue, clock: Clock
) -> None:
    """That none is in use counts as much as which one is."""
    for name in ("welcome", "other"):
        made = await store.insert(make_template(name), clock())
        assert made is not None
        for _ in range(2):
            await store.add_version(made, make_version(), False, clock())
        await schedules.schedule(VersionKey(*made.key, 1), await plans.now() + AHEAD, ADA, previous_version=0, replaces="")
    await store.publish(VersionKey(FIRST_PROJECT, "other", 2), clock())
    await comes_due()
    await Publisher(plans).publish_due()
    states = {plan.version.template: plan.state for plan in (await schedules.list(PlanFilters(FIRST_PROJECT, None, None), 0, "")).items}
    assert states == {"welcome": State.PUBLISHED, "other": State.FAILED}
    assert await published(store) == 1


@pytest.mark.usefixtures("welcome")
async def test_what_failed_waits_until_someone_decides(
    store: TemplateStore, archive: ArchiveStore, schedules: Schedules, plans: PlanStore, comes_due: ComesDue, clock: Clock
) -> None:
    """By publishing or planning; a template that is out of use needs no decision, and another project's are not shown."""
    publisher = Publisher(plans)

    async def fail(version: int) -> list[Plan]:
        await schedule(schedules, plans, version)
        await store.publish(VersionKey(*KEY, 5 - version), clock(), BOB)
        await comes_due()
        await publisher.publish_due()
        return list(await schedules.failed(FIRST_PROJECT))

    [failed] = await fail(2)
    assert (failed.version.version, failed.state, failed.reason) == (2, State.FAILED, "PUBLISHED_MEANWHILE")
    assert list(await schedules.failed("another-project")) == []
    await archive.archive(KEY, clock(), "")
    assert list(await schedules.failed(FIRST_PROJECT)) == []
    await archive.restore(KEY, clock())
    assert list(await schedules.failed(FIRST_PROJECT)) == [failed]
    await store.publish(VersionKey(*KEY, 1), clock(), BOB)
    assert list(await schedules.failed(FIRST_PROJECT)) == []
    assert len(await fail(3)) == 1
    await schedule(schedules, plans, 3)
    assert list(await schedules.failed(FIRST_PROJECT)) == []


@pytest.mark.parametrize(("what", "reason"), [("template", "TEMPLATE_ARCHIVED"), ("version", "VERSION_ARCHIVED")])
@pytest.mark.usefixtures("welcome")
async def test_what_is_archived_by_then_is_not_published(
    what: str,
    reason: str,
    store: TemplateStore,
    archive: ArchiveStore,
    schedules: Schedules,
    plans: PlanStore,
    comes_due: ComesDue,
    clock: Clock,
) -> None:
    plan = await schedule(schedules, plans, 2)
    await (archive.archive(KEY, clock(), "") if what == "template" else archive.archive_version(VersionKey(*KEY, 2), clock(), ""))
    with pytest.raises((TemplateArchived, VersionArchived)):
        await schedule(schedules, plans, 2, replaces=str(plan.key.id))
    await comes_due()
    await Publisher(plans).publish_due()
    failed = await schedules.get(FIRST_PROJECT, str(plan.key.id))
    assert (failed.state, failed.reason) == (State.FAILED, reason)
    assert await published(store) == 1


@pytest.mark.usefixtures("welcome")
async def test_a_template_has_one_plan_which_is_replaced_by_name_only(schedules: Schedules, plans: PlanStore) -> None:
    first = await schedule(schedules, plans, 2)
    with pytest.raises(PublicationScheduled) as refused:
        await schedule(schedules, plans, 3, BOB)
    assert refused.value.metadata == {"scheduled_publication": str(first.key.id)}
    second = await schedule(schedules, plans, 3, BOB, replaces=str(first.key.id))
    replaced = await schedules.get(FIRST_PROJECT, str(first.key.id))
    assert (replaced.state, replaced.ended_by) == (State.REPLACED, "user:bob")
    with pytest.raises(ScheduleOver):
        await schedule(schedules, plans, 2, replaces=str(first.key.id))
    with pytest.raises(ScheduleNotFound):
        await schedule(schedules, plans, 2, replaces=str(uuid4()))
    waiting = await schedules.list(PlanFilters(FIRST_PROJECT, "welcome", State.PLANNED), 0, "")
    assert [plan.key for plan in waiting.items] == [second.key]


@pytest.mark.usefixtures("welcome")
async def test_a_cancelled_plan_is_not_carried_out(
    store: TemplateStore, schedules: Schedules, plans: PlanStore, comes_due: ComesDue
) -> None:
    plan = await schedule(schedules, plans, 2)
    cancelled = await schedules.cancel(FIRST_PROJECT, str(plan.key.id), "user:bob")
    assert (cancelled.state, cancelled.ended_by) == (State.CANCELLED, "user:bob")
    assert await schedules.cancel(FIRST_PROJECT, str(plan.key.id), "user:ada") == cancelled
    await comes_due()
    await Publisher(plans).publish_due()
    assert await published(store) == 1
    again = await schedule(schedules, plans, 2)
    await comes_due()
    await Publisher(plans).publish_due()
    with pytest.raises(ScheduleOver, match="published"):
        await schedules.cancel(FIRST_PROJECT, str(again.key.id), "user:bob")


@pytest.mark.usefixtures("welcome")
async def test_what_can_not_be_planned_is_refused(store: TemplateStore, schedules: Schedules, plans: PlanStore, clock: Clock) -> None:
    now = await plans.now()
    with pytest.raises(InvalidArgument) as past:
        await schedules.schedule(VersionKey(*KEY, 2), now, ADA, previous_version=0, replaces="")
    assert past.value.violations[0].field == "publish_at"
    with pytest.raises(PublishedMeanwhile):
        await schedule(schedules, plans, 2, previous=3)
    with pytest.raises(VersionNotFound):
        await schedule(schedules, plans, 7)
    for unknown in (TemplateKey("another", "welcome"), TemplateKey(FIRST_PROJECT, "a\0b")):
        with pytest.raises(TemplateNotFound):
            await schedules.schedule(VersionKey(*unknown, 1), now + AHEAD, ADA, previous_version=0, replaces="")
    template = await store.find(KEY)
    assert template is not None
    await store.add_version(template, make_version(unused={"en": ["name"]}), False, clock())
    with pytest.raises(IncompleteLocale):
        await schedule(schedules, plans, 4)


@pytest.mark.usefixtures("welcome")
async def test_another_project_sees_and_cancels_nothing(schedules: Schedules, plans: PlanStore) -> None:
    plan = await schedule(schedules, plans, 2)
    for identifier in (str(plan.key.id), str(uuid4()), "x", "\0"):
        with pytest.raises(ScheduleNotFound):
            await schedules.get("another", identifier)
        with pytest.raises(ScheduleNotFound):
            await schedules.cancel("another", identifier, "user:eve")
    assert (await schedules.list(PlanFilters("another", None, None), 0, "")).items == ()


@pytest.mark.usefixtures("welcome")
async def test_pages_are_in_the_order_of_planning(schedules: Schedules, plans: PlanStore) -> None:
    made: list[UUID] = []
    for _ in range(5):
        made.insert(0, (await schedule(schedules, plans, 2)).key.id)
        await schedules.cancel(FIRST_PROJECT, str(made[0]), "")
    filters, seen, token = PlanFilters(FIRST_PROJECT, "welcome", State.CANCELLED), list[UUID](), ""
    while True:
        page = await schedules.list(filters, 2, token)
        seen += [plan.key.id for plan in page.items]
        token = page.next_token
        if not token:
            break
    assert seen == made
    with pytest.raises(InvalidArgument):
        await schedules.list(PlanFilters(FIRST_PROJECT, None, None), 2, (await schedules.list(filters, 2, "")).next_token)


@pytest.mark.processes
@pytest.mark.usefixtures("welcome")
@pytest.mark.parametrize("store", ["postgres"], indirect=True)
async def test_of_many_replicas_one_publishes(
    store: TemplateStore, schedules: Schedules, plans: PlanStore, comes_due: ComesDue, database: Database
) -> None:
    """Also when one of them was stopped between looking and publishing: what a plan waits for is in the database only."""
    plan = await schedule(schedules, plans, 2)
    await comes_due()
    [due] = await plans.due(10)
    outcomes = await asyncio.gather(*(PlanRepository(database).carry_out(due) for _ in range(8)))
    assert [outcome.key for outcome in outcomes if outcome is not None] == [plan.key]
    assert [one.plan for one in await store.list_publications(KEY, None, 10)] == [plan.key.id, None]
    started = Publisher(PlanRepository(database))
    started.start()
    await started.close()
    assert len(await store.list_publications(KEY, None, 10)) == 2


@pytest.mark.processes
async def test_planning_cancelling_and_publishing_at_the_same_time_never_wait_for_each_other(
    postgres_store: TemplateRepository, database: Database, clock: Clock
) -> None:
    """A deadlock would make one of them fail; a plan ends exactly one way."""
    made = await postgres_store.insert(make_template(), clock())
    assert made is not None
    for publish in (True, False, False):
        await postgres_store.add_version(made, make_version(), publish, clock())
    plans = PlanRepository(database)
    for round_ in range(10):
        now = await plans.now()
        key = PlanKey(FIRST_PROJECT, uuid4())
        plan = await plans.add(NewPlan(key, VersionKey(*KEY, 2 + round_ % 2), now, ADA, 0, None))
        assert plan is not None
        due = DuePlan(key, KEY)
        replacing = NewPlan(PlanKey(FIRST_PROJECT, uuid4()), VersionKey(*KEY, 1), now + AHEAD, BOB, 0, key.id)
        under_way = (plans.carry_out(due), plans.add(replacing), plans.cancel(key, "user:bob"), plans.carry_out(due))
        outcomes = await asyncio.gather(*under_way, return_exceptions=True)
        assert all(isinstance(outcome, Plan | ScheduleOver | None) for outcome in outcomes), outcomes
        ended = await plans.find(key)
        assert ended is not None
        assert ended.state in {State.PUBLISHED, State.REPLACED, State.CANCELLED}
        for waiting in await plans.list(PlanFilters(FIRST_PROJECT, None, State.PLANNED), None, 10):
            await plans.cancel(waiting.key, "")


@pytest.mark.processes
async def test_a_deleted_template_takes_its_plans_along(postgres_store: TemplateRepository, database: Database, clock: Clock) -> None:
    """One that is made again under the name has none."""
    made = await postgres_store.insert(make_template(), clock())
    assert made is not None
    await postgres_store.add_version(made, make_version(), False, clock())
    plans = PlanRepository(database)
    plan = await plans.add(NewPlan(PlanKey(FIRST_PROJECT, uuid4()), VersionKey(*KEY, 1), await plans.now(), ADA, 0, None))
    assert plan is not None
    await postgres_store.delete(KEY, clock())
    await postgres_store.insert(make_template(), clock())
    await Publisher(plans).publish_due()
    assert await plans.find(plan.key) is None
    assert await published(postgres_store) == 0
