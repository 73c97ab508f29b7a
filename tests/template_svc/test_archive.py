"""What is archived is neither listed nor published, and is rendered for those who hold its number; on the fake and on PostgreSQL."""

import asyncio

import pytest

from mesh.context import FIRST_PROJECT
from mesh.stores.database import Database
from template_svc.archiving.repository import ArchiveRepository
from template_svc.archiving.use_cases import Archive, ArchiveStore
from template_svc.errors import (
    NothingToPreview,
    TemplateArchived,
    TemplateExists,
    TemplateNotFound,
    VersionArchived,
    VersionInUse,
    VersionNotFound,
)
from template_svc.library import Library
from template_svc.models import PartialKey, Template, TemplateKey, VersionKey
from template_svc.partials.repository import PartialRepository
from template_svc.repository import TemplateRepository
from template_svc.scheduling import Scheduler, Standing
from template_svc.senders.book import SenderBook
from template_svc.use_cases import Authoring, Rendering, TemplateStore
from tests.template_svc.factories import Clock, make_template, make_version, struct_bytes
from tests.template_svc.fakes import InlineProcesses, MemoryPartials
from tests.template_svc.memory_senders import MemorySenders

KEY = TemplateKey(FIRST_PROJECT, "welcome")
FIRST, SECOND = VersionKey(*KEY, 1), VersionKey(*KEY, 2)
ELSEWHERE = TemplateKey("another", "welcome")


@pytest.fixture
async def template(store: TemplateStore, clock: Clock) -> Template:
    """A template whose first version is published and whose second is not."""
    made = await store.insert(make_template(), clock())
    assert made is not None
    for publish in (True, False):
        await store.add_version(made, make_version(), publish, clock())
    clock.advance(minutes=1)
    return made


@pytest.fixture
def authoring(store: TemplateStore, processes: InlineProcesses, clock: Clock) -> Authoring:
    """The rules over the store."""
    scheduler = Scheduler(processes, Standing(lambda: 0))
    return Authoring(store, MemoryPartials(), Library(store), scheduler, clock, senders=MemorySenders())


async def test_an_archived_template_is_listed_only_where_that_is_asked_for(
    store: TemplateStore, archive: ArchiveStore, template: Template, clock: Clock
) -> None:
    await store.insert(make_template("another-one"), clock())
    archived = await archive.archive(KEY, clock(), "user:ada")
    assert archived is not None
    assert (archived.archive_time, archived.archived_by, archived.update_time) == (clock(), "user:ada", clock())
    assert [each.name for each in await store.list(FIRST_PROJECT, None, None, 10)] == ["another-one"]
    assert [each.name for each in await store.list(FIRST_PROJECT, None, None, 10, archived=True)] == ["another-one", "welcome"]
    clock.advance(minutes=1)
    assert await archive.archive(KEY, clock(), "user:bob") == archived
    restored = await archive.restore(KEY, clock())
    assert restored is not None
    assert (restored.archive_time, restored.archived_by, restored.published_version, restored.update_time) == (None, "", 1, clock())
    assert await archive.restore(KEY, clock()) == restored == await store.find(KEY)


async def test_another_project_can_not_archive(archive: ArchiveStore, template: Template, store: TemplateStore, clock: Clock) -> None:
    assert await archive.archive(ELSEWHERE, clock(), "user:eve") is None
    assert await archive.archive_version(VersionKey(*ELSEWHERE, 2), clock(), "user:eve") is None
    assert await archive.restore(ELSEWHERE, clock()) is await archive.restore_version(VersionKey(*ELSEWHERE, 2)) is None
    assert len(await store.list_versions(KEY, None, 10)) == 2


async def test_an_archived_template_gets_no_versions_and_publishes_none(
    store: TemplateStore, archive: ArchiveStore, template: Template, authoring: Authoring, clock: Clock
) -> None:
    await archive.archive(KEY, clock(), "")
    with pytest.raises(TemplateArchived):
        await store.add_version(template, make_version(), False, clock())
    with pytest.raises(TemplateArchived) as refused:
        await authoring.publish_version(SECOND)
    assert "/v1/templates/welcome:restore" in refused.value.message
    with pytest.raises(TemplateExists, match="restore"):
        await authoring.create_template(make_template())
    await archive.restore(KEY, clock())
    assert (await authoring.publish_version(SECOND)).published_version == 2


async def test_a_description_says_that_a_template_is_archived(
    store: TemplateStore, archive: ArchiveStore, template: Template, clock: Clock
) -> None:
    await archive.archive(KEY, clock(), "")
    [summary] = (await store.describe([KEY])).values()
    assert summary.template is not None
    assert summary.template.archive_time == clock()


