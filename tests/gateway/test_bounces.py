"""Mails about mails by real SMTP: delivery status notifications and abuse reports, and what is not taken."""

import asyncio
import smtplib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.facts.listener import open_listener
from gateway.facts.models import Fresh
from gateway.facts.reports import reports_of
from gateway.facts.repository import FactRepository
from gateway.facts.settings import BounceSettings
from gateway.facts.use_cases import Facts
from gateway.notifications.models import Fact, Reach
from gateway.notifications.repository import NotificationRepository
from mesh.context import FIRST_PROJECT
from mesh.ids import new_uuid
from mesh.stores.database import Database
from naming.bounce_address import BounceAddresses
from tests.gateway.test_facts import List, sent

DOMAIN, SECRET = "bounces.clarion.test", "a-secret-of-the-test-with-32-characters"
ADDRESSES = BounceAddresses(DOMAIN, SECRET)
ID = new_uuid()
TO = ADDRESSES.address(ID)


SAID = "smtp; 550 5.1.1 <louisl@larry.slip.umd.edu>... no such user"


def dsn(*, action: str = "failed", status: str = "5.1.1", said: str = SAID) -> bytes:
    """RFC 3464, appendix, "Simple DSN", with what is asked for."""
    return f"""\
Date: Thu, 7 Jul 1994 17:16:05 -0400\r
From: Mail Delivery Subsystem <MAILER-DAEMON@CS.UTK.EDU>\r
Message-Id: <199407072116.RAA14128@CS.UTK.EDU>\r
Subject: Returned mail: Cannot send message for 5 days\r
To: <{TO}>\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status;\r
\tboundary="RAA14128.773615765/CS.UTK.EDU"\r
\r
--RAA14128.773615765/CS.UTK.EDU\r
\r
The original message was received at Sat, 2 Jul 1994 17:10:28 -0400\r
from root@localhost\r
\r
--RAA14128.773615765/CS.UTK.EDU\r
content-type: message/delivery-status\r
\r
Reporting-MTA: dns; cs.utk.edu\r
\r
Original-Recipient: rfc822;louisl@larry.slip.umd.edu\r
Final-Recipient: rfc822;louisl@larry.slip.umd.edu\r
Action: {action}\r
Status: {status}\r
Diagnostic-Code: {said}\r
Last-Attempt-Date: Thu, 7 Jul 1994 17:15:49 -0400\r
\r
--RAA14128.773615765/CS.UTK.EDU\r
content-type: message/rfc822\r
\r
From: no-reply@clarion.test\r
Subject: Hello\r
\r
Hi\r
--RAA14128.773615765/CS.UTK.EDU--\r
""".encode()


def arf(*, kind: str = "abuse", sender: str = TO) -> bytes:
    """RFC 5965, appendix B, with our own mail in it."""
    return f"""\
From: <abusedesk@example.com>\r
Date: Thu, 8 Mar 2005 17:40:36 EDT\r
Subject: FW: Earn money\r
To: <complaints@{DOMAIN}>\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=feedback-report;\r
     boundary="part1_13d.2e68ed54_boundary"\r
\r
--part1_13d.2e68ed54_boundary\r
Content-Type: text/plain; charset="US-ASCII"\r
\r
This is an email abuse report for an email message received from IP 192.0.2.1.\r
\r
--part1_13d.2e68ed54_boundary\r
Content-Type: message/feedback-report\r
\r
Feedback-Type: {kind}\r
User-Agent: SomeGenerator/1.0\r
Version: 1\r
Original-Mail-From: <{sender}>\r
Arrival-Date: Thu, 8 Mar 2005 14:00:00 EDT\r
\r
--part1_13d.2e68ed54_boundary\r
Content-Type: message/rfc822\r
\r
From: no-reply@clarion.test\r
To: "Ada, L" <ada@example.org>\r
Subject: Earn money\r
Message-ID: <8787KJKJ3K4J3K4J3K4J3.mail@clarion.test>\r
\r
Spam\r
--part1_13d.2e68ed54_boundary--\r
""".encode()


@pytest.mark.parametrize(
    ("raw", "fact", "reason"),
    [
        (dsn(), Fact.HARD_BOUNCED, "5_1_1"),
        (dsn(status="5.0.0"), Fact.HARD_BOUNCED, "5_1_1"),
        (dsn(status="5.2.2", said="smtp; 552 5.2.2 mailbox full"), Fact.SOFT_BOUNCED, "5_2_2"),
        (dsn(status="4.4.7", said="expired"), Fact.SOFT_BOUNCED, "4_4_7"),
        (dsn(status="5.7.1", said="smtp; 550 5.7.1 policy"), Fact.SOFT_BOUNCED, "5_7_1"),
        (dsn(status="", said=""), Fact.SOFT_BOUNCED, "BOUNCE"),
        (dsn(action="delivered", status="2.0.0"), Fact.DELIVERED, ""),
    ],
)
def test_what_a_delivery_status_notification_says(raw: bytes, fact: Fact, reason: str) -> None:
    [report] = reports_of(raw, TO, ADDRESSES)
    assert (report.notification_id, report.fact, report.reason, report.address) == (ID, fact, reason, "louisl@larry.slip.umd.edu")
    assert report.time == datetime(1994, 7, 7, 21, 15, 49, tzinfo=UTC)
    assert not report.trusted
    assert "louisl" not in report.detail


