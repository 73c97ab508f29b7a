"""What interrupts a page: a stream that breaks off, a second click, another page's address."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Page, Request, Route, expect

from tests.console.conftest import Console, sign_in, sign_in_by_form
from tests.waiting import until, until_answered

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


async def test_what_was_done_and_not_answered_is_done_once(page: Page, console: Console) -> None:
    """A second try in the same dialog goes under the key of the first one."""

    async def lose(route: Route) -> None:
        await route.fetch()
        await route.abort()

    await sign_in(page, "/console/roles")
    await page.route("**/v1/roles", lose, times=1)
    await page.get_by_role("button", name="Make a role").click()
    form = page.get_by_role("dialog")
    await form.get_by_label("Id, such as support").fill("once-only")
    await form.get_by_label("users:read", exact=True).check()
    await form.get_by_role("button", name="Make it").click()
    await expect(form.get_by_role("alert")).to_be_visible()
    assert (await console.live.call("GET", "/v1/roles/once-only"))["scopes"] == ["users:read"]
    await form.get_by_role("button", name="Make it").click()
    await expect(form).to_have_count(0)
    await expect(page.get_by_role("row").filter(has_text="once-only")).to_be_visible()
    await console.live.call("DELETE", "/v1/roles/once-only")


async def test_what_stands_in_a_dialog_outlives_the_session(page: Page) -> None:
    """For who signs in again and opens it again, once."""

    async def over(route: Route) -> None:
        await route.fulfill(
            status=401, content_type="application/problem+json", body='{"reason": "UNAUTHENTICATED", "detail": "it is over"}'
        )

    await sign_in_by_form(page, "/console/roles")
    await page.get_by_role("button", name="Make a role").click()
    form = page.get_by_role("dialog")
    await form.get_by_label("Id, such as support").fill("half-filled")
    await form.get_by_label("What it is for").fill("of an hour ago")
    await form.get_by_label("users:read", exact=True).check()
    for path in ("**/v1/roles", "**/v1/auth/refresh"):
        await page.route(path, over)
    await form.get_by_role("button", name="Make it").click()
    await expect(page.get_by_role("status")).to_contain_text("Your session has ended")
    await page.unroute_all()
    await sign_in_by_form(page, "/console/roles")
    await page.get_by_role("button", name="Make a role").click()
    await expect(form.get_by_label("Id, such as support")).to_have_value("half-filled")
    await expect(form.get_by_label("What it is for")).to_have_value("of an hour ago")
    await expect(form.get_by_label("users:read", exact=True)).to_be_checked()
    await expect(form.get_by_label("users:write", exact=True)).not_to_be_checked()
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Make a role").click()
    await expect(form.get_by_label("Id, such as support")).to_have_value("")


@pytest.mark.parametrize("days", [-1, 1])
async def test_a_browser_whose_clock_is_wrong_by_a_day_shows_and_tries_the_same(page: Page, console: Console, days: int) -> None:
    """What was sent in the last hour, what the sandbox got in the last day, and a key for the next hour are by the gateway's clock."""
    sent = await console.send("delivered")
    await console.test.settled(sent)
    await page.clock.install(time=datetime.now(UTC) + timedelta(days=days))
    await sign_in(page, "/console/overview")
    asked: set[datetime] = set()

    def note(made: Request) -> None:
        if "/v1/activity?" in made.url:
            asked.add(datetime.fromisoformat(parse_qs(urlsplit(made.url).query)["start_time"][0]))

    page.on("request", note)
    await page.reload()
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    await until(lambda: any(abs(start - an_hour_ago) < timedelta(minutes=10) for start in asked))
    await page.goto("/console/inbox")
    await expect(page.locator(f"a[href$='{sent}']")).to_be_visible()
    await page.get_by_role("button", name="Try an outcome").click()
    await page.get_by_role("dialog").get_by_label("Template").select_option("welcome")
    await page.get_by_role("dialog").get_by_role("button", name="Send it").click()
    await page.wait_for_url("**/console/inbox/*")
