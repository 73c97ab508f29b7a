"""One's own second factor: set up, used at the sign-in, and turned off."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Console, check
from tests.user_svc.test_second_factor import App

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

EMAIL, PASSWORD = "careful@example.com", "correct-horse-battery"


async def _sign_in(page: Page) -> None:
    await page.goto("/console/second-factor")
    await page.get_by_label("E-mail address").fill(EMAIL)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Sign in", exact=True).click()


async def test_a_person_sets_a_second_factor_up_and_signs_in_with_it(page: Page, console: Console) -> None:
    await console.live.call("POST", "/v1/users", {"email": EMAIL, "password": PASSWORD})
    await _sign_in(page)
    await expect(page.get_by_role("status")).to_contain_text("You have none yet")
    await check(page)
    await page.get_by_label("Your password").fill(PASSWORD)
    await page.get_by_role("button", name="Set it up").click()
    link = page.get_by_role("link", name="Open in an app on this device")
    found = re.search(r"secret=([A-Z2-7]+)", str(await link.get_attribute("href")))
    assert found is not None
    app = App(found[1])
    await check(page)
    await page.get_by_label("Code of the app").fill(app.code())
    await page.get_by_role("button", name="Turn it on").click()
    await expect(page.get_by_role("status")).to_contain_text("10 recovery codes are left")
    recovery = (await page.locator("pre").inner_text()).split()
    assert len(recovery) == 10
    await check(page)
    await page.get_by_role("button", name="Sign out").click()
    await _sign_in(page)
    code = page.get_by_label("Code of your authenticator app")
    await expect(code).to_be_focused()
    await check(page)
    await code.fill(app.wrong())
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_role("alert")).to_contain_text("wrong")
    await code.fill(app.code())
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_role("status")).to_contain_text("It is on")
    await page.get_by_label("Code of the app, or a recovery code").fill(recovery[0])
    await page.get_by_role("button", name="Turn it off").click()
    await expect(page.get_by_role("status")).to_contain_text("You have none yet")