@pytest.mark.parametrize("action", ["delayed", "relayed", "expanded", ""])
def test_a_mail_that_is_only_late_is_no_fact(action: str) -> None:
    assert reports_of(dsn(action=action), TO, ADDRESSES) == []


def test_the_same_notification_twice_is_one_event() -> None:
    assert reports_of(dsn(), TO, ADDRESSES) == reports_of(dsn(), TO.upper(), ADDRESSES)


def test_an_abuse_report_names_its_mail_by_the_address_that_it_came_from() -> None:
    [report] = reports_of(arf(), f"complaints@{DOMAIN}", ADDRESSES)
    assert (report.notification_id, report.fact, report.address) == (ID, Fact.COMPLAINED, "ada@example.org")
    assert reports_of(arf(kind="not-spam"), TO, ADDRESSES) == []
    forged = BounceAddresses(DOMAIN, "another" * 6).address(ID)
    assert reports_of(arf(sender=forged), f"complaints@{DOMAIN}", ADDRESSES) == []


def test_a_mail_about_boundaries_comes_back_as_any_other() -> None:
    """Only what is a boundary for a mail program counts towards the most that are read."""
    text = b"Where is the boundary? A boundary is a line = a limit.\r\n" * 40
    assert len(reports_of(dsn().replace(b"Hi\r\n", text), TO, ADDRESSES)) == 1


def test_an_address_in_angle_brackets_is_the_address() -> None:
    raw = dsn().replace(b"rfc822;louisl@larry.slip.umd.edu", b"rfc822; <louisl@larry.slip.umd.edu>")
    [report] = reports_of(raw, TO, ADDRESSES)
    assert report.address == "louisl@larry.slip.umd.edu"


@pytest.mark.parametrize(
    "name", [b"boundary ", b"BOUNDARY", b"boundary*", b"boundary*0", b"boundary*0*", b"boundary\x1c", b"boundary\r\n\t"]
)
def test_boundaries_are_counted_in_each_of_their_spellings(name: bytes) -> None:
    assert reports_of(nested(100, dsn()).replace(b"boundary=b", name + b"=b"), TO, ADDRESSES) == []


def nested(depth: int, inner: bytes) -> bytes:
    return b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (at, at) for at in range(depth)) + inner


def test_what_no_mail_server_writes_is_not_worked_at() -> None:
    """Anyone may write such a mail, and many at once: the library takes seconds for each, or a fact stands for each line."""
    assert len(reports_of(nested(5, dsn()), TO, ADDRESSES)) == 1
    assert reports_of(nested(100, dsn()), TO, ADDRESSES) == []
    block = b"\r\nFinal-Recipient: rfc822;someone@example.com\r\nAction: failed\r\nStatus: 5.0.%d\r\n"
    many = dsn().replace(b"\r\nOriginal-Recipient", b"".join(block % number for number in range(200)) + b"\r\nOriginal-Recipient")
    assert len(reports_of(many, TO, ADDRESSES)) == 10
    [report] = reports_of(arf().replace(b"Original-Rcpt-To: ", b"Original-Rcpt-To: " + b"x" * 5000), TO, ADDRESSES)
    assert len(report.address) <= 2000


@given(st.binary(max_size=300), st.integers(0, 1200), st.integers(0, 300))
def test_a_broken_mail_is_at_worst_no_report(noise: bytes, at: int, cut: int) -> None:
    for whole in (dsn(), arf()):
        for report in reports_of(whole[:at] + noise + whole[at + cut :], TO, ADDRESSES):
            assert report.notification_id == ID


@given(st.uuids(), st.integers(0, 41))
def test_an_address_is_read_back_in_any_case_and_never_changed(identifier: UUID, index: int) -> None:
    address = ADDRESSES.address(identifier)
    assert ADDRESSES.notification_of(address.upper()) == identifier
    other = "a" if address[index] != "a" else "b"
    changed = ADDRESSES.notification_of(address[:index] + other + address[index + 1 :])
    assert changed is None or (changed == identifier and index == 41)  # the last character has two bits that say nothing


@pytest.fixture
def suppressions() -> List:
    return List()


@pytest.fixture
async def port(database: Database, suppressions: List) -> AsyncIterator[int]:
    settings = BounceSettings(DOMAIN, SECRET, "127.0.0.1", 0)
    async with open_listener(settings, Facts(FactRepository(database), suppressions)) as opened:
        yield opened


