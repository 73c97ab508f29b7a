"""The review of dead letters, by keyboard from start to end."""

import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Console, check, sign_in, sign_in_by_key

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


async def _failed(console: Console) -> str:
    sent = await console.send("hard-bounce")
    await console.test.settled(sent)
    return sent


async def test_letters_are_grouped_by_cause_and_the_newest_is_first(page: Page, console: Console) -> None:
    sent = await _failed(console)
    await sign_in(page, "/console/dead-letters")
    group = page.get_by_role("region", name="The address or device reaches no one")
    await expect(group.locator("[data-row]").first).to_have_attribute("href", f"/console/dead-letters/{sent}")


async def test_a_whole_review_takes_the_keyboard_alone(page: Page, console: Console) -> None:
    """The newest is requeued with a note, the one behind it is given up; the focus is on the next one each time."""
    older, newer = await _failed(console), await _failed(console)
    await sign_in(page, "/console/dead-letters")
    await expect(page.locator("[data-row]").first).to_be_visible()
    await page.keyboard.press("j")
    await page.wait_for_url(f"**/console/dead-letters/{newer}")
    await expect(page.locator(".letter .captured")).to_contain_text("Welcome")
    await page.keyboard.press("r")
    await expect(page.get_by_label("Note for the audit trail")).to_be_focused()
    await page.keyboard.type("the mailbox is back")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/console/dead-letters/{older}")
    await expect(page.locator(f'[data-row][href$="{older}"]')).to_be_focused()
    await expect(page.locator("[data-discard]")).to_be_visible()
    await page.keyboard.press("x")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.type("a typing mistake")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.locator(f'[data-row][href$="{older}"]')).to_have_count(0)
    decided = [await console.live.call("GET", f"/v1/dead-letters/{one}") for one in (newer, older)]
    assert [(entry["action"], entry["note"]) for letter in decided for entry in letter["audit"][:1]] == [
        ("requeued", "the mailbox is back"),
        ("discarded", "a typing mistake"),
    ]
    assert decided[1]["state"] == "discarded"


async def test_one_is_sent_to_another_address_with_other_values_by_keyboard(page: Page, console: Console) -> None:
    sent = await _failed(console)
    await sign_in(page, "/console/dead-letters?reason=SMTP_550_5_1_1")
    await expect(page.locator("[data-row]").first).to_be_visible()
    await page.keyboard.press("j")
    await page.wait_for_url(f"**/console/dead-letters/{sent}?reason=SMTP_550_5_1_1")
    await expect(page.locator("[data-edit]")).to_be_visible()
    await page.keyboard.press("n")
    await expect(page.get_by_label("Note for the audit trail")).to_be_focused()
    await page.keyboard.type("asked on the phone")
    await page.keyboard.press("Enter")
    await expect(page.locator(".audit")).to_contain_text("noted “asked on the phone”")
    await page.keyboard.press("e")
    await expect(page.get_by_label("To this address instead")).to_be_focused()
    await check(page)
    await page.keyboard.type("delivered+instead@clarion.test")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.type('{"name": 1')
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()
    await page.get_by_label("Other values of variables, as JSON").focus()
    await page.keyboard.press("Control+A")
    await page.keyboard.type('{"name": "Grace"}')
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    settled = await console.test.settled(sent)
    got = await console.test.call("GET", f"/v1/notifications/{sent}/captured-message")
    assert (settled["status"], got["email"], got["content"]["subject"]) == ("sent", "delivered+instead@clarion.test", "Welcome, Grace")
    letter = await console.live.call("GET", f"/v1/dead-letters/{sent}")
    assert [entry["action"] for entry in letter["audit"]] == ["noted", "requeued"]


async def test_the_full_view_is_noted_in_the_audit_trail(page: Page, console: Console) -> None:
    sent = await _failed(console)
    await sign_in(page, f"/console/dead-letters/{sent}")
    await expect(page.locator(".letter .captured")).to_contain_text("***")
    await page.get_by_role("button", name="Show in full").click()
    await expect(page.locator(".letter .captured")).to_contain_text("@clarion.test")
    await expect(page.locator(".letter .captured h4")).to_have_text("Welcome, Ada")
    await expect(page.locator(".audit")).to_contain_text("viewed in full")
    await check(page)


async def test_only_what_the_filters_let_through_is_decided_at_once(page: Page, console: Console) -> None:
    other = await _failed(console)
    await console.live.create_template("narrowed", "email", {"en": {"subject": "Hi", "text": "one"}})
    meant = await console.test.send(await console.person("hard-bounce"), "email", "narrowed", {})
    await console.test.settled(meant)
    await sign_in(page, "/console/dead-letters")
    await page.get_by_label("Template").fill("narrowed")
    await page.wait_for_url("**/console/dead-letters?template=narrowed")
    await expect(page.locator("[data-row]")).to_have_count(1)
    await page.get_by_role("button", name="Discard all").click()
    await expect(page.get_by_role("dialog")).to_contain_text("template = narrowed")
    await page.get_by_label("How many a second").fill("1000")
    await page.get_by_role("dialog").get_by_role("button", name="Discard all").click()
    await expect(page.get_by_role("status")).to_contain_text("1 of 1 discarded. It is done.")
    states = [(await console.live.call("GET", f"/v1/dead-letters/{one}"))["state"] for one in (other, meant)]
    assert states == ["open", "discarded"]


async def test_escape_decides_nothing(page: Page, console: Console) -> None:
    sent = await _failed(console)
    await sign_in(page, f"/console/dead-letters/{sent}")
    await expect(page.locator("[data-requeue]")).to_be_visible()
    await page.keyboard.press("x")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert (await console.live.call("GET", f"/v1/dead-letters/{sent}"))["state"] == "open"


async def test_one_that_was_decided_elsewhere_offers_no_decision(page: Page, console: Console) -> None:
    sent = await _failed(console)
    await console.live.call("POST", f"/v1/dead-letters/{sent}:discard", {"note": "decided by a program"})
    await sign_in(page, f"/console/dead-letters/{sent}")
    await expect(page.get_by_text("This one has been decided already.")).to_be_visible()
    await expect(page.get_by_text("decided by a program")).to_be_visible()
    await expect(page.locator("[data-requeue], [data-discard]")).to_have_count(0)


async def test_all_of_a_cause_are_decided_at_once_and_the_job_is_followed(page: Page, console: Console) -> None:
    sent = [await _failed(console) for _ in range(2)]
    await sign_in(page, "/console/dead-letters")
    group = page.get_by_role("region", name="The address or device reaches no one")
    await group.get_by_role("button", name="Discard all").click()
    await page.get_by_label("Note for the audit trail").fill("a campaign to a list that was sold to us")
    await page.get_by_role("dialog").get_by_role("button", name="Discard all").click()
    await expect(page.get_by_role("status")).to_contain_text("discarded. It is done.")
    await expect(group).to_have_count(0)
    decided = [await console.live.call("GET", f"/v1/dead-letters/{one}") for one in sent]
    assert {letter["state"] for letter in decided} == {"discarded"}
    await page.goto("/console/operate")
    await expect(page.get_by_role("region", name="Decisions about many dead letters")).to_contain_text(
        "a campaign to a list that was sold to us"
    )


async def test_a_key_without_the_scope_is_refused_in_words(page: Page, console: Console) -> None:
    await sign_in_by_key(page, await console.key("notifications:read"), "/console/dead-letters")
    await expect(page.get_by_role("alert")).to_contain_text("deadletters:review")
