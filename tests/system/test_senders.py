"""From whom mails are, through all processes: DNS on loopback, and signatures that dkimpy verifies on what the SMTP server got."""

import asyncio
from collections.abc import AsyncIterator
from email import message_from_bytes

import dkim
import pytest
import pytest_asyncio

from devstack.client import RefusedError
from tests.dns_server import DnsServer
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

DOMAIN = "senders.example"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def domain(system: System) -> AsyncIterator[DnsServer]:
    """The project's domain, verified; its records in DNS."""
    added = await system.client.call("PUT", f"/v1/sender-domains/{DOMAIN}")
    assert not added.get("verified")
    with pytest.raises(RefusedError, match="SENDER_DOMAIN_NOT_VERIFIED"):
        await system.client.call("PUT", "/v1/senders/billing", {"email": f"billing@{DOMAIN}"})
    missing = await system.client.call("POST", f"/v1/sender-domains/{DOMAIN}:verify")
    assert added["record"]["name"] in missing["problem"]
    system.dns.texts[added["record"]["name"]] = [added["record"]["value"]]
    assert (await system.client.call("POST", f"/v1/sender-domains/{DOMAIN}:verify"))["verified"] is True
    yield system.dns
    del system.dns.texts[added["record"]["name"]]


async def deliver(system: System, template: str, address: str) -> bytes:
    """The mail as the server got it."""
    sent = await system.client.call("POST", "/v1/notifications", {"to": {"email": address}, "channel": "email", "template": template})
    assert (await system.client.settled(sent["id"]))["status"] == "sent"
    [mail] = [mail for mail in system.smtp.mails if address in mail.recipients]
    return mail.raw


async def make(system: System, name: str, **version: str) -> None:
    await system.client.call("POST", "/v1/templates", {"name": name, "channel": "email"})
    content = {"subject": "Your invoice", "html": "<p>Ahoj světe</p>"}
    await system.client.call("POST", f"/v1/templates/{name}/versions", {"contents": {"en": content}, "publish": True, **version})


async def test_a_mail_is_from_its_sender_and_signed(system: System, domain: DnsServer) -> None:
    await system.client.call(
        "PUT",
        "/v1/senders/billing",
        {"email": f"billing@{DOMAIN}", "display_name": "Acme Billing", "reply_to_email": "help@elsewhere.example"},
    )
    await make(system, "senders-invoice", sender="billing")
    raw = await deliver(system, "senders-invoice", "senders-1@example.com")
    mail = message_from_bytes(raw)
    assert (mail["From"], mail["Reply-To"]) == (f"Acme Billing <billing@{DOMAIN}>", "help@elsewhere.example")

    def text_of(name: bytes, timeout: float = 5) -> bytes | None:
        found = domain.texts.get(name.decode().rstrip("."))
        return found[0].encode() if found else None

    assert dkim.verify(raw, dnsfunc=text_of)
    assert not dkim.verify(raw.replace(b"Your invoice", b"Your present"), dnsfunc=text_of)
    with pytest.raises(RefusedError, match="senders-invoice"):
        await system.client.call("DELETE", "/v1/senders/billing")
    with pytest.raises(RefusedError, match="billing"):
        await system.client.call("DELETE", f"/v1/sender-domains/{DOMAIN}")
    preview = await system.client.call("POST", "/v1/templates/senders-invoice:preview", {})
    assert preview["sender"]["email"] == f"billing@{DOMAIN}"


async def test_a_changed_sender_holds_within_seconds(system: System, domain: DnsServer) -> None:
    await system.client.call("PUT", "/v1/senders/news", {"email": f"news@{DOMAIN}"})
    await make(system, "senders-news", sender="news")
    assert f"From: news@{DOMAIN}".encode() in await deliver(system, "senders-news", "senders-2@example.com")
    await system.client.call("PUT", "/v1/senders/news", {"email": f"letters@below.{DOMAIN}"})
    for number in range(100):
        if f"From: letters@below.{DOMAIN}".encode() in await deliver(system, "senders-news", f"senders-3-{number}@example.com"):
            break
    else:
        raise AssertionError("mails are still from the sender before")


async def test_a_version_that_names_no_sender_there_is_is_refused(system: System) -> None:
    await system.client.call("POST", "/v1/templates", {"name": "senders-none", "channel": "email"})
    body = {"contents": {"en": {"subject": "s", "text": "t"}}, "sender": "none-such"}
    with pytest.raises(RefusedError, match="sender: there is no sender 'none-such'"):
        await system.client.call("POST", "/v1/templates/senders-none/versions", body)
    await system.client.call("POST", "/v1/templates", {"name": "senders-push", "channel": "push"})
    body = {"contents": {"en": {"title": "s", "body": "t"}}, "sender": "news"}
    with pytest.raises(RefusedError, match="sender: only e-mail"):
        await system.client.call("POST", "/v1/templates/senders-push/versions", body)


async def test_a_restart_of_template_svc_costs_no_signature(system: System, domain: DnsServer) -> None:
    await system.client.call("PUT", "/v1/senders/late", {"email": f"late@{DOMAIN}"})
    await make(system, "senders-late", sender="late")
    sent = await system.client.call(
        "POST", "/v1/notifications", {"to": {"email": "senders-late@example.com"}, "channel": "email", "template": "senders-late"}
    )
    await asyncio.to_thread(system.processes.stop, "template_svc")
    system.processes.spawn("template_svc")
    assert (await system.client.settled(sent["id"]))["status"] == "sent"
    [mail] = [mail for mail in system.smtp.mails if "senders-late@example.com" in mail.recipients]
    assert b"DKIM-Signature" in mail.raw
    await system.reached("template_svc", "/v1/templates")


async def test_a_key_is_replaced_while_mails_are_sent(system: System, domain: DnsServer) -> None:
    """Each mail verifies by the records that are in DNS when it comes."""
    await system.client.call("PUT", "/v1/senders/rotated", {"email": f"rotated@{DOMAIN}"})
    await make(system, "senders-rotated", sender="rotated")

    def text_of(name: bytes, timeout: float = 5) -> bytes | None:
        found = domain.texts.get(name.decode().rstrip("."))
        return found[0].encode() if found else None

    first = await deliver(system, "senders-rotated", "rotated-1@example.com")
    begun = await system.client.call("POST", f"/v1/sender-domains/{DOMAIN}:rotateKey")
    former, following = begun["record"], begun["next_record"]
    waiting = await deliver(system, "senders-rotated", "rotated-2@example.com")
    domain.texts[following["name"]] = [following["value"]]
    done = await system.client.call("POST", f"/v1/sender-domains/{DOMAIN}:verify")
    assert (done["record"], done.get("next_record"), done["former_record"]) == (following, None, former)
    try:
        selector = following["name"].partition(".")[0].encode()
        number, last = 3, waiting
        while b"s=" + selector not in last:
            last = await deliver(system, "senders-rotated", f"rotated-{number}@example.com")
            number += 1
            assert (number < 100, dkim.verify(last, dnsfunc=text_of)) == (True, True)
        assert all(dkim.verify(raw, dnsfunc=text_of) for raw in (first, waiting, last))
        del domain.texts[former["name"]]
        assert dkim.verify(last, dnsfunc=text_of)
        assert not dkim.verify(first, dnsfunc=text_of)
    finally:
        domain.texts[former["name"]] = [former["value"]]
