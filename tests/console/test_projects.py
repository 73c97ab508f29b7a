"""Projects: made with a first key, archived, restored and erased."""

import pytest
from playwright.async_api import Page, expect

from devstack.client import Client
from tests.console.conftest import Console, check, sign_in, sign_in_by_key

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


async def test_a_project_is_made_with_its_first_key(page: Page, console: Console) -> None:
    await sign_in(page, "/console/projects")
    await expect(page.get_by_role("row").filter(has_text="default")).to_contain_text("which stays")
    await page.get_by_role("button", name="Make a project").click()
    form = page.get_by_role("dialog")
    await form.get_by_label("Id, such as shop-staging").fill("of-the-console")
    await form.get_by_label("Name").fill("Made in the console")
    await form.get_by_role("button", name="Make it").click()
    row = page.get_by_role("row").filter(has_text="of-the-console")
    await expect(row).to_contain_text("In use")
    await row.get_by_role("button", name="Make a key of-the-console").click()
    await form.get_by_label("Name").fill("first key")
    await check(page)
    await form.get_by_role("button", name="Make a key").click()
    secret = (await page.get_by_role("status").locator("code").inner_text()).strip()
    await check(page)
    async with Client(console.url, secret) as client:
        assert (await client.call("GET", "/v1/me"))["project"] == "of-the-console"


async def test_a_project_is_archived_restored_and_erased_after_its_id_is_typed(page: Page, console: Console) -> None:
    await console.live.call("POST", "/v1/projects", {"id": "short-lived"})
    await sign_in(page, "/console/projects")
    row, dialog = page.get_by_role("row").filter(has_text="short-lived"), page.get_by_role("dialog")
    await row.get_by_role("button", name="Archive").click()
    await expect(dialog.get_by_role("button", name="Archive")).to_be_disabled()
    await dialog.get_by_role("textbox").fill("short-lived")
    await dialog.get_by_role("button", name="Archive").click()
    await expect(row).to_contain_text("Archived")
    await row.get_by_role("button", name="Restore").click()
    await dialog.get_by_role("button", name="Restore").click()
    await expect(row).to_contain_text("In use")
    await row.get_by_role("button", name="Archive").click()
    await dialog.get_by_role("textbox").fill("short-lived")
    await dialog.get_by_role("button", name="Archive").click()
    await row.get_by_role("button", name="Erase").click()
    await dialog.get_by_role("textbox").fill("short-live")
    await expect(dialog.get_by_role("button", name="Erase")).to_be_disabled()
    await dialog.get_by_role("textbox").fill("short-lived")
    await dialog.get_by_role("button", name="Erase").click()
    await expect(page.get_by_role("status")).to_contain_text("short-lived is")
    await expect(page.get_by_role("status")).to_contain_text("Saga")


async def test_a_key_without_the_scope_is_refused_in_words(page: Page, console: Console) -> None:
    await sign_in_by_key(page, await console.key("notifications:read"), "/console/projects")
    await expect(page.get_by_role("alert")).to_contain_text("projects:admin")