async def test_what_was_accepted_before_is_rendered(
    store: TemplateStore, archive: ArchiveStore, template: Template, processes: InlineProcesses, clock: Clock
) -> None:
    """Its version is pinned, so that neither an archived template nor an archived version changes anything for it."""
    await archive.archive_version(SECOND, clock(), "")
    await archive.archive(KEY, clock(), "")
    found = await store.load([FIRST, SECOND])
    assert found.keys() == {FIRST, SECOND}
    rendering = Rendering(store, Library(store), Scheduler(processes, Standing(lambda: 0)), SenderBook(MemorySenders()))
    assert (await rendering.preview(KEY, 2, "en", struct_bytes({"name": "Ada"}))).version == 2


async def test_an_archived_version_is_not_listed_published_or_previewed_unasked(
    store: TemplateStore, archive: ArchiveStore, template: Template, authoring: Authoring, processes: InlineProcesses, clock: Clock
) -> None:
    archived = await archive.archive_version(SECOND, clock(), "user:ada")
    assert archived is not None
    assert (archived.archive_time, archived.archived_by) == (clock(), "user:ada")
    assert [each.version for each in await store.list_versions(KEY, None, 10)] == [1]
    assert [each.version for each in await store.list_versions(KEY, None, 10, archived=True)] == [2, 1]
    assert await store.find_version(SECOND) == archived
    with pytest.raises(VersionArchived, match="versions/2:restore"):
        await authoring.publish_version(SECOND)
    restored = await archive.restore_version(SECOND)
    assert restored is not None
    assert restored.archive_time is None
    assert (await authoring.publish_version(SECOND)).published_version == 2
    draft = await store.insert(make_template("draft"), clock())
    assert draft is not None
    await store.add_version(draft, make_version(), False, clock())
    await archive.archive_version(VersionKey(*draft.key, 1), clock(), "")
    rendering = Rendering(store, Library(store), Scheduler(processes, Standing(lambda: 0)), SenderBook(MemorySenders()))
    with pytest.raises(NothingToPreview):
        await rendering.preview(draft.key, 0, "en", struct_bytes({"name": "Ada"}))


async def test_the_version_in_use_can_not_be_archived(
    store: TemplateStore, archive: ArchiveStore, template: Template, clock: Clock
) -> None:
    with pytest.raises(VersionInUse):
        await archive.archive_version(FIRST, clock(), "")


@pytest.mark.processes
async def test_a_version_is_never_both_archived_and_in_use(database: Database, clock: Clock) -> None:
    """Whichever of the two comes first, the other is refused."""
    store, archive = TemplateRepository(database), ArchiveRepository(database)
    made = await store.insert(make_template(), clock())
    assert made is not None
    for number in range(1, 11):
        await store.add_version(made, make_version(), False, clock())
        key = VersionKey(*KEY, number)
        results = await asyncio.gather(archive.archive_version(key, clock(), ""), store.publish(key, clock()), return_exceptions=True)
        refused = [result for result in results if isinstance(result, VersionInUse | VersionArchived)]
        assert len(refused) == 1, results


async def test_what_does_not_exist_is_named(archive: ArchiveStore, template: Template, clock: Clock) -> None:
    desk = Archive(archive, clock)
    for unknown in (ELSEWHERE, TemplateKey(FIRST_PROJECT, "a\0b")):
        with pytest.raises(TemplateNotFound):
            await desk.archive_template(unknown)
        with pytest.raises(TemplateNotFound):
            await desk.restore_version(VersionKey(*unknown, 1))
    with pytest.raises(VersionNotFound):
        await desk.archive_version(VersionKey(*KEY, 7))


@pytest.mark.processes
async def test_partials_are_not_held_by_archived_templates(database: Database, clock: Clock) -> None:
    """So that a rebuild leaves them as they are."""
    store, archive, partials = TemplateRepository(database), ArchiveRepository(database), PartialRepository(database)
    made = await store.insert(make_template(), clock())
    assert made is not None
    await store.add_version(made, make_version(partials={"footer": 1}), True, clock())
    footer = PartialKey(FIRST_PROJECT, "footer")
    assert [use.template for use in await partials.uses(footer, below=None, limit=10)] == ["welcome"]
    await archive.archive(KEY, clock(), "")
    assert await partials.uses(footer, below=None, limit=10) == []


async def test_a_name_that_is_deleted_while_archived_is_free(
    store: TemplateStore, archive: ArchiveStore, template: Template, clock: Clock
) -> None:
    await archive.archive(KEY, clock(), "user:ada")
    await store.delete(KEY, clock())
    again = await store.insert(make_template(), clock())
    assert again is not None
    assert (again.archive_time, again.archived_by) == (None, "")
