"""The list, and what the page of one notification says and does."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Console, check, sign_in, sign_in_by_key

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


async def test_filters_are_in_the_address_and_a_deep_link_brings_them_back(page: Page, console: Console) -> None:
    await console.test.settled(await console.send("hard-bounce"))
    await console.test.settled(await console.send("delivered"))
    await sign_in(page)
    await page.get_by_label("Status").select_option("failed")
    await page.wait_for_url("**/console/notifications?status=failed")
    await expect(page.locator("tbody .status:not(.failed)")).to_have_count(0)
    await page.reload()
    await expect(page.get_by_label("Status")).to_have_value("failed")
    await expect(page.locator("tbody .status.failed").first).to_be_visible()
    await page.get_by_role("button", name="Clear filters").click()
    await expect(page.locator("tbody .status.sent").first).to_be_visible()


async def test_a_list_without_a_match_says_so(page: Page) -> None:
    await sign_in(page, "/console/notifications?template=no-such-template")
    await expect(page.get_by_role("heading", name="No notification matches")).to_be_visible()


async def test_a_list_goes_on_beyond_its_first_page(page: Page, console: Console) -> None:
    person = await console.person("delivered")
    one = {"user_id": person, "channel": "email", "template": "welcome", "variables": {"name": "Ada"}}
    await console.test.call("POST", "/v1/notifications:batch", {"requests": [one] * 52})
    await sign_in(page, f"/console/notifications?user_id={person}")
    await expect(page.locator("tbody tr")).to_have_count(50)
    await page.get_by_role("button", name="Load more").click()
    await expect(page.locator("tbody tr")).to_have_count(52)
    await expect(page.get_by_text("That is all.")).to_be_visible()


async def test_a_row_is_opened_by_keyboard_alone(page: Page, console: Console) -> None:
    person = await console.person("delivered")
    sent = [await console.test.send(person, "email", "welcome", {"name": "Ada"}) for _ in range(2)]
    await sign_in(page, f"/console/notifications?user_id={person}")
    await expect(page.locator("tbody tr")).to_have_count(2)
    for key in ("j", "j", "Enter"):
        await page.keyboard.press(key)
    await page.wait_for_url(f"**/console/notifications/{sent[0]}")
    await expect(page.get_by_role("heading", name="Timeline")).to_be_visible()


async def test_the_page_says_in_a_sentence_why_it_failed_with_the_providers_words(page: Page, console: Console) -> None:
    sent = await console.send("hard-bounce")
    await console.test.settled(sent)
    await sign_in(page, f"/console/notifications/{sent}")
    await expect(page.locator(".sentence")).to_contain_text(
        "not delivered after one attempt: the sandbox knows no such mailbox (SMTP_550_5_1_1)"
    )
    await expect(page.locator(".attempts tbody tr")).to_have_count(1)
    await expect(page.locator(".attempts tbody tr")).to_contain_text("the sandbox knows no such mailbox")


async def test_the_timeline_names_each_step_and_how_long_it_lasted(page: Page, console: Console) -> None:
    sent = await console.send("soft-bounce")
    await console.test.settled(sent)
    await sign_in(page, f"/console/notifications/{sent}")
    await expect(page.locator(".timeline .status")).to_have_text(["Accepted", "Queued", "Sending", "Retrying", "Sending", "Sent"])
    await expect(page.locator(".timeline li").nth(3)).to_contain_text("waiting for the next attempt")
    await expect(page.locator(".attempts tbody tr")).to_have_count(2)
    widths = await page.locator(".track .bar").evaluate_all("bars => bars.map((bar) => bar.getBoundingClientRect().width)")
    assert widths[3] == max(widths), "the wait of two seconds is the widest part of the picture"


async def test_the_page_follows_the_notification_to_its_end(page: Page, console: Console) -> None:
    sent = await console.send("soft-bounce")
    await sign_in(page, f"/console/notifications/{sent}")
    await expect(page.locator("h1 .status")).to_have_text("Sent")
    await expect(page.locator(".sentence")).to_contain_text("took this e-mail at attempt 2")


async def test_ids_are_copied_and_the_raw_json_is_the_apis(page: Page, console: Console) -> None:
    sent = await console.send("delivered")
    read = await console.test.settled(sent)
    await sign_in(page, f"/console/notifications/{sent}")
    await page.get_by_role("button", name="Copy Correlation id").click()
    await expect(page.get_by_role("button", name="Copy Correlation id")).to_have_text("Copied")
    assert await page.evaluate("navigator.clipboard.readText()") == read["correlation_id"]
    await page.get_by_text("Raw JSON").click()
    shown = json.loads(await page.locator(".raw pre").inner_text())
    assert shown == await console.live.call("GET", f"/v1/notifications/{sent}")


async def test_the_message_of_the_sandbox_is_shown(page: Page, console: Console) -> None:
    sent = await console.send("delivered")
    await console.test.settled(sent)
    await sign_in(page, f"/console/notifications/{sent}")
    await expect(page.locator(".captured")).to_contain_text("Welcome, Ada")


async def test_one_that_waits_is_cancelled_after_a_question(page: Page, console: Console) -> None:
    sent = await _scheduled(console)
    await sign_in(page, f"/console/notifications/{sent}")
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert (await console.live.call("GET", f"/v1/notifications/{sent}"))["status"] == "scheduled"
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel", exact=True).click()
    await expect(page.locator("h1 .status")).to_have_text("Cancelled")
    assert (await console.live.call("GET", f"/v1/notifications/{sent}"))["status"] == "cancelled"


async def test_a_key_that_may_only_read_is_refused_in_the_dialog(page: Page, console: Console) -> None:
    sent = await _scheduled(console)
    await sign_in_by_key(page, await console.key("notifications:read"), f"/console/notifications/{sent}")
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel", exact=True).click()
    await expect(page.get_by_role("alert")).to_contain_text("notifications:send")
    assert (await console.live.call("GET", f"/v1/notifications/{sent}"))["status"] == "scheduled"


async def test_one_that_failed_is_requeued_with_a_note_for_the_audit(page: Page, console: Console) -> None:
    sent = await console.send("hard-bounce")
    await console.test.settled(sent)
    await sign_in(page, f"/console/notifications/{sent}")
    await page.get_by_role("button", name="Requeue").click()
    await page.get_by_label("Note for the audit trail").fill("the mailbox exists again")
    await page.get_by_role("dialog").get_by_role("button", name="Requeue").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.locator(".attempts tbody tr")).to_have_count(2)
    letter = await console.live.call("GET", f"/v1/dead-letters/{sent}")
    assert "the mailbox exists again" in [entry.get("note") for entry in letter["audit"]]


async def test_what_does_not_exist_is_a_page_of_its_own(page: Page) -> None:
    await sign_in(page, "/console/notifications/01890000-0000-7000-8000-000000000000")
    await expect(page.get_by_role("heading", name="There is no such notification")).to_be_visible()
    await page.goto("/console/nowhere")
    await expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()


async def _scheduled(console: Console) -> str:
    later = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    return await console.send("delivered", send_at=later)


async def test_what_a_sent_one_said_is_shown_when_asked_for(page: Page, console: Console) -> None:
    sent = await console.live.send(console.ada, "email", "welcome", {"name": "Grace"})
    await console.live.settled(sent)
    await sign_in(page, f"/console/notifications/{sent}")
    said = page.get_by_role("region", name="What it said")
    await expect(said.get_by_role("button", name="Show what it said")).to_be_visible()
    read = f"/v1/audit-events?kinds=content_read&subject=user:{console.ada}"
    before = len((await console.live.call("GET", read)).get("audit_events", []))
    await said.get_by_role("button", name="Show what it said").click()
    await expect(said.locator(".subject")).to_have_text("Boas-vindas, Grace")
    await expect(said.frame_locator("iframe").locator("body")).to_contain_text("Olá, Grace!")
    assert len((await console.live.call("GET", read))["audit_events"]) == before + 1
    await check(page)


async def test_without_the_scope_a_text_is_refused_in_words(page: Page, console: Console) -> None:
    sent = await console.live.send(console.ada, "email", "welcome", {"name": "Grace"})
    await console.live.settled(sent)
    answer = await console.live.call("POST", "/v1/api-keys", {"name": "reads", "scopes": ["notifications:read"]})
    await sign_in_by_key(page, answer["secret"], f"/console/notifications/{sent}")
    await page.get_by_role("button", name="Show what it said").click()
    await expect(page.get_by_role("region", name="What it said").get_by_role("alert")).to_contain_text("notifications:content")


async def test_a_sent_mail_is_sent_again_to_another_address(page: Page, console: Console) -> None:
    sent = await console.send("delivered", metadata={"order": "17"})
    await console.test.settled(sent)
    scopes = ("notifications:read", "notifications:send", "notifications:content")
    await sign_in_by_key(page, await console.key(*scopes), f"/console/notifications/{sent}")
    await page.get_by_role("button", name="Send again").click()
    await check(page)
    await page.get_by_label("E-mail address").fill("delivered+again@clarion.test")
    await page.get_by_role("dialog").get_by_role("button", name="Send it").dblclick()
    await expect(page.get_by_role("link", name=sent)).to_be_visible()
    await expect(page.locator("h1 .status")).to_have_text("Sent")
    listed = await console.live.call("GET", "/v1/notifications?metadata=order%3D17&page_size=50")
    assert [one["resent_from"] for one in listed["notifications"] if one.get("resent_from") == sent] == [sent]
    await page.get_by_role("link", name=sent).click()
    await expect(page.get_by_text("Sent again from")).to_have_count(0)
    await expect(page.get_by_role("button", name="Send again")).to_be_visible()
