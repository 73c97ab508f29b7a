"""Templates: what they say, in which version, to whom."""

import json

import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Console, check, sign_in, sign_in_by_key

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


async def _template(console: Console, name: str) -> None:
    """Version 1 in use, version 2 made."""
    first = {"en": {"subject": "Hi {{ name }}", "text": "one\ntwo\nthree\n"}, "pt-BR": {"subject": "Oi {{ name }}", "text": "um\n"}}
    await console.live.create_template(name, "email", first, description="For this test.")
    second = {"en": {"subject": "Hi {{ name }}", "text": "one\ntwo and a half\nthree\n"}, "pt-BR": first["pt-BR"]}
    await console.live.call("POST", f"/v1/templates/{name}/versions", {"contents": second})


async def test_the_list_says_which_version_is_in_use(page: Page, console: Console) -> None:
    await _template(console, "listed")
    await sign_in(page, "/console/templates")
    row = page.get_by_role("row").filter(has_text="listed")
    await expect(row).to_contain_text("version 1 of 2")
    await row.get_by_role("link").click()
    await expect(page.locator(".sentence")).to_have_text("Version 1 of 2 is in use, for e-mail. For this test.")


async def test_a_preview_follows_the_language_and_the_values(page: Page, console: Console) -> None:
    await _template(console, "previewed")
    await sign_in(page, "/console/templates/previewed")
    await expect(page.locator(".subject")).to_have_text("Hi name")
    await page.get_by_label("Language of the person").fill("fr")
    await page.get_by_label("Values of the variables, as JSON").fill(json.dumps({"name": "Grace"}))
    await expect(page.locator(".subject")).to_have_text("Hi Grace")
    await page.get_by_label("Language of the person").fill("pt-BR")
    await page.keyboard.press("Tab")
    await expect(page.locator(".subject")).to_have_text("Oi Grace")
    await expect(page.get_by_role("status")).to_have_text("Written in pt-BR.")
    await page.wait_for_url("**/console/templates/previewed?locale=pt-BR")


async def test_what_is_wrong_with_the_values_is_said(page: Page, console: Console) -> None:
    await _template(console, "wrong")
    await sign_in(page, "/console/templates/wrong")
    values = page.get_by_label("Values of the variables, as JSON")
    await values.fill("[1]")
    await expect(page.get_by_role("alert")).to_contain_text("must be a JSON object")
    await values.fill("{}")
    await expect(page.get_by_role("alert")).to_contain_text("name")


async def test_examples_fill_the_preview_and_findings_are_listed(page: Page, console: Console) -> None:
    await console.live.call("POST", "/v1/templates", {"name": "found", "channel": "email"})
    version = {
        "contents": {
            "en": {"subject": "Order {{ order }}", "html": '<p>{{ order }}</p><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">'}
        },
        "variables_schema": {"type": "object", "properties": {"order": {"type": "string", "examples": ["A-1001"]}}},
    }
    await console.live.call("POST", "/v1/templates/found/versions", version)
    await sign_in(page, "/console/templates/found")
    await page.get_by_role("button", name="Text").click()
    await expect(page.locator(".subject")).to_have_text("Order A-1001")
    await expect(page.get_by_role("region", name="What had better be otherwise")).to_contain_text("image-without-alt")


async def test_two_versions_are_compared_line_by_line(page: Page, console: Console) -> None:
    await _template(console, "compared")
    await sign_in(page, "/console/templates/compared?version=2")
    await expect(page.locator(".diff h3")).to_have_text(["en · text"])
    await expect(page.locator(".diff .gone")).to_have_text(["- two\n"])
    await expect(page.locator(".diff .new")).to_have_text(["+ two and a half\n"])
    await expect(page.locator(".diff .same")).to_have_text(["  one\n", "  three\n", "  \n"])


