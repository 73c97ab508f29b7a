"""The audit log: who did what to whom, by kind, person and day."""

from uuid import uuid4

import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Console, check, sign_in, sign_in_by_key

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


async def _erased(console: Console) -> str:
    """Someone whose data was exported, and who was erased then."""
    person = await console.live.create_user(f"{uuid4()}@audit.example", name="Ada")
    await _export(console, person)
    await console.live.call("DELETE", f"/v1/users/{person}")
    return person


async def _export(console: Console, person: str) -> None:
    assert [line async for line in console.live.lines(f"/v1/users/{person}:exportPersonalData")]


async def test_what_was_done_to_a_person_is_one_link_away(page: Page, console: Console) -> None:
    person = await _erased(console)
    await sign_in(page, f"/console/audit?subject=user:{person}")
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(2)
    await expect(rows.nth(0)).to_contain_text("Person erased")
    await expect(rows.nth(1)).to_contain_text("Data exported")
    await expect(rows.nth(1)).to_contain_text("api_key:")
    await page.get_by_role("combobox", name="What").select_option("Data exported")
    await expect(rows).to_have_count(1)
    await page.wait_for_url("**/audit?subject=*&kind=data_exported")
    await page.get_by_role("button", name="Clear filters").click()
    await page.wait_for_url("**/console/audit")


async def test_an_actor_a_day_and_pages_narrow_it_down(page: Page, console: Console) -> None:
    person = await _erased(console)
    await sign_in(page, f"/console/audit?subject=user:{person}")
    await page.get_by_role("button", name="Only what api_key:").first.click()
    await page.wait_for_url("**actor=api_key**")
    await expect(page.locator("tbody tr")).to_have_count(2)
    day = str(await page.evaluate("new Date().toLocaleDateString('sv')"))
    await page.get_by_label("From this day on").fill(day)
    await page.get_by_label("Until this day").fill(day)
    await page.wait_for_url("**until=**")
    await expect(page.locator("tbody tr")).to_have_count(2)
    await page.get_by_label("Until this day").fill("")
    await page.get_by_label("From this day on").fill("2999-01-01")
    await expect(page.get_by_role("heading", name="Nothing of the kind has happened")).to_be_visible()


async def test_a_person_leads_to_what_was_done_to_them(page: Page, console: Console) -> None:
    person = await console.live.create_user(f"{uuid4()}@audit.example", name="Ada")
    await _export(console, person)
    await sign_in(page, f"/console/people/{person}")
    await page.get_by_role("link", name="What was done to them").click()
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.get_by_role("link", name=f"user:{person}").click()
    await page.wait_for_url(f"**/console/people/{person}")


async def test_a_key_without_the_scope_is_refused_in_words(page: Page, console: Console) -> None:
    await sign_in_by_key(page, await console.key("notifications:read"), "/console/audit")
    await expect(page.get_by_role("alert")).to_contain_text("audit:read")


async def test_axe_finds_nothing_and_a_phone_shows_the_headings(page: Page, console: Console) -> None:
    person = await _erased(console)
    await sign_in(page, f"/console/audit?subject=user:{person}")
    await expect(page.locator("tbody tr")).to_have_count(2)
    await check(page)
    await page.set_viewport_size({"width": 390, "height": 800})
    cell = page.locator("tbody tr").first.locator("td").nth(2)
    heading = 'e => getComputedStyle(e, "::before").content'
    await expect(cell).to_have_attribute("data-label", "Who")
    assert str(await cell.evaluate(heading)).startswith('"Who: "')
    await page.goto("/console/people")
    await expect(page.locator("tbody tr td[data-label='Language']").first).to_be_visible()