async def hand_over(port: int, raw: bytes, *recipients: str) -> tuple[int, str]:
    """What a mail server gets as an answer to its mail."""

    def talk() -> tuple[int, str]:
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
            try:
                client.sendmail("", recipients, raw)
            except smtplib.SMTPRecipientsRefused as refused:
                code, text = refused.recipients[recipients[-1]]
                return code, text.decode()
            except smtplib.SMTPResponseException as refused:
                return refused.smtp_code, str(refused.smtp_error)
        return 250, ""

    return await asyncio.to_thread(talk)


async def test_a_bounce_by_smtp_is_recorded_once_and_suppresses(port: int, database: Database, suppressions: List) -> None:
    row = await sent(database)
    to = ADDRESSES.address(row.id)
    for _ in range(2):
        assert (await hand_over(port, dsn(), to))[0] == 250
    assert [entry[1:] for entry in suppressions.entries] == [(str(row.user_id), "louisl@larry.slip.umd.edu", "bounce", True)]
    found = await NotificationRepository(database).find(row.id, Reach(FIRST_PROJECT))
    assert found is not None
    assert [(entry.fact, entry.provider) for entry in found.timeline if entry.fact] == [(Fact.HARD_BOUNCED, "mail")]


async def test_what_can_not_be_recorded_now_is_to_be_sent_again(port: int, database: Database, suppressions: List) -> None:
    row = await sent(database)
    suppressions.away = True
    assert (await hand_over(port, dsn(), ADDRESSES.address(row.id)))[0] == 451
    suppressions.away = False
    assert (await hand_over(port, dsn(), ADDRESSES.address(row.id)))[0] == 250
    assert len(suppressions.entries) == 1


async def test_a_date_before_all_time_is_taken_for_now(port: int, database: Database) -> None:
    row = await sent(database)
    raw = dsn().replace(b"Thu, 7 Jul 1994 17:15:49 -0400", b"Mon, 1 Jan 0101 00:00:00 +2359")
    assert (await hand_over(port, raw, ADDRESSES.address(row.id)))[0] == 250
    found = await NotificationRepository(database).find(row.id, Reach(FIRST_PROJECT))
    assert found is not None
    assert [entry.time.year > 2000 for entry in found.timeline if entry.fact] == [True]


class Broken:
    async def fresh(self, reports: object) -> list[Fresh]:
        raise RuntimeError("SELECT secret")

    async def record(self, reports: object) -> int:
        return 0


async def test_what_goes_wrong_inside_is_not_said_to_other_servers(suppressions: List) -> None:
    settings = BounceSettings(DOMAIN, SECRET, "127.0.0.1", 0)
    async with open_listener(settings, Facts(Broken(), suppressions)) as port:
        assert await hand_over(port, dsn(), TO) == (451, "b'4.3.0 Try again later'")


async def test_where_all_places_are_taken_the_connection_that_has_lasted_too_long_goes(suppressions: List, database: Database) -> None:
    settings, facts = BounceSettings(DOMAIN, SECRET, "127.0.0.1", 0), Facts(FactRepository(database), suppressions)
    async with open_listener(settings, facts, most=2, life_s=3600) as port, AsyncExitStack() as held:
        for _ in range(2):
            await held.enter_async_context(greeted(port, b"220"))
        await held.enter_async_context(greeted(port, b"421"))
    async with open_listener(settings, facts, most=2, life_s=0) as port, AsyncExitStack() as held:
        first = await held.enter_async_context(greeted(port, b"220"))
        for _ in range(2):
            await held.enter_async_context(greeted(port, b"220"))
        with suppress(ConnectionError):
            assert await first.read() == b""


@asynccontextmanager
async def greeted(port: int, code: bytes) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        assert (await reader.readline()).startswith(code)
        yield reader
    finally:
        writer.close()


async def test_mail_to_addresses_that_we_have_not_made_is_refused(port: int) -> None:
    forged = BounceAddresses(DOMAIN, "another" * 6).address(ID)
    for other in ("postmaster@elsewhere.example", f"someone@{DOMAIN}", forged, TO.replace(DOMAIN, "elsewhere.example")):
        assert (await hand_over(port, dsn(), other))[0] == 550
    assert (await hand_over(port, dsn(), f"Complaints@{DOMAIN}"))[0] == 250


async def test_a_mail_that_is_too_large_or_no_report_does_no_harm(port: int, suppressions: List) -> None:
    assert (await hand_over(port, b"Subject: x\r\n\r\n" + (b"x" * 900 + b"\r\n") * 1000, TO))[0] == 250
    assert (await hand_over(port, b"Subject: x\r\n\r\n" + (b"x" * 900 + b"\r\n") * 2000, TO))[0] == 552
    nested = b"Content-Type: message/rfc822\r\n\r\n" * 20_000
    assert (await hand_over(port, nested, TO))[0] == 250
    assert suppressions.entries == []
