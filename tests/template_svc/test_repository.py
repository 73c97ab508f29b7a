"""One contract for the store in memory and the one in PostgreSQL."""

import asyncio
from dataclasses import replace

from sqlalchemy import text

from mesh.context import FIRST_PROJECT
from mesh.stores.database import Database
from template_svc.models import Channel, OnUnknown, StoredVersion, Template, TemplateKey, TemplateSummary, VersionKey
from template_svc.repository import TemplateRepository
from template_svc.use_cases import TemplateStore
from tests.template_svc.factories import EMAIL, PUSH, Clock, make_template, make_version


async def insert(store: TemplateStore, clock: Clock, name: str = "welcome") -> Template:
    template = await store.insert(make_template(name), clock())
    assert template is not None
    return template


async def test_a_template_is_found_as_it_was_made(store: TemplateStore, clock: Clock) -> None:
    new = make_template(
        "otp",
        channel=Channel.PUSH,
        category="security",
        description="Códigos\n",
        mandatory=True,
        on_unknown=OnUnknown.HOLD,
        default_locale="pt-BR",
    )
    made = await store.insert(new, clock())
    assert made is not None
    assert await store.find(TemplateKey(FIRST_PROJECT, "otp")) == made
    assert (made.default_locale, made.published_version, made.latest_version) == ("pt-BR", 0, 0)
    assert made.create_time == made.update_time == clock()
    assert await store.find(TemplateKey(FIRST_PROJECT, "other")) is None


async def test_a_name_is_taken_once(store: TemplateStore, clock: Clock) -> None:
    results = await asyncio.gather(*(store.insert(make_template(), clock()) for _ in range(5)))
    assert sum(result is not None for result in results) == 1


async def test_templates_are_listed_in_the_order_of_their_bytes(store: TemplateStore, clock: Clock) -> None:
    for name in ("b", "a-b", "a_b", "a.b", "10", "9"):
        await insert(store, clock, name)
    await store.insert(make_template("push", channel=Channel.PUSH), clock())
    assert [template.name for template in await store.list(FIRST_PROJECT, None, None, 10)] == ["10", "9", "a-b", "a.b", "a_b", "b", "push"]
    assert [template.name for template in await store.list(FIRST_PROJECT, None, "a-b", 2)] == ["a.b", "a_b"]
    assert [template.name for template in await store.list(FIRST_PROJECT, Channel.PUSH, None, 10)] == ["push"]


async def test_versions_are_numbered_from_one_and_found_as_they_were_made(store: TemplateStore, clock: Clock) -> None:
    template = await insert(store, clock)
    clock.advance(minutes=1)
    first = await store.add_version(template, make_version(), False, clock())
    second = await store.add_version(template, make_version(contents={"en": EMAIL, "pt": EMAIL}), True, clock())
    assert first is not None
    assert second is not None
    assert (first.version, first.published, second.version, second.published) == (1, False, 2, True)
    assert await store.find_version(VersionKey(FIRST_PROJECT, "welcome", 2)) == second
    assert await store.list_versions(TemplateKey(FIRST_PROJECT, "welcome"), None, 10) == [second, first]
    assert await store.list_versions(TemplateKey(FIRST_PROJECT, "welcome"), 2, 10) == [first]
    assert await store.list_versions(TemplateKey(FIRST_PROJECT, "welcome"), None, 1) == [second]
    assert await store.find_version(VersionKey(FIRST_PROJECT, "welcome", 3)) is None
    found = await store.find(TemplateKey(FIRST_PROJECT, "welcome"))
    assert found == replace(template, published_version=2, latest_version=2, update_time=clock())


async def test_versions_made_at_the_same_time_get_different_numbers(store: TemplateStore, clock: Clock) -> None:
    template = await insert(store, clock)
    made = await asyncio.gather(*(store.add_version(template, make_version(), False, clock()) for _ in range(5)))
    assert sorted(version.version for version in made if version is not None) == [1, 2, 3, 4, 5]


async def test_publishing_an_older_version_rolls_back(store: TemplateStore, clock: Clock) -> None:
    template = await insert(store, clock)
    await store.add_version(template, make_version(), True, clock())
    await store.add_version(template, make_version(), True, clock())
    published = await store.publish(VersionKey(FIRST_PROJECT, "welcome", 1), clock())
    assert published is not None
    assert (published.published_version, published.latest_version) == (1, 2)
    assert [version.published for version in await store.list_versions(TemplateKey(FIRST_PROJECT, "welcome"), None, 10)] == [False, True]
    assert await store.publish(VersionKey(FIRST_PROJECT, "welcome", 9), clock()) is None
    assert await store.publish(VersionKey(FIRST_PROJECT, "other", 1), clock()) is None


