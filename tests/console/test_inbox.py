"""The inbox: what test keys have sent, as it would have arrived."""

import base64

import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Console, Profile, check, sign_in

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

# What a mail may hold that must have no effect, beside a style that must have one.
_HTML = """<html><head><style>h1 { color: rgb(1, 2, 3) }</style></head><body bgcolor="#ffeeff">
<h1>Hello {{ name }}</h1><p style="font-size: 31px">Sale</p><img src="https://pictures.example/a.png" alt="A picture">
<script>document.title = "hurt"</script><img src="x" onerror="document.title = 'hurt'" alt=""><a href="https://shop.example/">Shop</a>
</body></html>"""


async def _sale(console: Console) -> str:
    await console.live.create_template(
        "sale", "email", {"en": {"subject": "Sale, {{ name }}", "html": _HTML, "text": "Hello {{ name }} in text"}}
    )
    sent = await console.test.send(await console.person("delivered"), "email", "sale", {"name": "Ada"})
    await console.test.settled(sent)
    return sent


async def test_a_mail_is_shown_as_it_looks_and_does_nothing(page: Page, profile: Profile, console: Console) -> None:
    """Its styles count; its scripts, pictures and links do not, and no one else is asked for anything."""
    sent = await _sale(console)
    reached = list[str]()
    await page.route("https://**", lambda route: reached.append(route.request.url))
    await sign_in(page, f"/console/inbox/{sent}")
    inside = page.frame_locator(".mail")
    await expect(inside.get_by_role("heading", name="Hello Ada")).to_have_css("color", "rgb(1, 2, 3)")
    await expect(inside.get_by_text("Sale")).to_have_css("font-size", "31px")
    await inside.get_by_role("link", name="Shop").click()
    await expect(inside.get_by_role("heading", name="Hello Ada")).to_be_visible()
    assert await page.title() == "Inbox · Clarion"
    await expect(page.locator(".subject")).to_have_text("Sale, Ada")
    # the browser says what it has blocked before it was sent
    assert (reached, profile.elsewhere) == ([], ["https://pictures.example/a.png"])
    assert all("img-src data:" in said or "sandboxed" in said for said in profile.errors)
    profile.elsewhere.clear()
    profile.errors.clear()


async def test_its_text_and_its_source_are_there_too(page: Page, console: Console) -> None:
    sent = await console.send("delivered")
    await console.test.settled(sent)
    await sign_in(page, f"/console/inbox/{sent}")
    message = page.locator(".message")
    await message.get_by_role("button", name="Text").click()
    await expect(message.locator("pre")).to_have_text("Hello Ada, nice to have you here.\n")
    await message.get_by_role("button", name="Source").click()
    await expect(message.locator("pre")).to_contain_text("<b>Ada</b>")
    await message.get_by_role("button", name="On a phone").click()
    assert await page.locator(".mail").evaluate("frame => frame.getBoundingClientRect().width") <= 375


async def test_a_push_is_shown_as_on_a_phone(page: Page, console: Console) -> None:
    person = await console.person("push")
    await console.live.call("POST", f"/v1/users/{person}/devices", {"token": f"sandbox:delivered:{person}", "platform": "android"})
    sent = await console.test.send(person, "push", "order-shipped", {"order": "A-17"})
    await console.test.settled(sent)
    await sign_in(page, f"/console/inbox/{sent}")
    await expect(page.locator(".bubble")).to_contain_text("Your order A-17 has left our warehouse.")
    await expect(page.get_by_role("region", name="Message")).to_contain_text("one device")
    await check(page)


async def test_what_arrives_appears_and_only_what_test_keys_sent(page: Page, console: Console) -> None:
    person = await console.person("delivered")
    live = await console.live.send(person, "email", "welcome", {"name": "Ada"})
    await sign_in(page, f"/console/inbox?user_id={person}")
    await expect(page.get_by_role("heading", name="Nothing has arrived")).to_be_visible()
    sent = await console.test.send(person, "email", "welcome", {"name": "Ada"})
    await expect(page.locator("[data-row]")).to_have_count(1)
    await expect(page.locator(f'[data-row][href*="{live}"]')).to_have_count(0)
    await page.keyboard.press("j")
    await page.wait_for_url(f"**/console/inbox/{sent}?user_id={person}")
    await expect(page.get_by_role("region", name="Message")).to_contain_text("The sandbox answered delivered")
    await expect(page.locator(".letters .status")).to_have_text("Sent")


async def test_axe_finds_nothing(page: Page, console: Console) -> None:
    sent = await console.send("delivered")
    await console.test.settled(sent)
    await sign_in(page, f"/console/inbox/{sent}")
    await expect(page.frame_locator(".mail").get_by_text("Ada")).to_be_visible()
    await check(page)


async def test_an_outcome_is_tried_by_someone_who_has_no_test_key(page: Page, console: Console) -> None:
    await sign_in(page, "/console/inbox")
    await page.get_by_role("button", name="Try an outcome").click()
    form = page.get_by_role("dialog")
    await form.get_by_label("What the provider answers").select_option("soft-bounce")
    await form.get_by_label("Template").select_option("welcome")
    await check(page)
    await form.get_by_role("button", name="Send it").click()
    await page.wait_for_url("**/console/inbox/*")
    shown = page.get_by_role("region", name="Message")
    await expect(shown).to_contain_text("soft-bounce@clarion.test")
    await expect(shown).to_contain_text("attempt 2")
    sent = await console.live.call("GET", f"/v1/notifications/{page.url.rpartition('/')[2]}")
    assert (sent["status"], sent["test"], sent["attempts"]) == ("sent", True, 2)
    keys = (await console.live.call("GET", "/v1/api-keys"))["api_keys"]
    assert [key["scopes"] for key in keys if key["name"] == "console, to try outcomes"] == [["notifications:read", "notifications:send"]]


async def test_the_files_of_a_mail_are_named(page: Page, console: Console) -> None:
    content = base64.b64encode(b"%PDF-1.4 a receipt").decode()
    files = [{"filename": "receipt.pdf", "content": content}]
    sent = await console.send("delivered", attachments=files)
    await console.test.settled(sent)
    await sign_in(page, f"/console/inbox/{sent}")
    await expect(page.get_by_role("list", name="Files")).to_contain_text("receipt.pdf application/pdf, 18 bytes")
