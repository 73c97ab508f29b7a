"""Writing a new version of a template: errors while typing, what it looks like, and that no work is lost."""

import json
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.console.conftest import Console, check, sign_in, sign_in_by_key

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

_DARK = (
    '<meta name="color-scheme" content="light dark">'
    "<style>@media (prefers-color-scheme: dark) { p { color: rgb(1, 2, 3) } }</style><p>Hello {{ name }}</p>"
)
_MJML = "<mjml><mj-body><mj-section><mj-column>\n<mj-text>Hello {{ name }}</mj-text></mj-column></mj-section></mj-body></mjml>"


async def _template(console: Console, name: str, channel: str = "email", **contents: dict[str, str]) -> None:
    """Version 1, in use."""
    first = contents or {"en": {"subject": "Hi {{ name }}", "html": _DARK}, "pt-BR": {"subject": "Oi {{ name }}", "html": "<p>Oi</p>"}}
    await console.live.create_template(name, channel, first)


def _part(page: Page, name: str) -> Locator:
    return page.get_by_role("textbox", name=name, exact=True)


def _marks(page: Page, name: str) -> Locator:
    return page.get_by_role("list", name=f"What is said of: {name}").get_by_role("listitem")


async def _versions(console: Console, name: str) -> list[dict[str, Any]]:
    return list((await console.live.call("GET", f"/v1/templates/{name}/versions"))["versions"])


def _given(content: dict[str, Any]) -> dict[str, Any]:
    return {part: text for part, text in content.items() if text}


async def test_an_error_stands_at_its_line_while_it_is_being_written(page: Page, console: Console) -> None:
    await _template(console, "lined")
    await sign_in(page, "/console/templates/lined")
    await page.get_by_role("link", name="Write a new version").click()
    html = _part(page, "HTML")
    await expect(page.locator("iframe").content_frame.get_by_text("Hello name")).to_be_visible()
    await html.fill("<p>Hello\n{{ name|shout }}</p>\n<p>bye</p>")
    await expect(_marks(page, "HTML")).to_contain_text(["there is no filter 'shout'"])
    await expect(page.locator(".cm-lint-marker-error")).to_have_count(1)
    await expect(page.get_by_text("This is how it looked before the error.")).to_be_visible()
    await expect(page.get_by_role("button", name="Save as version 2")).to_be_disabled()
    await page.get_by_role("button", name="Line 2").click()
    await expect(html).to_be_focused()
    await expect(page.locator(".cm-line").filter(has_text="shout").locator(".cm-lintRange-error")).to_have_count(1)
    await html.fill("<p>Hello\n{{ name|upper }}</p>")
    await expect(_marks(page, "HTML")).to_have_count(0)
    await expect(page.get_by_role("button", name="Save as version 2")).to_be_enabled()


async def test_what_had_better_be_otherwise_is_said_too(page: Page, console: Console) -> None:
    await _template(console, "better")
    await sign_in(page, "/console/templates/better/edit")
    await _part(page, "HTML").fill('<p>{{ name }}</p>\n<a href="#">x</a>')
    await expect(_marks(page, "HTML")).to_contain_text(["a link leads nowhere"])
    await expect(page.locator(".cm-lint-marker-warning")).to_have_count(1)
    await expect(page.get_by_role("button", name="Save as version 2")).to_be_enabled()


async def test_an_error_in_mjml_has_its_own_line(page: Page, console: Console) -> None:
    await _template(console, "mjml", en={"subject": "Hi", "mjml": _MJML})
    await sign_in(page, "/console/templates/mjml/edit")
    await expect(page.locator("iframe").content_frame.get_by_text("Hello name")).to_be_visible()
    await _part(page, "MJML").fill(_MJML.replace("name", "name|shout"))
    await expect(_marks(page, "MJML")).to_contain_text(["Line 2 there is no filter 'shout'"])


async def test_what_is_written_is_seen_at_once_in_each_language(page: Page, console: Console) -> None:
    await _template(console, "seen")
    await sign_in(page, "/console/templates/seen/edit")
    await _part(page, "Subject").fill("Good day {{ name }}")
    await expect(page.locator(".subject")).to_have_text("Good day name")
    await page.get_by_label("Values of the variables, as JSON").fill(json.dumps({"name": "Grace"}))
    await expect(page.locator(".subject")).to_have_text("Good day Grace")
    await page.get_by_role("group", name="Languages").get_by_role("button", name="pt-BR").click()
    await page.wait_for_url("**/edit?locale=pt-BR")
    await _part(page, "HTML").fill("<p>Bom dia</p>")
    await expect(page.locator("iframe").content_frame.get_by_text("Bom dia")).to_be_visible()
    await expect(page.locator(".subject")).to_have_text("Oi Grace")
    assert len(await _versions(console, "seen")) == 1, "nothing is kept of a preview"


