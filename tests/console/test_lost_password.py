"""A lost password and the proof of an address, by the links of mails."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Console, check, sign_in
from tests.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

PASSWORD, NEW = "correct-horse-battery", "seven quiet rivers below"


async def _link(console: Console, address: str) -> str:
    """Where the newest mail to the address leads."""
    await until(lambda: any(address in mail.recipients for mail in console.smtp.mails))
    mail = [mail.message for mail in console.smtp.mails if address in mail.recipients][-1]
    body = mail.get_body(("html",))
    assert body is not None
    found = re.search(r'href="([^"]+)"', str(body.get_content()))
    assert found is not None
    return found[1]


async def test_who_has_forgotten_their_password_chooses_another_by_mail(page: Page, console: Console) -> None:
    address = "forgetful@example.com"
    await console.live.call("POST", "/v1/users", {"email": address, "password": PASSWORD})
    await page.goto("/console/")
    await page.get_by_role("link", name="Forgot your password?").click()
    await expect(page.get_by_role("heading", name="A new password")).to_be_visible()
    await check(page)
    await page.get_by_label("E-mail address").fill(address)
    await page.get_by_role("button", name="Send the link").click()
    await expect(page.get_by_role("status")).to_contain_text("the mail is on its way")
    link = await _link(console, address)
    await page.goto(link)
    await expect(page.get_by_role("heading", name="Choose a new password")).to_be_visible()
    assert "#" not in page.url  # the browser's history keeps no token
    await page.get_by_label("New password").fill(address.ljust(15))
    await page.get_by_role("button", name="Set the password").click()
    await expect(page.get_by_role("alert")).to_contain_text("guessed first")
    await check(page)
    await page.get_by_label("New password").fill(NEW)
    await page.get_by_role("button", name="Set the password").click()
    await expect(page.get_by_role("status")).to_contain_text("is set")
    await page.goto("about:blank")
    await page.goto(link)
    await page.get_by_label("New password").fill(NEW)
    await page.get_by_role("button", name="Set the password").click()
    await expect(page.get_by_role("alert")).to_contain_text("This link is not valid")
    await page.get_by_role("link", name="To the sign-in").click()
    await expect(page.get_by_role("heading", name="Sign in to Clarion")).to_be_visible()
    await console.live.call("POST", "/v1/auth/login", {"email": address, "password": NEW})


async def test_an_address_is_confirmed_by_a_click_of_the_one_who_opens_it(page: Page, console: Console) -> None:
    address = "confirming@example.com"
    user = await console.live.create_user(address)
    await console.live.call("POST", f"/v1/users/{user}:requestAddressVerification", {})
    await sign_in(page)
    await page.goto(await _link(console, address))
    await expect(page.get_by_role("heading", name="Confirm your address")).to_be_visible()
    assert (await console.live.call("GET", f"/v1/users/{user}")).get("email_verified") is not True
    await page.get_by_role("button", name="Confirm").click()
    await expect(page.get_by_role("status")).to_contain_text("is confirmed")
    await check(page)
    assert (await console.live.call("GET", f"/v1/users/{user}"))["email_verified"] is True
