"""The rules, over the store in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from mesh.context import FIRST_PROJECT
from mesh.errors import InvalidArgument, ServiceError
from template_svc.errors import (
    InvalidContents,
    MissingVariable,
    NothingToPreview,
    TemplateExists,
    TemplateNotFound,
    VersionNotFound,
)
from template_svc.library import Library
from template_svc.models import Channel, Content, Rendered, RenderRequest, TemplateKey, TemplateSummary, VersionKey
from template_svc.scheduling import Lane, Scheduler, Standing
from template_svc.senders.book import SenderBook
from template_svc.use_cases import Authoring, Rendering
from tests.template_svc.factories import EMAIL, PUSH, Clock, content_of, make_template, struct_bytes
from tests.template_svc.fakes import InlineProcesses, MemoryPartials, MemoryTemplates
from tests.template_svc.memory_senders import MemorySenders


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
        await self.authoring.create_version(TemplateKey(FIRST_PROJECT, name), contents, True)


@pytest.fixture
def desk(processes: InlineProcesses, clock: Clock) -> Desk:
    """An empty store."""
    store = MemoryTemplates()
    library, scheduler = Library(store), Scheduler(processes, Standing(lambda: clock().timestamp()))
    senders = MemorySenders()
    authoring = Authoring(store, MemoryPartials(), library, scheduler, clock, senders=senders)
    return Desk(store, authoring, Rendering(store, library, scheduler, SenderBook(senders)), clock)


def request(name: str = "welcome", version: int = 1, locale: str = "en", /, **variables: Any) -> RenderRequest:
    return RenderRequest(VersionKey(FIRST_PROJECT, name, version), locale, struct_bytes(variables))


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
        await desk.authoring.get_template(TemplateKey(FIRST_PROJECT, "a\0b"))
    with pytest.raises(TemplateNotFound):
        await desk.authoring.publish_version(VersionKey(FIRST_PROJECT, "a\0b", 1))
    assert [type(result) for result in await desk.rendering.render_batch([request("a\0b")])] == [VersionNotFound]
    assert await desk.rendering.describe([TemplateKey(FIRST_PROJECT, "a\0b")]) == [TemplateSummary("a\0b")]


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
        page = await desk.authoring.list_templates(FIRST_PROJECT, None, 3, token)
        seen += [template.name for template in page.items]
        token = page.next_token
        if not token:
            break
    assert seen == names
    with pytest.raises(InvalidArgument):
        await desk.authoring.list_templates(
            FIRST_PROJECT, Channel.PUSH, 3, (await desk.authoring.list_templates(FIRST_PROJECT, None, 3, "")).next_token
        )


async def test_versions_are_listed_newest_first(desk: Desk) -> None:
    await desk.authoring.create_template(make_template())
    for _ in range(12):
        await desk.authoring.create_version(TemplateKey(FIRST_PROJECT, "welcome"), {"en": EMAIL}, False)
    page = await desk.authoring.list_versions(TemplateKey(FIRST_PROJECT, "welcome"), 0, "")
    assert [version.version for version in page.items] == list(range(12, 2, -1))
    rest = await desk.authoring.list_versions(TemplateKey(FIRST_PROJECT, "welcome"), 0, page.next_token)
    assert ([version.version for version in rest.items], rest.next_token) == ([2, 1], "")
    with pytest.raises(TemplateNotFound):
        await desk.authoring.list_versions(TemplateKey(FIRST_PROJECT, "other"), 0, "")


async def test_a_version_is_checked_for_the_channel_and_locale_of_its_template(desk: Desk) -> None:
    await desk.authoring.create_template(make_template(channel=Channel.PUSH, default_locale="pt"))
    with pytest.raises(InvalidContents):
        await desk.authoring.create_version(TemplateKey(FIRST_PROJECT, "welcome"), {"pt": EMAIL}, False)
    with pytest.raises(InvalidContents):
        await desk.authoring.create_version(TemplateKey(FIRST_PROJECT, "welcome"), {"en": PUSH}, False)
    version = await desk.authoring.create_version(TemplateKey(FIRST_PROJECT, "welcome"), {"PT": PUSH}, False)
    assert (version.required_variables, version.published) == (("count", "name"), False)
    with pytest.raises(TemplateNotFound):
        await desk.authoring.create_version(TemplateKey(FIRST_PROJECT, "other"), {"en": PUSH}, False)


async def test_publishing_and_rolling_back(desk: Desk) -> None:
    await desk.publish({"en": EMAIL})
    await desk.authoring.create_version(TemplateKey(FIRST_PROJECT, "welcome"), {"en": replace(EMAIL, subject="New")}, False)
    assert (await desk.authoring.publish_version(VersionKey(FIRST_PROJECT, "welcome", 2))).published_version == 2
    assert (await desk.authoring.publish_version(VersionKey(FIRST_PROJECT, "welcome", 1))).published_version == 1
    assert (await desk.authoring.get_version(VersionKey(FIRST_PROJECT, "welcome", 1))).published
    with pytest.raises(VersionNotFound):
        await desk.authoring.publish_version(VersionKey(FIRST_PROJECT, "welcome", 3))
    with pytest.raises(VersionNotFound):
        await desk.authoring.get_version(VersionKey(FIRST_PROJECT, "welcome", 3))
    with pytest.raises(TemplateNotFound):
        await desk.authoring.get_version(VersionKey(FIRST_PROJECT, "other", 1))


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
    assert (content_of(first).subject, first.locale, first.version) == ("Hello Ada", "en", 1)
    assert isinstance(other, Rendered)
    assert (content_of(other).subject, other.locale) == ("Olá Ada", "pt-BR")
    assert isinstance(missing, MissingVariable)
    assert missing.violations[0].field == "variables.name"
    assert isinstance(push, Rendered)
    assert content_of(push) == Content(title="Hello Ada", body="You have 2 messages", data={"link": "app://inbox/2"})
    assert isinstance(none, VersionNotFound)
    assert isinstance(unknown, VersionNotFound)


async def test_a_version_is_read_from_the_store_once(desk: Desk) -> None:
    await desk.publish({"en": EMAIL})
    for _ in range(3):
        await desk.rendering.render_batch([request(name="Ada")] * 5)
    assert desk.store.loads == 1


async def test_a_template_that_is_made_again_is_never_served_with_its_old_text(desk: Desk) -> None:
    await desk.publish({"en": EMAIL})
    await desk.rendering.render_batch([request(name="Ada")])
    await desk.authoring.delete_template(TemplateKey(FIRST_PROJECT, "welcome"))
    desk.clock.advance(seconds=1)
    await desk.publish({"en": replace(EMAIL, subject="Other")})
    summary = (await desk.rendering.describe([TemplateKey(FIRST_PROJECT, "welcome")]))[0]
    assert summary.template is not None
    old, new = await desk.rendering.render_batch([request(name="Ada"), request("welcome", summary.template.published_version, name="Ada")])
    assert isinstance(old, VersionNotFound)
    assert isinstance(new, Rendered)
    assert content_of(new).subject == "Other"
    with pytest.raises(TemplateNotFound):
        await desk.authoring.delete_template(TemplateKey(FIRST_PROJECT, "none"))


async def test_a_preview_shows_the_published_version_and_before_that_the_latest(desk: Desk) -> None:
    await desk.authoring.create_template(make_template())
    with pytest.raises(NothingToPreview):
        await desk.rendering.preview(TemplateKey(FIRST_PROJECT, "welcome"), 0, "", b"")
    await desk.authoring.create_version(TemplateKey(FIRST_PROJECT, "welcome"), {"en": EMAIL}, False)
    await desk.authoring.create_version(TemplateKey(FIRST_PROJECT, "welcome"), {"en": EMAIL}, False)
    assert (await desk.rendering.preview(TemplateKey(FIRST_PROJECT, "welcome"), 0, "", struct_bytes({"name": "Ada"}))).version == 2
    await desk.authoring.publish_version(VersionKey(FIRST_PROJECT, "welcome", 1))
    assert (await desk.rendering.preview(TemplateKey(FIRST_PROJECT, "welcome"), 0, "de", struct_bytes({"name": "Ada"}))).version == 1
    assert (await desk.rendering.preview(TemplateKey(FIRST_PROJECT, "welcome"), 2, "", struct_bytes({"name": "Ada"}))).version == 2
    for name, version, error in (("none", 0, TemplateNotFound), ("welcome", 3, VersionNotFound), ("welcome", 1, MissingVariable)):
        with pytest.raises(error):
            await desk.rendering.preview(TemplateKey(FIRST_PROJECT, name), version, "", b"")


async def test_a_preview_is_what_a_send_produces(desk: Desk) -> None:
    await desk.publish({"en": EMAIL})
    preview = await desk.rendering.preview(TemplateKey(FIRST_PROJECT, "welcome"), 1, "fr", struct_bytes({"name": "A & B"}))
    assert await desk.rendering.render_batch([request("welcome", 1, "fr", name="A & B")]) == [preview]


async def test_descriptions_come_in_the_order_of_the_names(desk: Desk) -> None:
    await desk.publish({"en": EMAIL, "pt": EMAIL})
    none, welcome, again = await desk.rendering.describe([TemplateKey(FIRST_PROJECT, name) for name in ("none", "welcome", "welcome")])
    assert none == TemplateSummary("none")
    assert welcome == again
    assert (welcome.required_variables, welcome.locales) == (("name",), ("en", "pt"))


async def test_a_store_that_is_down_fails_the_batch_and_not_its_items(processes: InlineProcesses) -> None:
    """An item's error says that trying again is of no use, which would be wrong here."""

    class Down(MemoryTemplates):
        async def load(self, keys: object) -> Any:
            raise ServiceError("down")

    rendering = Rendering(Down(), Library(Down()), Scheduler(processes, Standing(lambda: 0)), SenderBook(MemorySenders()))
    with pytest.raises(ServiceError, match="down"):
        await rendering.render_batch([request()])


async def test_a_batch_for_a_person_to_look_at_is_rendered_where_previews_are(desk: Desk, processes: InlineProcesses) -> None:
    await desk.publish({"en": EMAIL})
    done, missing, unknown = await desk.rendering.preview_batch([request(name="Ada"), request(), request("none", 1)])
    assert content_of(done).subject == "Hello Ada"
    assert isinstance(missing, MissingVariable)
    assert isinstance(unknown, VersionNotFound)
    assert {lane for lane, _ in processes.asked} == {Lane.AUTHORING}