async def test_a_person_is_put_in_the_readers_place(page: Page, console: Console) -> None:
    await _template(
        console,
        "personal",
        en={"subject": "Hi {{ user.plan }}", "text": "{{ at|time }}"},
        fr={"subject": "Salut {{ user.plan }}", "text": "x"},
    )
    person = {"email": "plan@example.com", "name": "Grace", "locale": "fr-FR", "timezone": "Europe/Paris", "attributes": {"plan": "gold"}}
    await console.live.call("POST", "/v1/users", person)
    await sign_in(page, "/console/templates/personal/edit")
    await page.get_by_label("As this person sees it").fill("stranger@example.com")
    await page.keyboard.press("Tab")
    await expect(page.get_by_text("There is no such person.")).to_be_visible()
    await page.get_by_label("Values of the variables, as JSON").fill('{"at": "2030-01-31T15:04:05Z"}')
    await page.get_by_label("As this person sees it").fill("plan@example.com")
    await page.keyboard.press("Tab")
    await expect(page.locator(".subject")).to_have_text("Salut gold")
    await expect(page.get_by_label("Time zone of the person")).to_have_value("Europe/Paris")


async def test_a_mail_is_seen_as_on_a_phone_and_on_a_dark_screen(page: Page, console: Console) -> None:
    await _template(console, "dark")
    await sign_in(page, "/console/templates/dark/edit")
    text = page.locator("iframe").content_frame.get_by_text("Hello name")
    await expect(text).to_have_css("color", "rgb(0, 0, 0)")
    await page.get_by_role("button", name="Dark", exact=True).click()
    await expect(page.locator("iframe").content_frame.locator("html")).to_have_css("color-scheme", "dark")
    await expect(text).to_have_css("color", "rgb(1, 2, 3)")
    await page.get_by_role("button", name="On a phone").click()
    await expect(page.locator("iframe")).to_have_css("width", "375px")
    assert await page.locator("iframe").get_attribute("sandbox") == "allow-same-origin"


async def test_it_is_saved_and_published_after_a_report_of_what_is_missing(page: Page, console: Console) -> None:
    await _template(console, "reported")
    await sign_in(page, "/console/templates/reported/edit")
    await page.get_by_role("group", name="Languages").get_by_role("button", name="pt-BR").click()
    await page.get_by_role("button", name="Take pt-BR out").click()
    await page.get_by_label("Another language").fill("de")
    await page.get_by_role("button", name="Add").click()
    await _part(page, "Subject").fill("Hallo")
    await _part(page, "HTML").fill("<p>Hallo</p>")
    await page.get_by_role("button", name="Save as version 2").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("The text in de does not mention name. It has no text in pt-BR, which the version before has.")
    await dialog.get_by_label("Why, for those who read the history").fill("now in German")
    await dialog.get_by_label("Publish it at once").check()
    await dialog.get_by_role("button", name="Save").click()
    await page.wait_for_url("**/console/templates/reported?version=2")
    await expect(page.locator(".sentence")).to_contain_text("Version 2 of 2 is in use")
    newest = (await _versions(console, "reported"))[0]
    assert (sorted(newest["contents"]), newest["published"], newest["note"]) == (["de", "en"], True, "now in German")
    assert _given(newest["contents"]["en"]) == {"subject": "Hi {{ name }}", "html": _DARK}


async def test_the_sender_of_a_version_is_that_of_the_next(page: Page, console: Console) -> None:
    await console.live.call("PUT", "/v1/senders/acme", {"email": "acme@clarion.test"})
    await _template(console, "from-acme")
    text = {"subject": "Hi", "text": "Hello"}
    await console.live.call("POST", "/v1/templates/from-acme/versions", {"contents": {"en": text}, "publish": True, "sender": "acme"})
    await sign_in(page, "/console/templates/from-acme/edit")
    await _part(page, "Subject").fill("Hello again")
    await page.get_by_role("button", name="Save as version 3").click()
    await page.get_by_role("dialog").get_by_role("button", name="Save").click()
    await page.wait_for_url("**/console/templates/from-acme?version=3")
    newest = (await _versions(console, "from-acme"))[0]
    assert (newest["version"], newest["sender"], newest["contents"]["en"]["subject"]) == (3, "acme", "Hello again")


async def test_a_refused_publication_makes_no_second_version(page: Page, console: Console) -> None:
    await _template(console, "twice")
    await console.live.call("POST", "/v1/templates/twice/versions", {"contents": {"en": {"subject": "2", "text": "two"}}})
    await sign_in(page, "/console/templates/twice/edit")
    await _part(page, "Plain text").fill("three")
    await page.get_by_role("button", name="Save as version 3").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Publish it at once").check()
    await console.live.call("POST", "/v1/templates/twice/versions/2:publish", {})
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("version 2 is in use by now")
    await dialog.get_by_label("Publish it at once").uncheck()
    await dialog.get_by_role("button", name="Save").click()
    await page.wait_for_url("**/console/templates/twice?version=3")
    assert [one["version"] for one in await _versions(console, "twice")] == [3, 2, 1]


