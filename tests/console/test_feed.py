"""The live feed."""

import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Console, sign_in

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


async def _open(page: Page, console: Console, person: str, more: str = "") -> None:
    await sign_in(page, f"/console/live?user_id={person}{more}")
    await expect(page.get_by_role("status")).to_have_text("Live")


async def test_changes_appear_as_they_happen_newest_first(page: Page, console: Console) -> None:
    person = await console.person("delivered")
    await _open(page, console, person)
    await expect(page.get_by_role("heading", name="Waiting for the next change")).to_be_visible()
    sent = await console.test.send(person, "email", "welcome", {"name": "Ada"})
    await expect(page.locator("tbody tr").first.locator(".status")).to_have_text("Sent")
    await expect(page.locator("tbody tr").last.locator(".status")).to_have_text("Accepted")
    await page.locator("tbody tr a").first.click()
    await page.wait_for_url(f"**/console/notifications/{sent}")


async def test_a_pause_holds_what_arrives_and_counts_it(page: Page, console: Console) -> None:
    person = await console.person("hard-bounce")
    await _open(page, console, person, "&status=failed")
    await page.keyboard.press("p")
    await expect(page.get_by_role("status")).to_have_text("Paused")
    for _ in range(2):
        await console.test.settled(await console.test.send(person, "email", "welcome", {"name": "Ada"}))
    await expect(page.get_by_role("button", name="Show 2 new changes")).to_be_visible()
    await expect(page.locator("tbody tr")).to_have_count(0)
    await page.get_by_role("button", name="Resume").click()
    await expect(page.locator("tbody tr")).to_have_count(2)
    await expect(page.locator(".fresh")).to_have_count(0)


async def test_a_filter_lets_only_its_changes_through(page: Page, console: Console) -> None:
    good, bad = await console.person("delivered"), await console.person("hard-bounce")
    await sign_in(page, "/console/live?status=failed")
    await expect(page.get_by_role("status")).to_have_text("Live")
    await console.test.settled(await console.test.send(good, "email", "welcome", {"name": "Ada"}))
    failed = await console.test.send(bad, "email", "welcome", {"name": "Ada"})
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page.locator("tbody a")).to_have_attribute("href", f"/console/notifications/{failed}")


async def test_the_feed_goes_on_behind_the_last_change_after_an_interruption(page: Page, console: Console) -> None:
    person = await console.person("hard-bounce")
    await _open(page, console, person, "&status=failed")
    await console.test.settled(await console.test.send(person, "email", "welcome", {"name": "Ada"}))
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.context.set_offline(True)
    await page.evaluate("window.dispatchEvent(new Event('offline'))")
    await console.test.settled(await console.test.send(person, "email", "welcome", {"name": "Ada"}))
    await page.context.set_offline(False)
    await expect(page.locator("tbody tr")).to_have_count(2)
