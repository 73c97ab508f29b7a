"""One-click unsubscribing (RFC 8058) on a mail that an SMTP server has received, and what large receivers ask of a mail's bytes."""

import asyncio
import re
import socket
from email.message import EmailMessage

import httpx
import pytest

from devstack.samples import WELCOME
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

_URL = "https://notify.clarion.test/unsubscribe/"


async def _mail(
    system: System, address: str, *, category: str = "news", mandatory: bool = False, locale: str = "en"
) -> tuple[str, str, EmailMessage]:
    """The person, the template and the mail that arrived."""
    template = f"unsubscribe-{category or 'none'}-{'must' if mandatory else 'may'}"
    await system.client.create_template(template, "email", WELCOME, category=category, mandatory=mandatory)
    user = await system.client.create_user(address, locale=locale)
    sent = await system.client.send(user, "email", template, {"name": "Ada"})
    assert (await system.client.settled(sent))["status"] == "sent"
    [mail] = [mail for mail in system.smtp.mails if address in mail.recipients]
    return user, template, mail.message


def _path(mail: EmailMessage) -> str:
    found = re.fullmatch(rf"<{_URL}([A-Za-z0-9_-]+)>", str(mail["List-Unsubscribe"]))
    assert found is not None
    return f"/unsubscribe/{found.group(1)}"


async def test_one_post_without_anything_else_refuses_the_category(system: System) -> None:
    """As a mail program sends it, and as a bare POST from a command line."""
    user, template, mail = await _mail(system, "one-click@example.com")
    async with httpx.AsyncClient(base_url=system.processes.url) as program:
        got = await program.get(_path(mail))
        assert (got.status_code, "news" in got.text, "<form" in got.text) == (200, True, True)
        assert (await system.client.settled(await system.client.send(user, "email", template, {"name": "Ada"})))["status"] == "sent"
        posted = await program.post(_path(mail), data={"List-Unsubscribe": "One-Click"})
        assert (posted.status_code, posted.history, posted.cookies) == (200, [], httpx.Cookies())
        assert (await program.post(_path(mail))).status_code == 200
        assert "<form" not in (await program.get(_path(mail))).text
    refused = await system.client.settled(await system.client.send(user, "email", template, {"name": "Ada"}))
    assert (refused["status"], refused["reason"]) == ("skipped", "PREFERENCE")
    rules = (await system.client.call("GET", f"/v1/users/{user}/preferences"))["rules"]
    assert [(rule["channel"], rule["category"], rule["choice"]) for rule in rules] == [("email", "news", "deny")]


async def test_the_page_speaks_the_persons_language_and_needs_nothing_else(system: System) -> None:
    _, _, mail = await _mail(system, "german@example.com", locale="de-AT")
    async with httpx.AsyncClient(base_url=system.processes.url) as browser:
        page = await browser.get(_path(mail))
        assert ('lang="de"' in page.text, "Abmelden" in page.text, "<script" in page.text) == (True, True, False)
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        assert (page.headers["cache-control"], page.headers["referrer-policy"]) == ("no-store", "no-referrer")
        head = await browser.head(_path(mail))
        assert (head.status_code, head.content) == (200, b"")


async def test_the_page_does_not_promise_what_is_mandatory_by_now(system: System) -> None:
    user, _, mail = await _mail(system, "mandatory-now@example.com", category="law")
    await system.client.call("POST", "/v1/categories", {"id": "law", "mandatory": True})
    async with httpx.AsyncClient(base_url=system.processes.url) as browser, asyncio.timeout(10):
        while True:
            page = await browser.get(_path(mail))
            if "must be sent" in page.text:
                break
            await asyncio.sleep(0.05)  # user_svc may remember for a second that it is not
        assert (page.status_code, "<form" in page.text) == (200, False)
        posted = await browser.post(_path(mail))
        assert (posted.status_code, "must be sent" in posted.text, "no more" in posted.text) == (200, True, False)
    rules = (await system.client.call("GET", f"/v1/users/{user}/preferences"))["rules"]
    assert [(rule["category"], rule["choice"]) for rule in rules] == [("law", "deny")]
    await system.client.call("DELETE", "/v1/categories/law")


