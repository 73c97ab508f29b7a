"""The API page in a real browser: searched, tried with a key, and speaking to no other host."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect

from devstack.browser import find_browser
from devstack.processes import API_KEY
from devstack.stack import ANY_PORTS, Stack, open_stack
from gateway.rest import viewer_script
from scripts import lint_openapi
from tests.fixtures_postgres import StackFolder

# one event loop, since all share one system
pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module")]

_MISSING = "no Chromium: run `make setup`, or install the package chromium"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(stack_folder: StackFolder) -> AsyncIterator[Stack]:
    """Everything, once for this module."""
    async with open_stack(stack_folder("docs"), ports=ANY_PORTS, say=lambda text: None, environ={}) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.fail(_MISSING, pytrace=False)
    async with async_playwright() as playwright:
        # no sandbox, since containers that run tests as root allow none
        opened = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        await opened.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(stack: Stack, browser: Browser, tmp_path: Path) -> AsyncIterator[Page]:
    """A page of which every request and complaint is kept."""
    opened = await browser.new_page(viewport={"width": 1400, "height": 900})
    hosts: set[str] = set()
    problems: list[str] = []
    opened.on("request", lambda request: hosts.add(urlsplit(request.url).netloc) if request.url.startswith("http") else None)
    opened.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: problems.append(str(error)))
    yield opened
    await opened.close()
    assert hosts == {urlsplit(stack.url).netloc}
    assert problems == []


async def test_the_document_that_is_linted_and_released_is_the_one_that_is_served(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.url) as http:
        served = (await http.get("/openapi.json")).json()
    written = json.loads(lint_openapi.document())
    for one in (served, written):
        one["tags"].sort(key=lambda tag: tag["name"])
    assert written == served


async def test_the_viewer_is_there() -> None:
    """`make setup` fetches it."""
    assert viewer_script()


async def test_a_call_is_found_tried_with_the_key_and_answered(page: Page, stack: Stack) -> None:
    await page.goto(f"{stack.url}/")
    await page.get_by_placeholder("Filter").fill("/v1/templates")
    await page.keyboard.press("Enter")
    entry = page.locator("[data-content-id='get-/v1/templates']")
    await expect(entry).to_be_visible()
    await expect(page.locator("[data-content-id='get-/v1/users']")).to_be_hidden()
    await entry.click()
    key = page.get_by_placeholder("api-token").first
    await page.locator("[data-content-id='auth']").click()
    await key.fill(API_KEY)
    await page.get_by_role("button", name="SET").first.click()
    await page.get_by_placeholder("Filter").fill("/v1/templates")
    await page.keyboard.press("Enter")
    await entry.click()
    async with page.expect_response(lambda response: response.url.endswith("/v1/templates")) as answered:
        await page.get_by_role("button", name="TRY").first.click()
    assert (await answered.value).status == 200
    await expect(page.get_by_text("next_page_token").first).to_be_visible()


async def test_without_scripts_there_is_the_plain_page(browser: Browser, stack: Stack) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{stack.url}/docs")
    await page.get_by_role("link", name="the plain one").click()
    await expect(page.get_by_role("heading", name="Clarion API")).to_be_visible()
    await context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_plain_page_is_for_everyone(browser: Browser, stack: Stack, scheme: Literal["light", "dark"]) -> None:
    """It scrolls down only, on a phone too, and axe finds nothing."""
    context = await browser.new_context(color_scheme=scheme, viewport={"width": 360, "height": 700})
    page = await context.new_page()
    await page.goto(f"{stack.url}/docs/plain")
    assert await page.evaluate("document.documentElement.scrollWidth") == 360
    await page.get_by_text("/v1/notifications/{id}:resend").click()
    assert await page.evaluate("document.documentElement.scrollWidth") == 360
    found = (await Axe().run(page)).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
    await context.close()


async def test_on_a_phone_the_viewer_leads_to_the_list_of_calls(browser: Browser, stack: Stack) -> None:
    """It hides its own from narrow screens."""
    context = await browser.new_context(viewport={"width": 360, "height": 700})
    page = await context.new_page()
    await page.goto(f"{stack.url}/docs")
    await page.get_by_text("On a screen as narrow as this one").get_by_role("link").click()
    await expect(page.get_by_role("heading", name="Clarion API")).to_be_visible()
    await page.set_viewport_size({"width": 1400, "height": 900})
    await page.goto(f"{stack.url}/docs")
    await expect(page.get_by_placeholder("Filter")).to_be_visible(timeout=60_000)
    await expect(page.get_by_text("On a screen as narrow as this one")).to_be_hidden()
    await context.close()