async def test_a_version_is_published_and_rolled_back_after_a_question(page: Page, console: Console) -> None:
    await _template(console, "published")
    await sign_in(page, "/console/templates/published")
    await page.get_by_role("button", name="Publish").click()
    await page.get_by_role("dialog").get_by_role("button", name="Publish").click()
    await expect(page.locator(".sentence")).to_contain_text("Version 2 of 2 is in use")
    await page.get_by_role("button", name="Roll back").click()
    await expect(page.get_by_role("dialog")).to_contain_text("Roll back to version 1?")
    await page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    await expect(page.locator(".sentence")).to_contain_text("Version 1 of 2 is in use")
    assert (await console.live.call("GET", "/v1/templates/published"))["published_version"] == 1


async def test_the_history_says_who_published_what_in_place_of_which_and_why(page: Page, console: Console) -> None:
    await _template(console, "remembered")
    await sign_in(page, "/console/templates/remembered")
    me = (await console.live.call("GET", "/v1/users?email=admin@clarion.test"))["users"][0]["id"]
    rows = page.get_by_role("region", name="History").locator("tbody tr")
    await expect(rows).to_have_count(1)
    await expect(rows.first).to_contain_text("API key")
    await page.get_by_role("button", name="Publish").click()
    await page.get_by_role("dialog").get_by_label("Why, for those who read the history").fill("a half more")
    await page.get_by_role("dialog").get_by_role("button", name="Publish").click()
    await expect(rows.first).to_contain_text("Version 2, in place of 1")
    await expect(rows.first).to_contain_text("a half more")
    await rows.first.get_by_role("link", name=me).click()
    await page.wait_for_url(f"**/console/people/{me}")


async def test_what_was_published_meanwhile_is_not_undone_unseen(page: Page, console: Console) -> None:
    """The page is older than what another author did: it says so and shows it, and the next press is about that one."""
    await _template(console, "meanwhile")
    await console.live.call("POST", "/v1/templates/meanwhile/versions", {"contents": {"en": {"subject": "3", "text": "three"}}})
    await sign_in(page, "/console/templates/meanwhile")
    await page.get_by_role("row").filter(has_text="Version 3").get_by_role("button", name="Publish").click()
    await console.live.call("POST", "/v1/templates/meanwhile/versions/2:publish", {"note": "mine"})
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Publish").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("version 2 is in use by now")
    await expect(page.locator(".sentence")).to_contain_text("Version 2 of 3 is in use")
    assert (await console.live.call("GET", "/v1/templates/meanwhile"))["published_version"] == 2
    await dialog.get_by_role("button", name="Publish").click()
    await expect(page.locator(".sentence")).to_contain_text("Version 3 of 3 is in use")


async def test_a_test_is_sent_to_oneself(page: Page, console: Console) -> None:
    await _template(console, "sent-to-me")
    await sign_in(page, "/console/templates/sent-to-me")
    await page.get_by_label("Values of the variables, as JSON").fill(json.dumps({"name": "me"}))
    await page.get_by_role("button", name="Send a test").click()
    await page.get_by_role("dialog").get_by_role("button", name="Send a test").click()
    await page.wait_for_url("**/console/notifications/*")
    await expect(page.get_by_role("heading", name="sent-to-me")).to_be_visible()
    sent = await console.live.call("GET", f"/v1/notifications/{page.url.rpartition('/')[2]}")
    person = await console.live.call("GET", f"/v1/users/{sent['user_id']}")
    assert (sent["template"], person["email"]) == ("sent-to-me", "admin@clarion.test")


async def test_who_may_only_read_is_offered_no_change(page: Page, console: Console) -> None:
    """A key's scopes are the gateway's to know: the refusal names the one that is missing."""
    await _template(console, "read-only")
    await sign_in_by_key(page, await console.key("notifications:read", "templates:read"), "/console/templates/read-only")
    await page.get_by_role("button", name="Publish").click()
    await page.get_by_role("dialog").get_by_role("button", name="Publish").click()
    await expect(page.get_by_role("alert")).to_contain_text("templates:write")


async def test_axe_finds_nothing(page: Page, console: Console) -> None:
    await _template(console, "for-everyone")
    await sign_in(page, "/console/templates")
    await expect(page.locator("tbody tr").first).to_be_visible()
    await check(page)
    await page.goto("/console/templates/for-everyone?version=2")
    await expect(page.locator(".subject")).to_be_visible()
    await check(page)
