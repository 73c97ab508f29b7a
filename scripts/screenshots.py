"""Take the pictures of the console in docs/images/: the whole system runs, things happen in it, and Chromium looks."""

import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, Page, ViewportSize, async_playwright

from devstack.browser import find_browser
from devstack.client import Client
from devstack.processes import API_KEY
from devstack.samples import create_samples
from devstack.stack import ADMIN_EMAIL, ADMIN_PASSWORD, ANY_PORTS, open_stack

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
_OUTCOMES = ("delivered", "soft-bounce", "delivered", "throttled", "hard-bounce", "down", "hard-bounce", "flapping", "delivered")


# A mail has a height once it is shown.
_MAIL = ".mail[style]"


@dataclass(frozen=True)
class Shot:
    """One picture. `path` may hold {failed} and {retried}, ids of notifications."""

    name: str
    path: str
    dark: bool = False
    width: int = 1280
    height: int = 800
    ready: str = "tbody tr, .letter .captured"


_SHOTS = (
    Shot("notifications-light", "/console/notifications"),
    Shot("notifications-dark", "/console/notifications", dark=True),
    Shot("notification-light", "/console/notifications/{retried}"),
    Shot("notification-phone", "/console/notifications/{failed}", dark=True, width=390, height=844),
    Shot("dead-letters-light", "/console/dead-letters/{failed}"),
    Shot("inbox-light", "/console/inbox/{retried}", ready=_MAIL),
    Shot("template-dark", "/console/templates/welcome", dark=True, ready=_MAIL),
    Shot("live-dark", "/console/live", dark=True),
    # last, since it counts what the ones before it have sent
    Shot("overview-light", "/console/overview", ready=".chart .sent"),
)


async def main() -> int:
    """Write the pictures. Returns the exit code."""
    program = find_browser()
    if program is None:
        sys.stderr.write("screenshots: Chromium is not installed: run `make setup`\n")
        return 1
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with (
            open_stack(Path(folder), ports=ANY_PORTS, say=_quiet, environ={}) as stack,
            Client(stack.url, API_KEY) as live,
        ):
            ada = await create_samples(live)
            sent = await _happen(live, stack.url, ada)
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
                for shot in _SHOTS:
                    page = await _open(browser, stack.url, shot, sent)
                    if "live" in shot.name:
                        await _watch(page, live, ada)
                    await page.locator(shot.ready).first.wait_for()
                    await page.screenshot(path=IMAGES / f"{shot.name}.png")
                    await page.close()
                await browser.close()
    return 0


def _quiet(_text: str) -> None:
    """Starting is nothing to look at."""


async def _happen(live: Client, url: str, ada: str) -> dict[str, str]:
    """Give the pages something to show. Answers ids by what became of them."""
    scopes = ["notifications:send", "notifications:read"]
    key = await live.call("POST", "/v1/api-keys", {"name": "screenshots", "test": True, "scopes": scopes})
    sent: dict[str, str] = {}
    async with Client(url, key["secret"]) as test:
        for number, outcome in enumerate(_OUTCOMES):
            person = await live.create_user(f"{outcome}+{number}@clarion.test", name="Grace")
            sent[outcome] = await test.send(person, "email", "welcome", {"name": "Grace"}, metadata={"order": f"A-{1000 + number}"})
        for one in sent.values():
            await test.settled(one)
    await live.settled(await live.send(ada, "push", "order-shipped", {"order": "A-1007"}))
    return {"failed": sent["hard-bounce"], "retried": sent["soft-bounce"]}


async def _open(browser: Browser, url: str, shot: Shot, sent: dict[str, str]) -> Page:
    page = await browser.new_page(
        base_url=url,
        viewport=ViewportSize(width=shot.width, height=shot.height),
        color_scheme="dark" if shot.dark else "light",
        locale="en-GB",
        timezone_id="Europe/Lisbon",
        reduced_motion="reduce",
    )
    await page.goto(shot.path.format(**sent))
    await page.get_by_label("E-mail address").fill(ADMIN_EMAIL)
    await page.get_by_label("Password", exact=True).fill(ADMIN_PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    return page


async def _watch(page: Page, live: Client, ada: str) -> None:
    await page.locator(".beacon.live").wait_for()
    for number in range(4):
        await live.settled(await live.send(ada, "email", "welcome", {"name": f"Ada {number}"}))
    await page.locator("tbody tr").nth(11).wait_for()


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
