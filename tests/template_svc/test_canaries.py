"""Versions that a share of the notifications gets before they are published; on the fake and on PostgreSQL."""

import asyncio

import pytest

from mesh.context import FIRST_PROJECT
from mesh.stores.database import Database
from template_svc.archiving.repository import ArchiveRepository
from template_svc.archiving.use_cases import ArchiveStore
from template_svc.canaries.models import Share, State, Unit
from template_svc.canaries.repository import CanaryRepository
from template_svc.canaries.use_cases import Canaries, CanaryStore
from template_svc.errors import (
    CanaryNotFound,
    CanaryRunning,
    IncompleteLocale,
    NothingPublished,
    TemplateArchived,
    TemplateNotFound,
    VersionArchived,
    VersionInUse,
    VersionNotFound,
)
from template_svc.library import Library
from template_svc.models import CanarySummary, Mark, Rules, TemplateKey, VersionKey
from template_svc.repository import TemplateRepository
from template_svc.scheduling import Scheduler, Standing
from template_svc.senders.book import SenderBook
from template_svc.use_cases import Authoring, Rendering, TemplateStore
from tests.template_svc.factories import Clock, make_template, make_version
from tests.template_svc.fakes import InlineProcesses, MemoryCanaries, MemoryPartials, MemoryTemplates
from tests.template_svc.memory_senders import MemorySenders

KEY = TemplateKey(FIRST_PROJECT, "welcome")
TENTH, HALF = Share(10, Unit.NOTIFICATION), Share(50, Unit.USER)
ADA = Mark("user:ada", "a shorter subject")


@pytest.fixture
def canary_store(request: pytest.FixtureRequest, store: TemplateStore, clock: Clock) -> CanaryStore:
    """Canaries of the templates of `store`."""
    return MemoryCanaries(store, clock) if isinstance(store, MemoryTemplates) else CanaryRepository(request.getfixturevalue("database"))


@pytest.fixture
def canaries(store: TemplateStore, canary_store: CanaryStore, processes: InlineProcesses, clock: Clock) -> Canaries:
    """The rules, where incomplete locales may not be sent."""
    scheduler = Scheduler(processes, Standing(lambda: 0))
    rules = Rules(complete_only=True)
    return Canaries(
        canary_store, Authoring(store, MemoryPartials(), Library(store), scheduler, clock, senders=MemorySenders(), rules=rules)
    )


async def welcome(store: TemplateStore, clock: Clock) -> None:
    """A template with three versions, the first of them published."""
    made = await store.insert(make_template(), clock())
    assert made is not None
    for publish in (True, False, False):
        await store.add_version(made, make_version(), publish, clock())


async def test_a_canary_starts_gets_another_share_and_is_stopped(store: TemplateStore, canaries: Canaries, clock: Clock) -> None:
    await welcome(store, clock)
    with pytest.raises(CanaryNotFound):
        await canaries.get(KEY)
    started = await canaries.start(VersionKey(*KEY, 2), TENTH, ADA)
    assert (started.version.version, started.share, started.mark, started.published_version) == (2, TENTH, ADA, 1)
    assert (started.state, started.end_time) == (State.RUNNING, None)
    grown = await canaries.start(VersionKey(*KEY, 2), HALF, Mark("user:bob", ""))
    assert (grown.share, grown.mark, grown.start_time) == (HALF, ADA, started.start_time)
    with pytest.raises(CanaryRunning) as refused:
        await canaries.start(VersionKey(*KEY, 3), TENTH, ADA)
    assert refused.value.metadata == {"version": "2"}
    stopped = await canaries.stop(KEY, "user:bob")
    assert (stopped.state, stopped.ended_by, stopped.published_version) == (State.STOPPED, "user:bob", 1)
    assert await canaries.stop(KEY, "user:ada") == stopped == await canaries.get(KEY)
    again = await canaries.start(VersionKey(*KEY, 3), TENTH, ADA)
    assert (again.version.version, again.state, again.ended_by) == (3, State.RUNNING, "")


