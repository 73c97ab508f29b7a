"""Layouts and partials: written, checked while typing, and brought into the templates that use them."""

import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Console, check, sign_in, sign_in_by_key

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


async def test_a_partial_is_written_checked_used_changed_and_rebuilt(page: Page, console: Console) -> None:
    await sign_in(page, "/console/templates")
    await page.get_by_role("link", name="Layouts and partials").click()
    await page.get_by_role("button", name="Write a partial").click()
    await page.get_by_label("Name, such as footer.html").fill("console-footer.html")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/console/partials/console-footer.html")
    source = page.get_by_role("textbox", name="Source")
    await source.fill("<p>\n{% if name %}Yours</p>")
    await expect(page.locator(".marks")).to_contain_text("endif")
    await check(page)
    await source.fill("<p>Yours, the shop</p>")
    await expect(page.locator(".marks li")).to_have_count(0)
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator(".sentence")).to_contain_text("Revision 1")
    await expect(page.get_by_text("None has.")).to_be_visible()

    contents = {"en": {"subject": "Hi", "html": '<p>Hello</p>{% include "console-footer.html" %}'}}
    await console.live.create_template("with-footer", "email", contents)
    await page.reload()
    await expect(page.get_by_role("row").filter(has_text="with-footer")).to_contain_text("this revision")
    await page.get_by_role("textbox", name="Source").fill("<p>Yours, the other shop</p>")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("row").filter(has_text="with-footer")).to_contain_text("revision 1")
    await check(page)
    await page.get_by_role("button", name="Bring it into 1 template").click()
    await expect(page.get_by_role("dialog")).to_contain_text("with-footer: in place of version 1")
    await page.get_by_role("dialog").get_by_role("button", name="Make the versions").click()
    await expect(page.get_by_role("row").filter(has_text="with-footer")).to_contain_text("this revision")
    shown = await console.live.call("POST", "/v1/templates/with-footer:preview", {})
    assert (shown["version"], "the other shop" in shown["content"]["html"]) == (2, True)


async def test_what_is_not_saved_is_asked_for_before_it_is_left(page: Page, console: Console) -> None:
    await console.live.call("PUT", "/v1/partials/left.html", {"source": "<p>old</p>"})
    await sign_in(page, "/console/partials/left.html")
    await page.get_by_role("textbox", name="Source").fill("<p>new</p>")
    await page.get_by_role("link", name="All partials").click()
    await expect(page.get_by_role("dialog")).to_contain_text("not saved is lost")
    await page.get_by_role("dialog").get_by_role("button", name="Leave").click()
    await page.wait_for_url("**/console/partials")
    assert (await console.live.call("GET", "/v1/partials/left.html"))["source"] == "<p>old</p>"
    await page.get_by_role("link", name="left.html").click()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await page.wait_for_url("**/console/partials")
    await expect(page.get_by_role("link", name="left.html")).to_have_count(0)
    await check(page)


async def test_a_key_without_the_scope_is_refused_in_words(page: Page, console: Console) -> None:
    await sign_in_by_key(page, await console.key("notifications:read"), "/console/partials")
    await expect(page.get_by_role("alert")).to_contain_text("templates:read")
