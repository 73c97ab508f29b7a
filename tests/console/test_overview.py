"""The overview: how much was sent, what became of it, and what is wrong."""

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from devstack.client import Client
from tests.console.conftest import Console, check, sign_in, sign_in_by_key
from tests.waiting import until_answered

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


async def _counts(client: Client, **fields: str) -> dict[str, int]:
    query = "&".join(f"{name}={value}" for name, value in fields.items())
    answer: dict[str, Any] = await client.call("GET", f"/v1/activity?{query}")
    return {name: int(number) for name, number in answer.get("totals", {}).items()}


async def test_what_was_sent_is_counted_and_shown(page: Page, console: Console) -> None:
    await console.live.create_template("overview", "email", {"en": {"subject": "Hello", "text": "Hello"}})
    sent = [await console.live.send(console.ada, "email", "overview", {}) for _ in range(3)]
    for identifier in sent:
        assert (await console.live.settled(identifier))["status"] == "sent"

    async def counted() -> bool:
        counts = await _counts(console.live, template="overview")
        return (counts["accepted"], counts["sent"]) == (3, 3)

    await until_answered(counted)
    await sign_in(page, "/console/overview")
    await expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    row = page.get_by_role("region", name="By template").get_by_role("row").filter(has_text="overview")
    await expect(row).to_contain_text("e-mail")
    await expect(row.get_by_role("cell").nth(2)).to_have_text("3")
    await expect(page.get_by_role("img", name="Sent, skipped and failed over time")).to_be_visible()
    await expect(page.get_by_text("were with the provider within 2 seconds")).to_be_visible()
    await page.get_by_role("button", name="Day", exact=True).click()
    await expect(page).to_have_url(re.compile("span=day$"))
    await expect(row).to_be_visible()
    await check(page)
    await row.get_by_role("link").click()
    await expect(page.get_by_role("heading", name="Notifications", level=1)).to_be_visible()


async def test_what_is_wrong_is_said_with_the_next_step(page: Page, console: Console) -> None:
    await console.live.settled(await console.live.send(console.ada, "email", "welcome", {"name": "Ada"}))
    breakers = (await console.live.call("GET", "/v1/breakers"))["breakers"]
    name = next(one["name"] for one in breakers if "smtp" in one["name"])
    await console.live.call("POST", f"/v1/breakers/{name}:force", {"force": "open", "note": "they have an outage"})
    try:
        await sign_in(page, "/console/overview")
        wrong = page.get_by_role("region", name="What is wrong now")
        await expect(wrong).to_contain_text(f"holds the breaker of {name} open")
        await expect(wrong).to_contain_text("Release it when the provider may be used again")
        await check(page)
    finally:
        await console.live.call("POST", f"/v1/breakers/{name}:force", {"force": "auto"})


async def test_the_queues_and_the_workers_are_shown_to_operators(page: Page, console: Console) -> None:
    await sign_in(page, "/console/overview")
    bus = page.get_by_role("region", name="The bus")
    row = bus.get_by_role("row").filter(has=page.get_by_role("cell", name="email.queue", exact=True))
    await expect(row).to_contain_text(re.compile(r"nothing|messages?"))
    await expect(row).to_contain_text("1 consumer")
    await expect(bus).to_contain_text(re.compile(r"Workers that have reported themselves: .*fcm"))
    await check(page)


async def test_another_project_is_shown_no_queue(page: Page, console: Console) -> None:
    await console.live.call("POST", "/v1/projects", {"id": "no-operators"})
    key = await console.live.call("POST", "/v1/api-keys", {"name": "x", "project": "no-operators", "scopes": ["notifications:read"]})
    await sign_in_by_key(page, key["secret"], "/console/overview")
    await expect(page.get_by_role("heading", name="Nothing was sent in this time")).to_be_visible()
    await expect(page.get_by_role("region", name="The bus")).to_have_count(0)


async def test_what_test_keys_send_is_counted_apart(page: Page, console: Console) -> None:
    before = await _counts(console.live, template="welcome")
    assert (await console.test.settled(await console.send("delivered")))["status"] == "sent"

    async def counted() -> bool:
        return (await _counts(console.test, template="welcome", test="true")).get("sent", 0) > 0

    await until_answered(counted)
    assert await _counts(console.live, template="welcome") == before
