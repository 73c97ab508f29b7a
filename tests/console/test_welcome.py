"""What someone sees who has typed `make run` for the first time."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.console.conftest import Console, check, sign_in
from tests.make_run import make_run

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


async def test_make_run_leads_to_a_page_with_the_sample_notification_and_its_mail(browser: Browser, tmp_path: Path) -> None:
    """The banner's address, address and password are all that one needs."""
    async with make_run(tmp_path, "--fresh") as (banner, _):
        shown = re.search(r"console\s+(\S+).*administrator\s+(\S+) / (\S+)", banner, re.DOTALL)
        assert shown is not None, banner
        address, email, password = shown.groups()
        page = await browser.new_page(locale="en-GB")
        await page.goto(address)
        await page.get_by_label("E-mail address").fill(email)
        await page.get_by_label("Password", exact=True).fill(password)
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await expect(page.get_by_role("heading", name="Welcome to Clarion")).to_be_visible()
        await expect(page.get_by_role("region", name="The first notification")).to_contain_text("Sent")
        mail = page.get_by_role("region", name="The mail that she got, in her language")
        await expect(mail.locator(".subject")).to_have_text("Boas-vindas, Ada")
        await expect(mail.frame_locator("iframe").locator("body")).to_contain_text("Olá, Ada! Que bom ter você aqui.")
        await check(page)
        await page.get_by_role("link", name="Send one yourself").click()
        await page.get_by_role("button", name="Send a test").click()
        await page.get_by_role("dialog").get_by_role("button", name="Send a test").click()
        await expect(page.locator("h1 .status")).to_have_text("Sent")
        await page.close()


async def test_where_nothing_was_sent_as_a_sample_the_page_says_so(page: Page, console: Console) -> None:
    await sign_in(page, f"{console.url}/console/welcome")
    await expect(page.get_by_role("heading", name="There is no sample here")).to_be_visible()
