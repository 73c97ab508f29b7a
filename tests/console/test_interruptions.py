"""What interrupts a page: a stream that breaks off, a second click, another page's address."""

import asyncio
import json

import pytest
from playwright.async_api import Page, Route, expect

from tests.console.conftest import Console, sign_in, sign_in_by_form
from tests.waiting import until_answered

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


async def test_a_page_goes_on_when_its_stream_breaks_off_before_the_end(page: Page, console: Console) -> None:
    """A gateway that is replaced ends its streams, also cleanly; only the stream's own last word is an end."""
    sent = await console.send("delivered")
    read = await console.test.settled(sent)
    breaks = iter(["", 'event: error\ndata: {"code": 14, "message": "the server stops"}\n\n'])

    async def answer(route: Route) -> None:
        cut = next(breaks, None)
        if cut is None:
            await route.continue_()
            return
        first = json.dumps({"notification": {**read, "status": "pending"}})
        await route.fulfill(content_type="text/event-stream", body=f"id: 1\ndata: {first}\n\n{cut}")

    await page.route(f"**/v1/notifications/{sent}:watch", answer)
    await sign_in(page, f"/console/notifications/{sent}")
    await expect(page.locator("h1 .status")).to_have_text("Sent")


@pytest.mark.parametrize("label", ["\u2028", "\u2029", "\x85", "\r"])
async def test_a_label_may_hold_any_kind_of_line(page: Page, console: Console, label: str) -> None:
    sent = await console.send("delivered", metadata={"order": f"x{label}y"})
    await sign_in(page, f"/console/notifications/{sent}")
    await expect(page.locator("h1 .status")).to_have_text("Sent")
    await expect(page.get_by_text("Label order")).to_be_visible()


async def test_a_double_click_reads_the_next_page_once(page: Page, console: Console) -> None:
    person = await console.person("delivered")
    one = {"user_id": person, "channel": "email", "template": "welcome", "variables": {"name": "Ada"}}
    await console.test.call("POST", "/v1/notifications:batch", {"requests": [one] * 120})
    clicked, asked = asyncio.Event(), []

    async def answer(route: Route) -> None:
        asked.append(route.request.url)
        await clicked.wait()
        await route.continue_()

    await page.route("**/v1/notifications?*page_token=*", answer)
    await sign_in(page, f"/console/notifications?user_id={person}")
    await page.get_by_role("button", name="Load more").dblclick()
    clicked.set()
    await expect(page.locator("tbody tr")).to_have_count(100)
    assert len(asked) == 1


async def test_pages_that_come_late_are_not_added_to_another_list(page: Page, console: Console) -> None:
    person, other = await console.person("delivered"), await console.person("delivered")
    one = {"channel": "email", "template": "welcome", "variables": {"name": "Ada"}}
    await console.test.call("POST", "/v1/notifications:batch", {"requests": [{**one, "user_id": person}] * 52})
    await console.test.call("POST", "/v1/notifications:batch", {"requests": [{**one, "user_id": other}] * 3})
    gone_on, answered = asyncio.Event(), asyncio.Event()

    async def answer(route: Route) -> None:
        await gone_on.wait()
        await route.fulfill(response=await route.fetch())
        answered.set()

    await page.route("**/v1/notifications?*page_token=*", answer)
    await sign_in(page, f"/console/notifications?user_id={person}")
    await page.get_by_role("button", name="Load more").click()
    await page.get_by_label("Person").fill(other)
    await expect(page.locator("tbody tr")).to_have_count(3)
    async with page.expect_response("**/v1/notifications?*page_token=*"):
        gone_on.set()
    await answered.wait()
    await page.evaluate("new Promise(requestAnimationFrame)")
    await expect(page.locator("tbody tr")).to_have_count(3)


async def test_a_double_click_acts_once(page: Page, console: Console) -> None:
    endpoint = await console.live.call(
        "POST", "/v1/webhook-endpoints", {"url": "http://127.0.0.1:19999/hook", "description": "double click", "disabled": True}
    )
    clicked, asked = asyncio.Event(), []

    async def answer(route: Route) -> None:
        asked.append(route.request.url)
        await clicked.wait()
        await route.fulfill(json={"time": "2030-01-31T09:00:00Z", "status": 200})

    await page.route("**/v1/webhook-endpoints/*:test", answer)
    await sign_in(page, f"/console/operate/webhooks/{endpoint['webhook_endpoint']['id']}")
    await page.get_by_role("button", name="Send a test event").dblclick()
    clicked.set()
    await expect(page.get_by_role("status").filter(has_text="200")).to_be_visible()
    assert len(asked) == 1


async def test_a_tab_that_was_duplicated_stays_signed_in_when_the_other_one_renews(page: Page) -> None:
    """A refresh token that is used late once more ends the session, so that both tabs were signed out."""
    await sign_in_by_form(page, "/console/roles")
    await expect(page.get_by_role("heading", name="Roles", exact=True)).to_be_visible()
    kept: dict[str, str] = json.loads(await page.evaluate("sessionStorage.getItem('clarion.session')"))
    twin = await page.context.new_page()
    await twin.add_init_script(f"sessionStorage.setItem('clarion.session', {json.dumps(json.dumps(kept))})")
    await twin.goto("/console/roles")
    await expect(twin.get_by_role("heading", name="Roles", exact=True)).to_be_visible()
    await page.evaluate(f"sessionStorage.setItem('clarion.session', {json.dumps(json.dumps({**kept, 'token': 'over'}))})")
    await page.reload()
    await expect(page.get_by_role("heading", name="Roles", exact=True)).to_be_visible()

    async def tokens(tab: Page) -> str:
        return str(json.loads(await tab.evaluate("sessionStorage.getItem('clarion.session')"))["refresh"])

    async def both_have_the_new_one() -> bool:
        return await tokens(page) == await tokens(twin) != kept["refresh"]

    await until_answered(both_have_the_new_one)
    await twin.close()
