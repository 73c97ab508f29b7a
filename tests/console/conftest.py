"""The console in Debian's Chromium, in front of the whole system as `make run` starts it."""

import shutil
from collections.abc import AsyncIterator, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from devstack.client import Client
from devstack.processes import API_KEY
from devstack.samples import create_samples
from devstack.stack import ADMIN_EMAIL, ADMIN_PASSWORD, ANY_PORTS, open_stack
from gateway.console.pages import read_built

_PICTURES = Path(__file__).resolve().parents[2] / ".pytest_cache" / "console"
_FAILED = pytest.StashKey[bool]()

expect.set_options(timeout=20_000)


@dataclass(frozen=True)
class Console:
    """What is running, and who is in it."""

    url: str
    live: Client
    test: Client
    test_key: str
    ada: str

    async def person(self, outcome: str) -> str:
        """Someone for whom the sandbox has this outcome; each call answers another one."""
        number = next(_numbers)
        return await self.live.create_user(f"{outcome}+{number}@clarion.test", name=outcome)

    async def send(self, outcome: str, **fields: Any) -> str:
        """A mail with this outcome, sent by the test key."""
        return await self.test.send(await self.person(outcome), "email", "welcome", {"name": "Ada"}, **fields)

    async def key(self, *scopes: str) -> str:
        """A test key that may do this only."""
        answer = await self.live.call("POST", "/v1/api-keys", {"name": "console test", "test": True, "scopes": list(scopes)})
        return str(answer["secret"])


_numbers = iter(range(1_000_000))


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def console(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Console]:
    """The system, once for all tests of this folder."""
    assert read_built(), "the console is not built: run `make console`"
    folder = tmp_path_factory.mktemp("console")
    environ = {"CLARION_CALLER_LIMIT": "1000000", "CLARION_LOGIN_LIMIT": "1000000"}
    async with (
        open_stack(folder, ports=ANY_PORTS, say=lambda text: None, environ=environ) as stack,
        Client(stack.url, API_KEY) as live,
    ):
        ada = await create_samples(live)
        scopes = ["notifications:send", "notifications:read", "users:read", "deadletters:review"]
        key = await live.call("POST", "/v1/api-keys", {"name": "test mode", "test": True, "scopes": scopes})
        async with Client(stack.url, key["secret"]) as test:
            yield Console(stack.url, live, test, key["secret"], ada)


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One browser; each test has a profile of its own in it."""
    program = shutil.which("chromium")
    assert program is not None, "Chromium is not installed: run `make setup`"
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        await started.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(request: pytest.FixtureRequest, browser: Browser, console: Console) -> AsyncIterator[Page]:
    """A page before anyone has signed in. It asks this gateway only, and its console stays silent but for refused calls."""
    context = await browser.new_context(base_url=console.url, viewport={"width": 1280, "height": 800}, locale="en-GB")
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened = await context.new_page()
    opened.set_default_timeout(20_000)
    elsewhere, errors = list[str](), list[str]()
    opened.on("request", lambda sent: None if sent.url.startswith(console.url) else elsewhere.append(sent.url))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None)
    yield opened
    if request.node.stash.get(_FAILED, False):
        _PICTURES.mkdir(parents=True, exist_ok=True)
        await opened.screenshot(path=_PICTURES / f"{request.node.name.replace('/', '-')}.png", full_page=True)
    await context.close()
    assert (elsewhere, errors) == ([], [])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remembers a failure, of which a picture is taken."""
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    return report


async def sign_in(page: Page, to: str = "/console/", *, email: str = ADMIN_EMAIL, password: str = ADMIN_PASSWORD) -> None:
    """Signs in as the administrator, at this address."""
    await page.goto(to)
    await page.get_by_label("E-mail address").fill(email)
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def sign_in_by_key(page: Page, key: str, to: str = "/console/") -> None:
    """Signs in with an API key, at this address."""
    await page.goto(to)
    await page.get_by_role("button", name="API key").click()
    await page.get_by_role("textbox", name="API key").fill(key)
    await page.get_by_role("button", name="Sign in").click()
