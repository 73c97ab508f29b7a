"""What holds on every page: nothing that axe-core finds, every width, both themes, the keyboard, and the budget of the first load."""

import gzip
import re

import pytest
from playwright.async_api import Page, expect

from gateway.console.pages import read_built
from tests.console.conftest import Console, check, sign_in

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

_PAGES = ("", "/console/notifications?status=failed", "/console/dead-letters/{id}", "/console/notifications/{id}", "/console/live")


@pytest.mark.parametrize("address", _PAGES)
async def test_axe_finds_nothing_and_no_page_scrolls_sideways(page: Page, console: Console, address: str) -> None:
    sent = await console.send("hard-bounce")
    await console.test.settled(sent)
    await page.emulate_media(color_scheme="light", reduced_motion="reduce")
    if address:
        await sign_in(page, address.format(id=sent))
    else:
        await page.goto("/console/")
    await expect(page.locator("h1, h2").first).to_be_visible()
    await expect(page.locator(".skeleton")).to_have_count(0)
    await check(page)


async def test_the_help_is_for_everyone_too(page: Page) -> None:
    await sign_in(page, "/console/nowhere")
    await expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await check(page)


async def test_a_theme_is_chosen_and_kept(page: Page) -> None:
    await sign_in(page)
    await page.get_by_role("button", name="Theme: system").click()
    await page.get_by_role("button", name="Theme: light").click()
    await expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")


async def test_the_first_tab_stop_leads_past_the_navigation(page: Page) -> None:
    await sign_in(page)
    await expect(page.get_by_role("heading", name="Notifications")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("heading", name="Notifications")).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()


async def test_times_are_the_viewers_with_utc_behind_them(page: Page, console: Console) -> None:
    sent = await console.send("delivered")
    await console.test.settled(sent)
    await sign_in(page, f"/console/notifications/{sent}")
    moment = page.locator("time").first
    title, iso = await moment.get_attribute("title"), await moment.get_attribute("datetime")
    assert title is not None
    assert iso is not None
    assert title.endswith(" UTC")
    assert title[:19].replace(" ", "T") == iso[:19]


async def test_the_first_load_is_small() -> None:
    """What index.html names; the editor of templates comes when it is opened."""
    files = read_built()
    size = {name: len(gzip.compress(file.body, 9)) for name, file in files.items()}
    first = re.findall(r'(?:src|href)="/console/(assets/[^"]+)"', files["index.html"].body.decode())
    assert 0 < sum(size[name] for name in first if name.endswith(".js")) <= 60_000
    assert 0 < sum(size[name] for name in first if name.endswith(".css")) <= 15_000
    assert 0 < sum(size[name] for name in files if name.endswith(".js") and name not in first) <= 200_000


async def test_the_editor_comes_when_it_is_opened(page: Page, console: Console) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    await sign_in(page, "/console/templates/welcome")
    await expect(page.locator(".subject")).to_be_visible()
    assert not [name for name in asked if name.startswith("template-editor")]
    await page.get_by_role("link", name="Write a new version").click()
    await expect(page.get_by_role("textbox", name="Subject")).to_be_visible()
    assert [name for name in asked if name.startswith("template-editor")]
