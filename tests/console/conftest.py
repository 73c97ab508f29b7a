"""The console in Debian's Chromium, in front of the whole system as `make run` starts it."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Generator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, ViewportSize, async_playwright, expect

from devstack.browser import find_browser
from devstack.client import Client
from devstack.processes import API_KEY
from devstack.samples import create_samples
from devstack.smtp import SmtpServer
from devstack.stack import ADMIN_EMAIL, ADMIN_PASSWORD, ANY_PORTS, open_stack
from gateway.console.pages import read_built
from mesh.testing import free_port
from tests.fixtures_postgres import StackFolder

_PICTURES = Path(__file__).resolve().parents[2] / ".pytest_cache" / "console"
_FAILED = pytest.StashKey[bool]()

_ISSUERS = """
console_url = "http://127.0.0.1:{port}/console/"
[[issuers]]
id = "corp"
title = "Example Corp"
url = "{issuer}"
client_id = "clarion"
client_secret = "of this test"
[issuers.groups]
staff = ["notifications:read", "users:read"]
[[issuers]]
id = "away"
title = "Away"
url = "http://127.0.0.1:{nowhere}"
client_id = "clarion"
[issuers.groups]
staff = "administrator"
"""
_VIEWPORT: ViewportSize = {"width": 1280, "height": 800}
# The session of an administrator for each tab.
_administrators: WeakKeyDictionary[Page, str] = WeakKeyDictionary()

expect.set_options(timeout=20_000)


@dataclass(frozen=True)
class Console:
    """What is running, and who is in it."""

    url: str
    live: Client
    test: Client
    test_key: str
    ada: str
    smtp: SmtpServer

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


@dataclass(frozen=True)
class Profile:
    """A profile of the browser, what it asked of others, and what went wrong in it."""

    context: BrowserContext
    administrator: str
    elsewhere: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


_numbers = iter(range(1_000_000))


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def issuer() -> AsyncIterator[str]:
    """The address of an issuer of OpenID Connect, a process of its own, that knows one of the staff and a stranger."""
    port = free_port()
    program = Path(sys.executable).with_name("oidc-provider-mock")
    people = [{"sub": "grace", "name": "Grace Hopper", "groups": ["staff"]}, {"sub": "eve", "name": "Eve", "groups": ["strangers"]}]
    known = [word for person in people for word in ("--user-claims", json.dumps(person))]
    process = await asyncio.create_subprocess_exec(
        program, "--port", str(port), "--require-nonce", "true", *known, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await until_listening(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def until_listening(port: int, process: asyncio.subprocess.Process) -> None:
    """Looks again every 10 ms. Fails when the process has ended."""
    while True:
        assert process.returncode is None, "the issuer has ended"
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.01)


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def console(stack_folder: StackFolder, issuer: str) -> AsyncIterator[Console]:
    """The system, once for all tests of this folder."""
    assert read_built(), "the console is not built: run `make console`"
    folder = stack_folder("console")
    ports, file = replace(ANY_PORTS, rest=free_port()), folder / "oidc.toml"
    file.write_text(_ISSUERS.format(port=ports.rest, issuer=issuer, nowhere=free_port()))
    environ = {"CLARION_CALLER_LIMIT": "1000000", "CLARION_LOGIN_LIMIT": "1000000", "CLARION_OIDC_FILE": str(file)}
    async with (
        open_stack(folder, ports=ports, say=lambda text: None, environ=environ) as stack,
        Client(stack.url, API_KEY) as live,
    ):
        ada = await create_samples(live)
        scopes = ["notifications:send", "notifications:read", "users:read", "deadletters:review"]
        key = await live.call("POST", "/v1/api-keys", {"name": "test mode", "test": True, "scopes": scopes})
        async with Client(stack.url, key["secret"]) as test:
            assert stack.smtp is not None
            yield Console(stack.url, live, test, key["secret"], ada, stack.smtp)


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One browser; each file has a profile of its own in it."""
    program = find_browser()
    assert program is not None, "Chromium is not installed: run `make setup`"
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        await started.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def profile(browser: Browser, console: Console) -> AsyncIterator[Profile]:
    """What the tabs of one file share, which is no session: that is its tab's."""
    context = await browser.new_context(base_url=console.url, viewport=_VIEWPORT, locale="en-GB")
    context.set_default_timeout(20_000)
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    answer = await console.live.call("POST", "/v1/auth/login", {"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD})
    opened = Profile(context, json.dumps({"token": answer["access_token"]}))
    context.on("request", lambda sent: None if sent.url.startswith(console.url) else opened.elsewhere.append(sent.url))
    context.on("weberror", lambda error: opened.errors.append(str(error.error)))
    context.on("console", lambda said: opened.errors.append(said.text) if "Content Security Policy" in said.text else None)
    yield opened
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(request: pytest.FixtureRequest, profile: Profile) -> AsyncIterator[Page]:
    """A tab before anyone has signed in. It asks this gateway only, and its console stays silent but for refused calls."""
    opened = await profile.context.new_page()
    _administrators[opened] = profile.administrator
    yield opened
    if request.node.stash.get(_FAILED, False):
        _PICTURES.mkdir(parents=True, exist_ok=True)
        await opened.screenshot(path=_PICTURES / f"{request.node.name.replace('/', '-')}.png", full_page=True)
    await opened.close()
    found = (list(profile.elsewhere), list(profile.errors))
    profile.elsewhere.clear()
    profile.errors.clear()
    assert found == ([], [])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remembers a failure, of which a picture is taken."""
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    return report


async def sign_in(page: Page, to: str = "/console/") -> None:
    """The administrator at this address, with the session that the form would have made."""
    session = json.dumps(_administrators[page])
    # once: who signs out or spoils the session in this tab stays so
    await page.add_init_script(f"""if (!sessionStorage.getItem("given")) {{
      sessionStorage.setItem("given", "yes");
      sessionStorage.setItem("clarion.session", {session});
    }}""")
    await page.goto(to)


async def sign_in_by_form(page: Page, to: str = "/console/", *, password: str = ADMIN_PASSWORD) -> None:
    """Signs in as the administrator, at this address."""
    await page.goto(to)
    await page.get_by_label("E-mail address").fill(ADMIN_EMAIL)
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_role("button", name="Sign in", exact=True).click()


async def sign_in_by_key(page: Page, key: str, to: str = "/console/") -> None:
    """Signs in with an API key, at this address."""
    await page.goto(to)
    await page.get_by_role("button", name="API key").click()
    await page.get_by_role("textbox", name="API key").fill(key)
    await page.get_by_role("button", name="Sign in", exact=True).click()


async def check(page: Page) -> None:
    """No page scrolls sideways and axe-core finds nothing, on a phone and a screen; nor in the colours of the other theme."""
    await page.set_viewport_size({"width": 320, "height": 740})
    await _axe(page, "phone")
    await page.set_viewport_size(_VIEWPORT)
    await _axe(page, "screen")
    await page.emulate_media(color_scheme="dark")
    # the theme changes colours and nothing else
    await _axe(page, "dark", runOnly=["color-contrast"])
    await page.emulate_media(color_scheme="light")


async def _axe(page: Page, name: str, **options: list[str]) -> None:
    found = await Axe().run(page, options={"resultTypes": ["violations"], **options})
    # its own report does not know the paths of nodes in shadow roots
    wrong = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found.response["violations"]]
    assert wrong == [], name
    assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), f"{name} scrolls sideways"