async def test_what_can_not_be_tried_is_refused(store: TemplateStore, canaries: Canaries, archive: ArchiveStore, clock: Clock) -> None:
    await welcome(store, clock)
    for unknown in (TemplateKey("another", "welcome"), TemplateKey(FIRST_PROJECT, "a\0b")):
        with pytest.raises(TemplateNotFound):
            await canaries.start(VersionKey(*unknown, 2), TENTH, ADA)
        with pytest.raises(TemplateNotFound):
            await canaries.get(unknown)
        with pytest.raises(TemplateNotFound):
            await canaries.stop(unknown, "user:eve")
    with pytest.raises(VersionNotFound):
        await canaries.start(VersionKey(*KEY, 7), TENTH, ADA)
    with pytest.raises(VersionInUse):
        await canaries.start(VersionKey(*KEY, 1), TENTH, ADA)
    template = await store.find(KEY)
    assert template is not None
    await store.add_version(template, make_version(unused={"en": ["name"]}), False, clock())
    with pytest.raises(IncompleteLocale):
        await canaries.start(VersionKey(*KEY, 4), TENTH, ADA)
    await archive.archive_version(VersionKey(*KEY, 2), clock(), "")
    with pytest.raises(VersionArchived):
        await canaries.start(VersionKey(*KEY, 2), TENTH, ADA)
    await archive.archive(KEY, clock(), "")
    with pytest.raises(TemplateArchived):
        await canaries.start(VersionKey(*KEY, 3), TENTH, ADA)
    draft = await store.insert(make_template("draft"), clock())
    assert draft is not None
    await store.add_version(draft, make_version(), False, clock())
    with pytest.raises(NothingPublished):
        await canaries.start(VersionKey(*draft.key, 1), TENTH, ADA)


@pytest.mark.processes
@pytest.mark.parametrize(("number", "state"), [(2, State.PUBLISHED), (3, State.SUPERSEDED)])
async def test_publishing_ends_a_canary(
    postgres_store: TemplateRepository, database: Database, clock: Clock, number: int, state: State
) -> None:
    """Whichever version it is: who publishes expects that all get it. What was published already changes nothing."""
    await welcome(postgres_store, clock)
    canaries = CanaryRepository(database)
    await canaries.start(VersionKey(*KEY, 2), TENTH, ADA)
    await postgres_store.publish(VersionKey(*KEY, 1), clock())
    running = await canaries.find(KEY)
    assert running is not None
    assert running.state is State.RUNNING
    await postgres_store.publish(VersionKey(*KEY, number), clock(), Mark("user:bob", ""))
    ended = await canaries.find(KEY)
    assert ended is not None
    assert (ended.state, ended.ended_by, ended.published_version, ended.end_time) == (state, "user:bob", 1, clock())
    [summary] = (await postgres_store.describe([KEY])).values()
    assert summary.canary is None


@pytest.mark.processes
async def test_a_description_says_who_gets_what(
    postgres_store: TemplateRepository, database: Database, processes: InlineProcesses, clock: Clock
) -> None:
    """With what the tried version needs, and what bounds its size."""
    await welcome(postgres_store, clock)
    template = await postgres_store.find(KEY)
    assert template is not None
    schema = {"type": "object", "properties": {"name": {}, "plan": {}}}
    await postgres_store.add_version(template, make_version(required_variables=("name", "plan"), variables_schema=schema), False, clock())
    await CanaryRepository(database).start(VersionKey(*KEY, 4), HALF, ADA)
    rendering = Rendering(postgres_store, Library(postgres_store), Scheduler(processes, Standing(lambda: 0)), SenderBook(MemorySenders()))
    [summary, unknown] = await rendering.describe([KEY, TemplateKey("another", "welcome")])
    assert summary.template is not None
    assert summary.template.published_version == 1
    assert summary.canary is not None
    assert summary.canary._replace(size=None) == CanarySummary(4, 50, True, ("name", "plan"), schema)
    assert summary.canary.size == summary.size is not None
    assert unknown.canary is None


@pytest.mark.processes
async def test_a_version_that_is_tried_is_not_archived_and_a_deleted_template_has_no_canary(
    postgres_store: TemplateRepository, database: Database, clock: Clock
) -> None:
    await welcome(postgres_store, clock)
    canaries, archive = CanaryRepository(database), ArchiveRepository(database)
    await canaries.start(VersionKey(*KEY, 2), TENTH, ADA)
    with pytest.raises(VersionInUse, match="stop its canary"):
        await archive.archive_version(VersionKey(*KEY, 2), clock(), "")
    await canaries.stop(KEY, "")
    assert await archive.archive_version(VersionKey(*KEY, 2), clock(), "") is not None
    await canaries.start(VersionKey(*KEY, 3), TENTH, ADA)
    await postgres_store.delete(KEY, clock())
    await postgres_store.insert(make_template(), clock())
    assert await canaries.find(KEY) is None


@pytest.mark.processes
async def test_of_two_that_start_at_the_same_time_one_runs(postgres_store: TemplateRepository, database: Database, clock: Clock) -> None:
    await welcome(postgres_store, clock)
    canaries = CanaryRepository(database)
    for _ in range(5):
        started = await asyncio.gather(*(canaries.start(VersionKey(*KEY, n), TENTH, ADA) for n in (2, 3)), return_exceptions=True)
        assert sum(isinstance(each, CanaryRunning) for each in started) == 1, started
        await canaries.stop(KEY, "")
