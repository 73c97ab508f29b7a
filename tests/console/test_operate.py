"""Operating: breakers are held and released, and webhooks are looked at, tested and replayed."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Locator, Page, expect

from devstack.client import Client, RefusedError
from tests.console.conftest import Console, check, sign_in
from tests.waiting import until_answered

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def endpoint(console: Console) -> AsyncIterator[str]:
    """The id of a webhook endpoint whose server answers 200."""

    async def thanks(_request: web.Request) -> web.Response:
        return web.Response(text="thanks")

    application = web.Application()
    application.router.add_post("/hook", thanks)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made = await console.live.call("POST", "/v1/webhook-endpoints", {"url": f"http://127.0.0.1:{runner.addresses[0][1]}/hook"})
    yield str(made["webhook_endpoint"]["id"])
    await console.live.call("DELETE", f"/v1/webhook-endpoints/{made['webhook_endpoint']['id']}")
    await runner.cleanup()


def link_of(page: Page, endpoint: str) -> Locator:
    """The endpoint in the list; other tests have endpoints too."""
    return page.get_by_role("region", name="Webhook endpoints").locator(f'a[href$="/webhooks/{endpoint}"]')


async def test_a_breaker_is_held_open_with_a_note_and_released(page: Page, console: Console) -> None:
    await console.live.settled(await console.live.send(console.ada, "email", "welcome", {"name": "Ada"}))
    await sign_in(page, "/console/operate")
    row = page.get_by_role("region", name="Providers and their breakers").get_by_role("row").filter(has_text="smtp")
    await expect(row).to_contain_text("Calls are made")
    await row.get_by_role("button", name="Hold open").click()
    await page.get_by_label("Note for the audit trail").fill("they have an outage")
    await page.get_by_role("dialog").get_by_role("button", name="Hold open").click()
    await expect(row).to_contain_text("No calls")
    await expect(row).to_contain_text("they have an outage")
    await row.get_by_role("button", name="Release").click()
    await page.get_by_role("dialog").get_by_role("button", name="Release").click()
    await expect(row).to_contain_text("Calls are made")
    assert [one.get("force") for one in (await console.live.call("GET", "/v1/breakers"))["breakers"] if "smtp" in one["name"]] == ["auto"]


async def test_a_webhook_is_tested_and_its_deliveries_are_replayed(page: Page, console: Console, endpoint: str) -> None:
    sent = await console.test.send(await console.person("delivered"), "email", "welcome", {"name": "Ada"})

    async def delivered() -> bool:
        path = f"/v1/webhook-endpoints/{endpoint}/deliveries?notification_id={sent}&state=delivered"
        types = [one["type"] for one in (await console.live.call("GET", path)).get("deliveries", [])]
        return "notification.sent" in types

    await until_answered(delivered)
    await sign_in(page, "/console/operate")
    await link_of(page, endpoint).click()
    await page.wait_for_url(f"**/console/operate/webhooks/{endpoint}")
    await page.get_by_role("button", name="Send a test event").click()
    await expect(page.get_by_role("status")).to_have_text("The endpoint has answered with status 200.")
    row = page.get_by_role("region", name="Deliveries").get_by_role("row").filter(has_text="notification.sent")
    await expect(row).to_contain_text("Delivered")
    await row.get_by_text("1", exact=True).click()
    await expect(row.get_by_role("listitem")).to_contain_text("thanks")
    await row.get_by_role("button", name="Replay").click()
    await expect(page.get_by_role("status")).to_have_text("1 delivery is tried again.")


async def test_axe_finds_nothing(page: Page, console: Console, endpoint: str) -> None:
    await console.live.call("POST", f"/v1/webhook-endpoints/{endpoint}:test", {})
    await sign_in(page, "/console/operate")
    await expect(link_of(page, endpoint)).to_be_visible()
    await check(page)
    await page.goto(f"/console/operate/webhooks/{endpoint}")
    await expect(page.get_by_role("region", name="Deliveries")).to_be_visible()
    await check(page)


async def test_a_key_is_made_shown_once_used_and_revoked(page: Page, console: Console) -> None:
    await sign_in(page, "/console/operate")
    keys = page.get_by_role("region", name="API keys")
    await keys.get_by_role("button", name="Make a key").click()
    form = page.get_by_role("dialog")
    await form.get_by_label("Name").fill("from the console")
    await form.get_by_label("What it may do").fill("notifications:send templates:write")
    await form.get_by_label("Only these templates").fill("receipt-*")
    await form.get_by_role("button", name="Make a key").click()
    await expect(form.get_by_role("alert")).to_contain_text("scopes[1]: reaches beyond any restrictions")
    await check(page)
    await form.get_by_label("What it may do").fill("notifications:send, notifications:read")
    await form.get_by_role("button", name="Make a key").click()
    shown = keys.get_by_role("status")
    await expect(shown).to_contain_text("It is shown this once")
    secret = (await shown.locator("code").inner_text()).strip()
    row = keys.get_by_role("row").filter(has_text="from the console")
    await expect(row).to_contain_text("only receipt-*")
    await check(page)
    async with Client(console.url, secret) as client:
        assert (await client.call("GET", "/v1/me"))["restrictions"]["templates"] == ["receipt-*"]
        await row.get_by_role("button", name="Revoke").click()
        await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        await expect(row).to_have_count(0)

        async def refused() -> bool:
            try:
                await client.call("GET", "/v1/me")
            except RefusedError as error:
                return error.status == 401
            return False

        await until_answered(refused)
    await page.reload()
    await expect(keys).to_be_visible()
    assert secret not in await page.content()