async def test_a_reload_loses_nothing_and_leaving_asks_first(page: Page, console: Console) -> None:
    await _template(console, "kept")
    await sign_in(page, "/console/templates/kept")
    await page.get_by_role("link", name="Write a new version").click()
    await _part(page, "Subject").fill("Unsaved {{ name }}")
    await expect(page.locator(".subject")).to_have_text("Unsaved name")
    page.once("dialog", lambda asked: asked.accept())
    await page.reload()
    await expect(page.get_by_text("This is what you had written before.")).to_be_visible()
    await expect(_part(page, "Subject")).to_have_text("Unsaved {{ name }}")
    for go in (page.get_by_role("link", name="Overview").click, page.go_back):
        await go()
        dialog = page.get_by_role("dialog", name="Leave what you have written?")
        await dialog.get_by_role("button", name="Keep it").click()
        await expect(dialog).to_have_count(0)
        await expect(_part(page, "Subject")).to_have_text("Unsaved {{ name }}")
        assert page.url.split("?")[0].endswith("/templates/kept/edit")
    await page.get_by_role("link", name="Overview").click()
    await page.get_by_role("dialog").get_by_role("button", name="Leave").click()
    await page.wait_for_url("**/console/overview")
    await page.goto("/console/templates/kept/edit")
    await expect(_part(page, "Subject")).to_have_text("Unsaved {{ name }}")
    await page.get_by_role("button", name="Drop it").click()
    await page.get_by_role("dialog").get_by_role("button", name="Drop it").click()
    await expect(_part(page, "Subject")).to_have_text("Hi {{ name }}")
    await page.get_by_role("link", name="Overview").click()
    await page.wait_for_url("**/console/overview")


async def test_signing_out_asks_and_leaves_nothing_behind(page: Page, console: Console) -> None:
    await _template(console, "gone")
    await sign_in(page, "/console/templates/gone/edit")
    await _part(page, "Subject").fill("Secret {{ name }}")
    await expect(page.locator(".subject")).to_have_text("Secret name")
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_role("dialog").get_by_role("button", name="Leave").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert "Secret" not in await page.evaluate("JSON.stringify({...sessionStorage})")


async def test_a_push_has_a_title_and_a_body_and_keeps_the_rest(page: Page, console: Console) -> None:
    await console.live.call("POST", "/v1/templates", {"name": "pushed", "channel": "push"})
    contents = {"en": {"title": "Hi", "body": "{{ name }}", "data": {"link": "app://x"}}}
    await console.live.call("POST", "/v1/templates/pushed/versions", {"contents": contents})
    await sign_in(page, "/console/templates/pushed/edit")
    await _part(page, "Title").fill("Hello")
    await expect(page.locator(".bubble strong")).to_have_text("Hello")
    await page.get_by_role("button", name="Save as version 2").click()
    await page.get_by_role("dialog").get_by_role("button", name="Save").click()
    await page.wait_for_url("**/console/templates/pushed?version=2")
    assert _given((await _versions(console, "pushed"))[0]["contents"]["en"]) == {**contents["en"], "title": "Hello"}


async def test_the_first_version_is_written_here_too(page: Page, console: Console) -> None:
    await console.live.call("POST", "/v1/templates", {"name": "first-text", "channel": "email"})
    await sign_in(page, "/console/templates/first-text")
    await page.get_by_role("link", name="Write a new version").click()
    await _part(page, "Subject").fill("First")
    await _part(page, "Plain text").fill("text")
    await page.get_by_role("button", name="Save as version 1").click()
    await page.get_by_role("dialog").get_by_role("button", name="Save").click()
    await page.wait_for_url("**/console/templates/first-text?version=1")


async def test_a_version_is_written_and_saved_by_keyboard_alone(page: Page, console: Console) -> None:
    """Tab leaves the editor: it is no trap. And the letters that are keys elsewhere are text in it."""
    await _template(console, "keys", en={"subject": "Hi", "text": "x"})
    await sign_in(page, "/console/templates/keys/edit")
    await _part(page, "Subject").focus()
    await page.keyboard.type("? j p x ")
    await page.keyboard.press("Tab")
    await expect(_part(page, "HTML")).to_be_focused()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.locator(".subject")).to_have_text("? j p x Hi")
    await page.get_by_role("button", name="Save as version 2").focus()
    await page.keyboard.press("Enter")
    await page.get_by_role("dialog").get_by_role("textbox").focus()
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/console/templates/keys?version=2")


async def test_who_may_only_read_is_refused_in_words(page: Page, console: Console) -> None:
    await _template(console, "read-only-editor")
    await sign_in_by_key(page, await console.key("notifications:read", "templates:read"), "/console/templates/read-only-editor/edit")
    await _part(page, "Subject").fill("Changed")
    await page.get_by_role("button", name="Save as version 2").click()
    await page.get_by_role("dialog").get_by_role("button", name="Save").click()
    await expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("templates:write")


async def test_axe_finds_nothing_in_the_editor(page: Page, console: Console) -> None:
    await _template(console, "editor-for-everyone")
    await sign_in(page, "/console/templates/editor-for-everyone/edit")
    await _part(page, "HTML").fill('<p class="a">{{ name|shout }}{% if a %}1{# c #}{% endif %}</p>')
    await expect(_marks(page, "HTML")).to_have_count(1)
    await check(page)
    await page.goto("/console/templates/missing-one/edit")
    await expect(page.get_by_role("heading", name="There is no such template")).to_be_visible()
