"""What a template is can be changed, by the state that was seen, and nothing else of it; on the fake and on PostgreSQL."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from mesh.context import FIRST_PROJECT
from mesh.etag import EtagMismatch
from template_svc.archiving.use_cases import ArchiveStore
from template_svc.errors import TemplateArchived
from template_svc.models import OnUnknown, Template, TemplateChange, TemplateKey, VersionKey
from template_svc.use_cases import TemplateStore
from tests.template_svc.factories import Clock, make_template, make_version

KEY = TemplateKey(FIRST_PROJECT, "welcome")


@pytest.fixture
async def template(store: TemplateStore, clock: Clock) -> Template:
    """A template with a published version, a minute ago."""
    made = await store.insert(make_template(category="news", description="Weekly"), clock())
    assert made is not None
    await store.add_version(made, make_version(), True, clock())
    found = await store.find(KEY)
    assert found is not None
    clock.advance(minutes=1)
    return found


async def test_what_is_given_changes_and_the_rest_stays(store: TemplateStore, template: Template, clock: Clock) -> None:
    changed = await store.change(KEY, TemplateChange(category="billing", mandatory=True), clock())
    assert changed == replace(template, category="billing", mandatory=True, update_time=clock())
    assert await store.find(KEY) == changed
    described = (await store.describe([KEY]))[KEY].template
    assert described == changed
    assert changed is not None
    assert changed.etag != template.etag
    cleared = await store.change(KEY, TemplateChange("", "", False, OnUnknown.HOLD), clock())
    assert cleared is not None
    assert (cleared.category, cleared.description, cleared.mandatory, cleared.on_unknown) == ("", "", False, OnUnknown.HOLD)


async def test_what_is_so_already_is_no_change(store: TemplateStore, template: Template, clock: Clock) -> None:
    assert await store.change(KEY, TemplateChange(category="news", on_unknown=OnUnknown.RESEND), clock()) == template
    assert await store.change(KEY, TemplateChange(), clock()) == template


async def test_a_change_hits_the_state_that_was_seen(store: TemplateStore, template: Template, clock: Clock) -> None:
    await store.change(KEY, TemplateChange(description="seen"), clock(), etag=template.etag)
    with pytest.raises(EtagMismatch):
        await store.change(KEY, TemplateChange(description="lost"), clock(), etag=template.etag)
    found = await store.find(KEY)
    assert found is not None
    assert found.description == "seen"
    # the answer to the first try may have been lost
    assert await store.change(KEY, TemplateChange(description="seen"), clock(), etag=template.etag) == found


async def test_of_changes_at_once_by_one_state_one_is_made(store: TemplateStore, template: Template, clock: Clock) -> None:
    def change(name: str) -> Any:
        return store.change(KEY, TemplateChange(category=name), clock(), etag=template.etag)

    results = await asyncio.gather(*map(change, "abcd"), return_exceptions=True)
    assert sorted(type(each).__name__ for each in results) == ["EtagMismatch"] * 3 + ["Template"]


async def test_a_state_is_another_one_once_something_is_published(store: TemplateStore, template: Template, clock: Clock) -> None:
    """The tag is that of the whole answer, which says what is published."""
    await store.add_version(template, make_version(), False, clock())
    drafted = await store.find(KEY)
    published = await store.publish(VersionKey(*KEY, 2), clock())
    assert drafted is not None
    assert published is not None
    assert len({template.etag, drafted.etag, published.etag}) == 3


async def test_what_is_not_there_or_archived_is_not_changed(
    store: TemplateStore, archive: ArchiveStore, template: Template, clock: Clock
) -> None:
    assert await store.change(TemplateKey("another", "welcome"), TemplateChange(category="x"), clock()) is None
    assert await store.change(TemplateKey(FIRST_PROJECT, "other"), TemplateChange(category="x"), clock()) is None
    await archive.archive(KEY, clock(), "")
    with pytest.raises(TemplateArchived):
        await store.change(KEY, TemplateChange(category="x"), clock())
    await store.delete(KEY, clock())
    assert await store.change(KEY, TemplateChange(category="x"), clock()) is None