async def test_the_page_leads_to_all_choices(system: System) -> None:
    """The link in the mail opens both pages; what was refused on the one is not ticked on the other."""
    user, template, mail = await _mail(system, "all-choices@example.com", category="digests")
    async with httpx.AsyncClient(base_url=system.processes.url) as browser:
        refused = await browser.post(_path(mail))
        found = re.search(r'href="\.\.(/preferences/[A-Za-z0-9_-]+)"', refused.text)
        assert found is not None
        page = await browser.get(found.group(1))
        assert (page.status_code, page.headers["cache-control"], "<script" in page.text) == (200, "no-store", False)
        assert 'value="digests:email">' in page.text
        saved = await browser.post(
            found.group(1), data={"shown": ["digests:email", "digests:push"], "want": ["digests:email", "digests:push"]}
        )
        assert (saved.status_code, saved.headers["location"].endswith("?saved")) == (303, True)
        again = await browser.get(f"{found.group(1)}?saved")
        assert ("Your choices are saved." in again.text, 'value="digests:email" checked>' in again.text) == (True, True)
    assert (await system.client.settled(await system.client.send(user, "email", template, {"name": "Ada"})))["status"] == "sent"


async def test_an_odd_form_changes_nothing(system: System) -> None:
    forms: tuple[dict[str, str], ...] = (
        {},
        {"want": "x"},
        {"shown": ":email"},
        {"shown": "a:fax"},
        {"shown": "\x00:email"},
        {"hours": "1", "quiet": "1"},
    )
    user = await system.client.create_user("odd-form@example.com")
    path = (await system.client.call("POST", f"/v1/users/{user}:createPreferenceLink", {}))["path"]
    async with httpx.AsyncClient(base_url=system.processes.url) as browser:
        answers = [(await browser.post(path, data=form)).status_code for form in forms]
        assert answers == [303, 303, 303, 303, 303, 400]
        assert (await browser.post(path, content=b"\xff\xfe=%zz&&&")).status_code == 303
        assert (await browser.post(path, content=b"shown=a:email&" * 20_000)).status_code == 413
        assert (await browser.put(path)).status_code == 405
    preferences = await system.client.call("GET", f"/v1/users/{user}/preferences")
    assert (preferences.get("rules", []), preferences.get("quiet_hours")) == ([], None)


@pytest.mark.parametrize("token", ["x", "A" * 80, "%00", "..%2f..", "A" * 2000])
async def test_a_link_that_is_not_ours_changes_nothing_and_says_so(system: System, token: str) -> None:
    async with httpx.AsyncClient(base_url=system.processes.url) as browser:
        for path in (f"/unsubscribe/{token}", f"/preferences/{token}"):
            for answer in (await browser.get(path), await browser.post(path)):
                assert (answer.status_code, "not valid" in answer.text) == (404, True)
        assert (await browser.put("/unsubscribe/x")).status_code == 405
        assert (await browser.post("/unsubscribe/x", content=b"x" * 100_000)).status_code == 413


async def test_a_changed_link_is_no_link(system: System) -> None:
    user, _, mail = await _mail(system, "changed-link@example.com")
    path = _path(mail)
    async with httpx.AsyncClient(base_url=system.processes.url) as browser:
        for index in (14, len(path) // 2, len(path) - 2):
            other = "A" if path[index] != "A" else "B"
            assert (await browser.post(path[:index] + other + path[index + 1 :])).status_code == 404
        assert (await system.client.call("GET", f"/v1/users/{user}/preferences")).get("rules", []) == []
        await system.client.call("DELETE", f"/v1/users/{user}")
        assert (await browser.post(path)).status_code == 404


@pytest.mark.parametrize(("category", "mandatory"), [("", False), ("security", True)])
async def test_what_can_not_be_refused_offers_no_refusal(system: System, category: str, mandatory: bool) -> None:
    _, _, mail = await _mail(system, f"must-{category or 'none'}@example.com", category=category, mandatory=mandatory)
    assert mail["List-Unsubscribe"] is None
    assert mail["List-Unsubscribe-Post"] is None


async def test_a_mail_is_as_large_receivers_ask(system: System) -> None:
    """Gmail's and Yahoo's requirements of senders, as far as they are about a mail's bytes (SPF, DKIM and DMARC are the relay's)."""
    _, _, mail = await _mail(system, "receiver@example.com", category="offers")
    [raw] = [received.raw for received in system.smtp.mails if "receiver@example.com" in received.recipients]
    head, _, body = raw.partition(b"\r\n\r\n")
    assert all(len(mail.get_all(name, [])) == 1 for name in ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version"))
    assert len(mail["From"].addresses) == 1
    assert re.fullmatch(r"<[^<>@\s]+@[^<>@\s]+>", str(mail["Message-ID"]))
    assert str(mail["List-Unsubscribe"]).startswith("<https://")
    assert str(mail["List-Unsubscribe-Post"]) == "List-Unsubscribe=One-Click"
    assert head.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert {part.get_content_type() for part in mail.walk()} >= {"text/plain", "text/html"}
    assert body
    assert socket.gethostname() not in head.decode()
