"""A mail comes back to the address that it was sent from: the timeline, the suppression and the next send say so."""

import asyncio
import smtplib

import pytest

from devstack.samples import WELCOME
from tests.system.conftest import System
from tests.system.feeds import facts_in_the_feed

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


def _dsn(to: str, about: str) -> bytes:
    lines = [
        "From: MAILER-DAEMON@mx.example.com", f"To: <{to}>", "Subject: Undelivered Mail Returned to Sender", "MIME-Version: 1.0",
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"', "", "--b", "", "It came back.",
        "--b", "Content-Type: message/delivery-status", "", "Reporting-MTA: dns; mx.example.com", "",
        f"Final-Recipient: rfc822; {about}", "Action: failed", "Status: 5.1.1", f"Diagnostic-Code: smtp; 550 5.1.1 no {about}", "",
        "--b--", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode()


async def test_a_mail_that_comes_back_suppresses_its_persons_address_and_no_other(system: System) -> None:
    address = "bounces-later@example.com"
    await system.client.create_template("bounces", "email", WELCOME)
    user = await system.client.create_user(address)
    sent = await system.client.send(user, "email", "bounces", {"name": "Ada"})
    assert (await system.client.settled(sent))["status"] == "sent"
    [mail] = [mail for mail in system.smtp.mails if address in mail.recipients]
    assert mail.sender.endswith("@bounces.clarion.test")

    def hand_over(about: str) -> None:
        with smtplib.SMTP("127.0.0.1", system.bounce_port, timeout=20) as server:
            server.sendmail("", [mail.sender], _dsn(mail.sender, about))

    await asyncio.to_thread(hand_over, "victim@example.com")
    await asyncio.to_thread(hand_over, address)
    found = await system.client.call("GET", f"/v1/notifications/{sent}")
    assert found["status"] == "sent"
    assert [entry["fact"] for entry in found["timeline"] if "fact" in entry] == ["hard_bounced", "hard_bounced"]
    assert await facts_in_the_feed(system.client, user, least=2) == ["hard_bounced", "hard_bounced"]
    listed = (await system.client.call("GET", "/v1/suppressions?page_size=200"))["suppressions"]
    assert [one["reason"] for one in listed if one["address"] == address] == ["bounce"]
    assert not [one for one in listed if one["address"] == "victim@example.com"]
    again = await system.client.settled(await system.client.send(user, "email", "bounces", {"name": "Ada"}))
    assert (again["status"], again["reason"]) == ("skipped", "SUPPRESSION")