async def test_a_deleted_template_leaves_nothing_but_its_numbers(store: TemplateStore, clock: Clock) -> None:
    """A number never means two texts: other processes keep compiled texts by name and number."""
    template = await insert(store, clock)
    await store.add_version(template, make_version(), True, clock())
    assert await store.delete(TemplateKey(FIRST_PROJECT, "welcome"), clock())
    assert not await store.delete(TemplateKey(FIRST_PROJECT, "welcome"), clock())
    assert await store.find(TemplateKey(FIRST_PROJECT, "welcome")) is None
    assert await store.list(FIRST_PROJECT, None, None, 10) == []
    assert await store.find_version(VersionKey(FIRST_PROJECT, "welcome", 1)) is None
    assert await store.load([VersionKey(FIRST_PROJECT, "welcome", 1)]) == {}
    assert await store.describe([TemplateKey(FIRST_PROJECT, "welcome")]) == {}
    assert await store.publish(VersionKey(FIRST_PROJECT, "welcome", 1), clock()) is None
    clock.advance(minutes=1)
    again = await store.insert(make_template(channel=Channel.PUSH), clock())
    assert again is not None
    assert (again.channel, again.latest_version, again.published_version, again.create_time) == (Channel.PUSH, 0, 0, clock())
    version = await store.add_version(again, make_version(contents={"en": PUSH}), False, clock())
    assert version is not None
    assert version.version == 2


async def test_a_version_made_for_a_template_that_was_replaced_meanwhile_is_not_kept(store: TemplateStore, clock: Clock) -> None:
    old = await insert(store, clock)
    await store.delete(TemplateKey(FIRST_PROJECT, "welcome"), clock())
    assert await store.add_version(old, make_version(), True, clock()) is None
    clock.advance(minutes=1)
    await store.insert(make_template(channel=Channel.PUSH), clock())
    assert await store.add_version(old, make_version(), True, clock()) is None


async def test_versions_of_many_templates_are_loaded_together(store: TemplateStore, clock: Clock) -> None:
    contents = {"en": PUSH, "pt": PUSH}
    mail, push = await insert(store, clock), await store.insert(make_template("push", channel=Channel.PUSH), clock())
    assert push is not None
    await store.add_version(mail, make_version(), False, clock())
    await store.add_version(push, make_version(contents=contents, required_variables=("count", "name")), False, clock())
    keys = [
        VersionKey(FIRST_PROJECT, "push", 1),
        VersionKey(FIRST_PROJECT, "welcome", 1),
        VersionKey(FIRST_PROJECT, "welcome", 2),
        VersionKey(FIRST_PROJECT, "none", 1),
    ]
    assert await store.load(keys) == {
        VersionKey(FIRST_PROJECT, "welcome", 1): StoredVersion(Channel.EMAIL, "en", {"en": EMAIL}, ("name",)),
        VersionKey(FIRST_PROJECT, "push", 1): StoredVersion(Channel.PUSH, "en", contents, ("count", "name")),
    }
    assert await store.load([]) == {}


async def test_templates_are_described_by_their_published_version(store: TemplateStore, clock: Clock) -> None:
    template = await insert(store, clock)
    await insert(store, clock, "unpublished")
    await store.add_version(template, make_version(contents={"pt": EMAIL, "en": EMAIL}), True, clock())
    await store.add_version(template, make_version(required_variables=("other",)), False, clock())
    described = await store.describe([TemplateKey(FIRST_PROJECT, name) for name in ("welcome", "unpublished", "none")])
    welcome, unpublished = (
        await store.find(TemplateKey(FIRST_PROJECT, "welcome")),
        await store.find(TemplateKey(FIRST_PROJECT, "unpublished")),
    )
    assert described == {
        TemplateKey(FIRST_PROJECT, "welcome"): TemplateSummary("welcome", welcome, ("name",), ("en", "pt")),
        TemplateKey(FIRST_PROJECT, "unpublished"): TemplateSummary("unpublished", unpublished, (), ()),
    }


async def test_lists_are_read_from_their_indexes(database: Database, clock: Clock) -> None:
    """Keyset pages stay fast however many templates there are."""
    repository = TemplateRepository(database)
    for number in range(100):
        channel = Channel.PUSH if number % 2 else Channel.EMAIL
        await repository.insert(make_template(f"t{number:03}", channel=channel), clock())
    listing = "SELECT * FROM templates WHERE project = 'default' AND name > 't010' AND delete_time IS NULL"
    queries = {
        "templates_pkey": f"{listing} ORDER BY name LIMIT 10",
        "templates_by_channel": f"{listing} AND channel = 'email' ORDER BY name LIMIT 10",
        "template_versions_pkey": "SELECT * FROM template_versions WHERE project = 'default' AND template = 't1' AND version < 5 "
        "ORDER BY version DESC LIMIT 10",
    }
    async with database.begin() as connection:
        await connection.execute(text("ANALYZE templates"))
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        for index, query in queries.items():
            plan = "\n".join((await connection.execute(text(f"EXPLAIN {query}"))).scalars())
            assert index in plan
            assert "Sort" not in plan


async def test_any_number_of_names_is_one_question(database: Database, statements: list[str], clock: Clock) -> None:
    repository = TemplateRepository(database)
    await repository.load([VersionKey(FIRST_PROJECT, f"t{number}", 1) for number in range(200)])
    await repository.describe([TemplateKey(FIRST_PROJECT, f"t{number}") for number in range(200)])
    assert len(statements) == 2
