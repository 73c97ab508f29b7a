"""Take the pictures of the console in docs/images/: the whole system runs, things happen in it, and Chromium looks.

Usage: screenshots [NAME …]. Without names it takes all of them.
"""

import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, Page, ViewportSize, async_playwright, expect

from devstack.browser import find_browser
from devstack.client import Client
from devstack.processes import API_KEY
from devstack.samples import create_samples, send_sample
from devstack.stack import ADMIN_EMAIL, ADMIN_PASSWORD, ANY_PORTS, open_stack

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
_OUTCOMES = ("delivered", "soft-bounce", "delivered", "throttled", "hard-bounce", "down", "hard-bounce", "flapping", "delivered")


_TONES = ("Thank you for your order", "Thanks for ordering with us")
_ROLES = (
    ("marketing", "Writes templates", ["templates:read", "templates:write"]),
    ("support", "Answers people who write to us", ["notifications:read", "notifications:content", "users:read", "deadletters:review"]),
)
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


SHOTS = (
    Shot("welcome-light", "/console/welcome", height=1000, ready=_MAIL),
    Shot("welcome-phone", "/console/welcome", dark=True, width=390, height=844, ready=".timeline .sent"),
    Shot("notifications-light", "/console/notifications"),
    Shot("notifications-dark", "/console/notifications", dark=True),
    Shot("notification-light", "/console/notifications/{retried}"),
    Shot("notification-phone", "/console/notifications/{failed}", dark=True, width=390, height=844),
    Shot("dead-letters-light", "/console/dead-letters/{failed}"),
    Shot("inbox-light", "/console/inbox/{retried}", ready=_MAIL),
    Shot("template-dark", "/console/templates/welcome", dark=True, ready=_MAIL),
    Shot("trial-light", "/console/templates/order-receipt", height=900, ready=_MAIL),
    Shot("editor-dark", "/console/templates/order-receipt/edit?version=2", dark=True, width=1440, ready=_MAIL),
    Shot("roles-light", "/console/roles", height=520),
    Shot("people-phone", "/console/people/{ada}", width=390, height=844),
    Shot("live-dark", "/console/live", dark=True),
    # last, since it counts what the ones before it have sent
    Shot("overview-light", "/console/overview", height=900, ready=".chart .sent"),
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
            open_stack(Path(folder), ports=ANY_PORTS, say=_quiet, environ={"CLARION_LOGIN_LIMIT": "1000"}) as stack,
            Client(stack.url, API_KEY) as live,
        ):
            ada = await create_samples(live)
            sent = {**await _happen(live, stack.url, ada), "ada": ada}
            await _manage(live, ada)
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
                for shot in (shot for shot in SHOTS if shot.name in (sys.argv[1:] or [shot.name])):
                    page = await _open(browser, stack.url, shot, sent)
                    if "live" in shot.name:
                        await _watch(page, live, ada)
                    await page.locator(shot.ready).first.wait_for()
                    await expect(page.locator(".skeleton")).to_have_count(0, timeout=20_000)
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


async def _manage(live: Client, ada: str) -> None:
    """Give the pages about templates and people something to show."""
    await live.settled(await send_sample(live, ada))
    await live.call("PUT", "/v1/partials/footer.html", {"source": "<p><small>The shop, 1 Main Street, Lisbon</small></p>\n"})
    for tone in _TONES:
        html = f'<h2>{tone}, {{{{ name }}}}</h2>\n<p>We have <b>{{{{ order }}}}</b> and pack it today.</p>\n{{% include "footer.html" %}}\n'
        contents = {"en": {"subject": f"{tone}, {{{{ name }}}}", "html": html}}
        if tone == _TONES[0]:
            await live.create_template("order-receipt", "email", contents, category="orders", description="After each order.")
        else:
            await live.call("POST", "/v1/templates/order-receipt/versions", {"contents": contents, "note": "a warmer tone"})
    await live.call("POST", "/v1/templates/order-receipt/versions/2:startCanary", {"percent": 30, "note": "a warmer tone"})
    for number in range(12):
        await live.settled(await live.send(ada, "email", "order-receipt", {"name": "Ada", "order": f"A-{2000 + number}"}))
    for role, description, scopes in _ROLES:
        await live.call("POST", "/v1/roles", {"id": role, "description": description, "scopes": scopes})
    await live.call("POST", f"/v1/users/{ada}:assignRole", {"role": "support"})


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
