"""Who made a version, which versions came into use, by whom and why; on the fake and on PostgreSQL."""

import asyncio

import pytest

from mesh.context import FIRST_PROJECT
from template_svc.errors import PublishedMeanwhile
from template_svc.models import Mark, Template, TemplateKey, VersionKey
from template_svc.use_cases import TemplateStore
from tests.template_svc.factories import Clock, make_template, make_version

KEY = TemplateKey(FIRST_PROJECT, "welcome")
ADA, BOB = Mark("user:ada", "a new greeting"), Mark("api_key:bob", "the old one was better")


async def insert(store: TemplateStore, clock: Clock) -> Template:
    template = await store.insert(make_template(), clock())
    assert template is not None
    return template


async def test_a_version_says_who_made_it_and_why(store: TemplateStore, clock: Clock) -> None:
    template = await insert(store, clock)
    made = await store.add_version(template, make_version(), False, clock(), ADA)
    found = await store.find_version(VersionKey(*KEY, 1))
    assert made is not None
    assert found is not None
    assert (made.created_by, made.note) == (found.created_by, found.note) == ADA
    assert await store.list_publications(KEY, None, 10) == []


async def test_each_version_that_comes_into_use_is_in_the_history(store: TemplateStore, clock: Clock) -> None:
    """Publishing what is in use already is none; a deleted template's history goes with it."""
    template = await insert(store, clock)
    await store.add_version(template, make_version(), True, clock(), ADA)
    clock.advance(minutes=1)
    await store.add_version(template, make_version(), True, clock())
    clock.advance(minutes=1)
    await store.publish(VersionKey(*KEY, 1), clock(), BOB)
    await store.publish(VersionKey(*KEY, 1), clock(), ADA)
    found = await store.list_publications(KEY, None, 10)
    assert [(one.version, one.previous_version, one.mark) for one in found] == [(1, 2, BOB), (2, 1, Mark()), (1, 0, ADA)]
    assert found[0].publish_time == clock()
    assert await store.list_publications(KEY, found[0].id, 1) == [found[1]]
    assert await store.list_publications(TemplateKey("another", "welcome"), None, 10) == []
    await store.delete(KEY, clock())
    await insert(store, clock)
    assert await store.list_publications(KEY, None, 10) == []


async def test_what_was_published_meanwhile_is_not_lost(store: TemplateStore, clock: Clock) -> None:
    template = await insert(store, clock)
    for _ in range(3):
        await store.add_version(template, make_version(), False, clock())
    await store.publish(VersionKey(*KEY, 1), clock())
    results = await asyncio.gather(
        *(store.publish(VersionKey(*KEY, version), clock(), instead_of=1) for version in (2, 3)), return_exceptions=True
    )
    assert sum(isinstance(result, PublishedMeanwhile) for result in results) == 1
    assert len(await store.list_publications(KEY, None, 10)) == 2
    with pytest.raises(PublishedMeanwhile) as refused:
        await store.publish(VersionKey(*KEY, 1), clock(), instead_of=1)
    assert refused.value.metadata["version"] in {"2", "3"}
    # the answer to the first try may have been lost
    again = await store.publish(VersionKey(*KEY, int(refused.value.metadata["version"])), clock(), instead_of=1)
    assert again is not None
    assert len(await store.list_publications(KEY, None, 10)) == 2
