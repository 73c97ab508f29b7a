"""axe-core on each page that there is, as it is when something is on it, and where there is nothing or something is wrong."""

import re

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from devstack.processes import ROOT
from tests.console.conftest import Console, check, sign_in

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

_PAGES = (
    "welcome", "overview", "notifications", "notifications/{sent}", "live", "dead-letters", "dead-letters/{failed}", "people",
    "people/{ada}", "templates", "templates/welcome", "templates/welcome/edit", "partials", "partials/every-page.html", "operate",
    "operate/webhooks/{webhook}", "roles", "projects", "audit", "inbox", "inbox/{failed}", "second-factor",
)  # fmt: skip
_NOTHING = (
    "nowhere", "notifications?template=none-of-this-name", "notifications/none", "dead-letters?reason=NONE", "dead-letters/none",
    "people?q=none@example.com", "people/none", "templates/none-of-this-name", "partials/new.html", "operate/webhooks/none",
    "inbox?template=none-of-this-name", "audit?subject=none",
)  # fmt: skip
_BEFORE_SIGNING_IN = ("", "sign-in", "forgot-password", "reset-password", "verify-address")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ids(console: Console) -> dict[str, str]:
    """Something on each page."""
    failed = await console.send("hard-bounce")
    sent = await console.live.send(console.ada, "email", "welcome", {"name": "Ada"})
    await console.test.settled(failed)
    await console.live.settled(sent)
    await console.live.call("PUT", "/v1/partials/every-page.html", {"source": "<p>Yours</p>"})
    made = await console.live.call("POST", "/v1/webhook-endpoints", {"url": "http://127.0.0.1:20009/hook", "disabled": True})
    return {"sent": sent, "failed": failed, "ada": console.ada, "webhook": made["webhook_endpoint"]["id"]}


@pytest.mark.parametrize("path", _PAGES + _NOTHING)
async def test_axe_finds_nothing(page: Page, ids: dict[str, str], path: str) -> None:
    await sign_in(page, f"/console/{path.format(**ids)}")
    await expect(page.locator("main h1, main .failure h2").first).to_be_visible()
    await expect(page.locator(".skeleton")).to_have_count(0)
    await check(page)


@pytest.mark.parametrize("path", _BEFORE_SIGNING_IN)
async def test_axe_finds_nothing_before_one_has_signed_in(page: Page, path: str) -> None:
    await page.goto(f"/console/{path}")
    await expect(page.locator("h1").first).to_be_visible()
    await check(page)


async def test_no_page_is_left_out() -> None:
    """What the console's script knows as a page, and its pages about accounts."""
    script = (ROOT / "console" / "src" / "main.tsx").read_text()
    account = (ROOT / "console" / "src" / "pages" / "account.tsx").read_text()
    known = set(re.findall(r'noun === "([\w-]+)"', script)) | set(
        re.findall(r'"([\w-]+)": \w', account.partition("ACCOUNT_PAGES = {")[2].partition("}")[0])
    )
    walked = {path.partition("/")[0] for path in _PAGES + _BEFORE_SIGNING_IN}
    assert len(known) > 10
    assert known <= walked
