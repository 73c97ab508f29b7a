"""Who comes in, and how a session ends."""

import pytest
from playwright.async_api import Page, expect

from devstack.stack import ADMIN_PASSWORD
from tests.console.conftest import Console, sign_in_by_form, sign_in_by_key

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


async def test_a_person_signs_in_by_password_and_sees_their_project(page: Page) -> None:
    await sign_in_by_form(page)
    await expect(page.get_by_role("heading", name="Notifications")).to_be_visible()
    await expect(page.get_by_text("Project default")).to_be_visible()
    await expect(page.get_by_role("note")).to_have_count(0)


async def test_a_wrong_password_is_refused_in_words(page: Page) -> None:
    await sign_in_by_form(page, password=f"{ADMIN_PASSWORD}-not")
    await expect(page.get_by_role("alert")).to_contain_text("password")
    await expect(page.get_by_role("heading", name="Sign in to Clarion")).to_be_visible()


async def test_a_test_key_shows_that_it_reaches_no_provider(page: Page, console: Console) -> None:
    await sign_in_by_key(page, console.test_key)
    await expect(page.get_by_role("heading", name="Notifications")).to_be_visible()
    await expect(page.get_by_role("note")).to_contain_text("Test mode")


async def test_a_key_that_is_none_is_refused_in_words(page: Page) -> None:
    await sign_in_by_key(page, "clk_live_this_is_no_key_that_was_ever_made_000000")
    await expect(page.get_by_role("alert")).to_contain_text("This key is not accepted")


async def test_a_key_without_the_scope_is_told_which_one_it_lacks(page: Page, console: Console) -> None:
    await sign_in_by_key(page, await console.key("notifications:send"))
    await expect(page.get_by_role("alert")).to_contain_text("notifications:read")


async def test_signing_out_leaves_nothing_behind(page: Page) -> None:
    await sign_in_by_form(page)
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in to Clarion")).to_be_visible()
    assert await page.evaluate("sessionStorage.length") == 0
    await page.reload()
    await expect(page.get_by_role("heading", name="Sign in to Clarion")).to_be_visible()


async def test_a_session_that_is_over_says_so_and_goes_on_where_it_was(page: Page) -> None:
    await page.goto("/console/")
    await page.evaluate(
        """sessionStorage.setItem("clarion.session", JSON.stringify({ token: "clk_live_gone_0000000000000000000000000000" }))"""
    )
    await page.goto("/console/live")
    await expect(page.get_by_role("status")).to_contain_text("Your session has ended")
    await page.get_by_label("E-mail address").fill("admin@clarion.test")
    await page.get_by_label("Password", exact=True).fill(ADMIN_PASSWORD)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_role("heading", name="Live feed")).to_be_visible()


async def test_an_access_token_that_has_run_out_is_renewed_unseen(page: Page) -> None:
    await sign_in_by_form(page)
    await expect(page.get_by_role("heading", name="Notifications")).to_be_visible()
    spoil = """() => {
      const kept = JSON.parse(sessionStorage.getItem("clarion.session"));
      sessionStorage.setItem("clarion.session", JSON.stringify({ ...kept, token: kept.token.slice(0, -8) + "AAAAAAAA" }));
    }"""
    await page.evaluate(spoil)
    async with page.expect_response("**/v1/auth/refresh") as renewed:
        await page.reload()
    assert (await renewed.value).status == 200
    await expect(page.get_by_role("heading", name="Notifications")).to_be_visible()
    await expect(page.get_by_role("alert")).to_have_count(0)
