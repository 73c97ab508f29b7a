"""The rules, over the store in memory."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest

from mesh.errors import InvalidArgument, ServiceError
from template_svc.contents import ContentChecker
from template_svc.cpu_limit import CpuLimit
from template_svc.errors import (
    InvalidContents,
    MissingVariable,
    NothingToPreview,
    RenderTooSlow,
    TemplateExists,
    TemplateNotFound,
    VersionNotFound,
)
from template_svc.library import Library
from template_svc.models import Channel, Content, Rendered, RenderRequest, TemplateSummary, VersionKey
from template_svc.quarantine import STRIKES, Quarantine
from template_svc.renderer import Compiler, Renderer
from template_svc.use_cases import Authoring, Rendering
from tests.template_svc.factories import EMAIL, PUSH, Clock, make_template
from tests.template_svc.fakes import MemoryTemplates


@dataclass(frozen=True)
class Desk:
    """Both use cases over one store."""

    store: MemoryTemplates
    authoring: Authoring
    rendering: Rendering
    clock: Clock

    async def publish(self, contents: Mapping[str, Content], name: str = "welcome", channel: Channel = Channel.EMAIL) -> None:
        """Makes a template with these contents, and publishes them."""
        await self.authoring.create_template(make_template(name, channel=channel))
        await self.authoring.create_version(name, contents, True)


@pytest.fixture
def desk(limit: CpuLimit, checking: ThreadPoolExecutor, clock: Clock) -> Desk:
    """An empty store."""
    store, renderer = MemoryTemplates(), Renderer(limit)
    library = Library(store, renderer)
    authoring = Authoring(store, library, ContentChecker(checking, Compiler()), clock)
    return Desk(store, authoring, Rendering(store, library, renderer, Quarantine(lambda: clock().timestamp())), clock)


def request(name: str = "welcome", version: int = 1, locale: str = "en", /, **variables: Any) -> RenderRequest:
    return RenderRequest(VersionKey(name, version), locale, variables)


async def test_a_new_template_is_english_unless_it_says_otherwise(desk: Desk) -> None:
    assert (await desk.authoring.create_template(make_template(default_locale=""))).default_locale == "en"
    assert (await desk.authoring.create_template(make_template("other", default_locale="PT_br"))).default_locale == "pt-BR"


async def test_a_default_locale_that_does_not_exist_is_refused(desk: Desk) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await desk.authoring.create_template(make_template(default_locale="xx-YY"))
    assert caught.value.violations[0].field == "default_locale"


async def test_what_postgresql_could_not_keep_is_refused(desk: Desk) -> None:
    with pytest.raises(InvalidArgument):
        await desk.authoring.create_template(make_template(description="a\0b"))
    with pytest.raises(TemplateNotFound):
        await desk.authoring.get_template("a\0b")
    with pytest.raises(TemplateNotFound):
        await desk.authoring.publish_version(VersionKey("a\0b", 1))
    assert [type(result) for result in await desk.rendering.render_batch([request("a\0b")])] == [VersionNotFound]
    assert await desk.rendering.describe(["a\0b"]) == [TemplateSummary("a\0b")]


async def test_a_name_is_taken_once(desk: Desk) -> None:
    await desk.authoring.create_template(make_template())
    with pytest.raises(TemplateExists) as caught:
        await desk.authoring.create_template(make_template())
    assert caught.value.violations[0].field == "name"


async def test_pages_follow_each_other_without_gap_or_overlap(desk: Desk) -> None:
    names = [f"t{number}" for number in range(7)]
    for name in names:
        await desk.authoring.create_template(make_template(name))
    seen, token = [], ""
    while True:
        page = await desk.authoring.list_templates(None, 3, token)
        seen += [template.name for template in page.items]
        token = page.next_token
        if not token:
            break
    assert seen == names
    with pytest.raises(InvalidArgument):
        await desk.authoring.list_templates(Channel.PUSH, 3, (await desk.authoring.list_templates(None, 3, "")).next_token)


async def test_versions_are_listed_newest_first(desk: Desk) -> None:
    await desk.authoring.create_template(make_template())
    for _ in range(12):
        await desk.authoring.create_version("welcome", {"en": EMAIL}, False)
    page = await desk.authoring.list_versions("welcome", 0, "")
    assert [version.version for version in page.items] == list(range(12, 2, -1))
    rest = await desk.authoring.list_versions("welcome", 0, page.next_token)
    assert ([version.version for version in rest.items], rest.next_token) == ([2, 1], "")
    with pytest.raises(TemplateNotFound):
        await desk.authoring.list_versions("other", 0, "")


async def test_a_version_is_checked_for_the_channel_and_locale_of_its_template(desk: Desk) -> None:
    await desk.authoring.create_template(make_template(channel=Channel.PUSH, default_locale="pt"))
    with pytest.raises(InvalidContents):
        await desk.authoring.create_version("welcome", {"pt": EMAIL}, False)
    with pytest.raises(InvalidContents):
        await desk.authoring.create_version("welcome", {"en": PUSH}, False)
    version = await desk.authoring.create_version("welcome", {"PT": PUSH}, False)
    assert (version.required_variables, version.published) == (("count", "name"), False)
    with pytest.raises(TemplateNotFound):
        await desk.authoring.create_version("other", {"en": PUSH}, False)


async def test_publishing_and_rolling_back(desk: Desk) -> None:
    await desk.publish({"en": EMAIL})
    await desk.authoring.create_version("welcome", {"en": replace(EMAIL, subject="New")}, False)
    assert (await desk.authoring.publish_version(VersionKey("welcome", 2))).published_version == 2
    assert (await desk.authoring.publish_version(VersionKey("welcome", 1))).published_version == 1
    assert (await desk.authoring.get_version(VersionKey("welcome", 1))).published
    with pytest.raises(VersionNotFound):
        await desk.authoring.publish_version(VersionKey("welcome", 3))
    with pytest.raises(VersionNotFound):
        await desk.authoring.get_version(VersionKey("welcome", 3))
    with pytest.raises(TemplateNotFound):
        await desk.authoring.get_version(VersionKey("other", 1))


async def test_each_item_of_a_batch_has_its_own_outcome(desk: Desk) -> None:
    await desk.publish({"en": EMAIL, "pt-BR": replace(EMAIL, subject="Olá {{ name }}")})
    await desk.publish({"en": PUSH}, "push", Channel.PUSH)
    first, other, missing, push, none, unknown = await desk.rendering.render_batch(
        [
            request(name="Ada"),
            request("welcome", 1, "pt-PT", name="Ada"),
            request(),
            request("push", 1, "en", name="Ada", count=2),
            request("welcome", 9, "en", name="Ada"),
            request("none", 1),
        ]
    )
    assert isinstance(first, Rendered)
    assert (first.content.subject, first.locale, first.version) == ("Hello Ada", "en", 1)
    assert isinstance(other, Rendered)
    assert (other.content.subject, other.locale) == ("Olá Ada", "pt-BR")
    assert isinstance(missing, MissingVariable)
    assert missing.violations[0].field == "variables.name"
    assert isinstance(push, Rendered)
    assert push.content == Content(title="Hello Ada", body="You have 2 messages", data={"link": "app://inbox/2"})
    assert isinstance(none, VersionNotFound)
    assert isinstance(unknown, VersionNotFound)


async def test_a_version_is_read_from_the_store_once(desk: Desk) -> None:
    await desk.publish({"en": EMAIL})
    for _ in range(3):
        await desk.rendering.render_batch([request(name="Ada")] * 5)
    assert desk.store.loads == 1


async def test_a_long_batch_lets_other_work_in_between(desk: Desk) -> None:
    """A health check must not wait for 200 slow renderings."""
    slow = "{% for i in range(3000) %}{{ i }}{% endfor %}"
    await desk.publish({"en": replace(EMAIL, text=slow)})
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await desk.rendering.render_batch([request(name="Ada")] * 50)
    counting.cancel()
    assert turns > 5


async def test_a_template_that_never_ends_does_not_use_up_its_batch(desk: Desk) -> None:
    """After three stops it is refused at once, for a minute; its neighbours are rendered all along."""
    endless = "{% for i in range(turns) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    await desk.publish({"en": replace(EMAIL, text=endless)}, "endless")
    await desk.publish({"en": EMAIL})
    bad, good = request("endless", 1, "en", turns=99999, name="Ada"), request(name="Ada")
    results = await desk.rendering.render_batch([bad, good] * 20)
    assert [type(result) for result in results] == [RenderTooSlow, Rendered] * 20
    held = [result for result in results if isinstance(result, RenderTooSlow) and "held" in result.message]
    assert len(held) == 20 - STRIKES
    harmless = request("endless", 1, "en", turns=1, name="Ada")
    assert isinstance((await desk.rendering.render_batch([harmless]))[0], RenderTooSlow)
    desk.clock.advance(seconds=61)
    assert isinstance((await desk.rendering.render_batch([harmless]))[0], Rendered)


async def test_a_template_that_is_made_again_is_never_served_with_its_old_text(desk: Desk) -> None:
    await desk.publish({"en": EMAIL})
    await desk.rendering.render_batch([request(name="Ada")])
    await desk.authoring.delete_template("welcome")
    desk.clock.advance(seconds=1)
    await desk.publish({"en": replace(EMAIL, subject="Other")})
    summary = (await desk.rendering.describe(["welcome"]))[0]
    assert summary.template is not None
    old, new = await desk.rendering.render_batch([request(name="Ada"), request("welcome", summary.template.published_version, name="Ada")])
    assert isinstance(old, VersionNotFound)
    assert isinstance(new, Rendered)
    assert new.content.subject == "Other"
    with pytest.raises(TemplateNotFound):
        await desk.authoring.delete_template("none")


async def test_a_preview_shows_the_published_version_and_before_that_the_latest(desk: Desk) -> None:
    await desk.authoring.create_template(make_template())
    with pytest.raises(NothingToPreview):
        await desk.rendering.preview("welcome", 0, "", {})
    await desk.authoring.create_version("welcome", {"en": EMAIL}, False)
    await desk.authoring.create_version("welcome", {"en": EMAIL}, False)
    assert (await desk.rendering.preview("welcome", 0, "", {"name": "Ada"})).version == 2
    await desk.authoring.publish_version(VersionKey("welcome", 1))
    assert (await desk.rendering.preview("welcome", 0, "de", {"name": "Ada"})).version == 1
    assert (await desk.rendering.preview("welcome", 2, "", {"name": "Ada"})).version == 2
    for name, version, error in (("none", 0, TemplateNotFound), ("welcome", 3, VersionNotFound), ("welcome", 1, MissingVariable)):
        with pytest.raises(error):
            await desk.rendering.preview(name, version, "", {})


async def test_a_preview_is_what_a_send_produces(desk: Desk) -> None:
    await desk.publish({"en": EMAIL})
    preview = await desk.rendering.preview("welcome", 1, "fr", {"name": "A & B"})
    assert await desk.rendering.render_batch([request("welcome", 1, "fr", name="A & B")]) == [preview]


async def test_descriptions_come_in_the_order_of_the_names(desk: Desk) -> None:
    await desk.publish({"en": EMAIL, "pt": EMAIL})
    none, welcome, again = await desk.rendering.describe(["none", "welcome", "welcome"])
    assert none == TemplateSummary("none")
    assert welcome == again
    assert (welcome.required_variables, welcome.locales) == (("name",), ("en", "pt"))


async def test_a_store_that_is_down_fails_the_batch_and_not_its_items(desk: Desk) -> None:
    """An item's error says that trying again is of no use, which would be wrong here."""

    class Down(MemoryTemplates):
        async def load(self, keys: object) -> Any:
            raise ServiceError("down")

    renderer = Renderer(CpuLimit(1))
    rendering = Rendering(Down(), Library(Down(), renderer), renderer, Quarantine(lambda: 0))
    with pytest.raises(ServiceError, match="down"):
        await rendering.render_batch([request()])
