"""What senders wrote may be anything: it is shown as text, fits the page, and is never taken for what the console itself says."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Console, sign_in

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

SCRIPT = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>"


async def _sent(console: Console, name: str, metadata: dict[str, str]) -> str:
    sent = await console.test.send(await console.person("delivered"), "email", "welcome", {"name": name}, metadata=metadata)
    await console.test.settled(sent)
    return sent


async def test_markup_is_text_and_labels_are_told_apart_from_facts(page: Page, console: Console) -> None:
    sent = await _sent(console, SCRIPT, {SCRIPT: SCRIPT, "User id": "another person", "Channel": "pigeon"})
    await sign_in(page, f"/console/notifications/{sent}")
    await expect(page.locator(".captured")).to_contain_text(SCRIPT)
    await expect(page.locator("main img, main script")).to_have_count(0)
    names = await page.locator(".facts dt").all_inner_texts()
    assert (names.count("User id"), names.count("Channel"), names.count("Label Channel")) == (1, 1, 1)
    assert f"Label {SCRIPT}" in names


@pytest.mark.parametrize("width", [390, 1280])
async def test_words_without_an_end_fit_the_page(page: Page, console: Console, width: int) -> None:
    sent = await _sent(console, "W" * 900, {"M" * 64: "W" * 500})
    await page.set_viewport_size({"width": width, "height": 800})
    await sign_in(page, f"/console/notifications/{sent}")
    await expect(page.locator(".captured")).to_contain_text("WWW")
    assert await page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [390, 1280])
async def test_people_and_keys_show_what_others_wrote_as_text_that_fits(page: Page, console: Console, width: int) -> None:
    attributes = {SCRIPT: SCRIPT, "W" * 64: "W" * 900, "__proto__": {"role": "administrator"}, "constructor": [["M" * 300]]}
    # a name and a reason such as other systems bring along
    email = f"hostile{width}@{'w' * 60}.example"
    body = {"email": email, "name": f"{SCRIPT} \u202e{'W' * 100}", "attributes": attributes, "external_id": f"x{width}" + "y" * 120}
    user = (await console.live.call("POST", "/v1/users", body))["id"]
    await console.live.call("POST", "/v1/suppressions", {"address": email, "reason": "r" * 40, "category": f"c{width}" + "z" * 50})
    restrictions = {"templates": ["t" * 60 + "*"], "recipient_domains": [f"{'d' * 60}.{'e' * 60}.example"]}
    key = {"name": f"{SCRIPT}{'K' * 40}", "scopes": ["notifications:send"], "restrictions": restrictions}
    await console.live.call("POST", "/v1/api-keys", key)
    await page.set_viewport_size({"width": width, "height": 800})
    for path, said in ((f"/console/people/{user}", "administrator"), ("/console/operate", "d" * 60), ("/console/people", "People")):
        await sign_in(page, path)
        await expect(page.get_by_text(said).first).to_be_visible()
        await expect(page.locator("main img, main script")).to_have_count(0)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
    assert await page.evaluate("({}).role") is None


@pytest.mark.parametrize("noun", ["notifications", "dead-letters"])
async def test_an_address_that_is_no_encoding_names_nothing(page: Page, noun: str) -> None:
    await sign_in(page)
    await expect(page.get_by_role("heading", name="Notifications")).to_be_visible()
    await page.goto(f"/console/{noun}/%E0%A4%A")
    said = {"notifications": "There is no such notification", "dead-letters": "there is no dead letter"}
    await expect(page.get_by_text(said[noun])).to_be_visible()


async def test_what_quiet_hours_hold_waits_for_their_end_and_not_for_its_own_time(page: Page, console: Console) -> None:
    now = datetime.now(UTC)
    person = await console.person("delivered")
    hours = {"start": f"{now - timedelta(hours=2):%H:%M}", "end": f"{now + timedelta(hours=2):%H:%M}"}
    await console.live.call("PATCH", f"/v1/users/{person}/preferences", {"quiet_hours": hours})
    due = now + timedelta(seconds=1)
    sent = await console.test.send(person, "email", "welcome", {"name": "Ada"}, send_at=due.isoformat())
    async with asyncio.timeout(20):
        while True:
            read = await console.test.call("GET", f"/v1/notifications/{sent}")
            if read["reason"] == "QUIET_HOURS":
                break
            await asyncio.sleep(0.05)  # other processes offer no event
    ends = read["timeline"][-1]["next_attempt_time"]
    await sign_in(page, f"/console/notifications/{sent}")
    shown = await page.evaluate("iso => new Date(iso).toLocaleString()", ends)
    await expect(page.locator(".sentence")).to_have_text(f"This e-mail waits until {shown}: it is quiet hours where the person is.")
