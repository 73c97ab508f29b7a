"""Later facts on a real PostgreSQL: recorded once, on the timeline and in the feed, and what they forbid."""

import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from gateway.accepting.models import Row
from gateway.accepting.notification_writer import NotificationWriter
from gateway.changes.models import ChangeFilters
from gateway.changes.repository import ChangeRepository
from gateway.facts.events import moment
from gateway.facts.models import MAX_UNTRUSTED, Report, reason_of, scrub
from gateway.facts.repository import FactRepository
from gateway.facts.ses import Ses
from gateway.facts.sns import SnsMessages
from gateway.facts.use_cases import Facts
from gateway.notifications.models import Entry, Fact, Outcome, Reach, Status
from gateway.notifications.repository import NotificationRepository
from gateway.sagas.redaction import PersonalRows
from gateway.settling.outcomes import Outcomes
from gateway.webhooks.events import change_body
from mesh.context import FIRST_PROJECT
from mesh.errors import Internal, Unavailable
from mesh.ids import new_uuid
from mesh.stores.database import Database
from tests.gateway.factories import make_row
from tests.gateway.test_provider_events import COMPLAINT, TOPIC, Amazon, ses_event, sns
from tests.provider_requests import ID

NOW = datetime.now(UTC)


class List:
    """A suppression list that can be out of reach, from one entry on too, and can't take one address."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, str, str, bool]] = []
        self.away = False
        self.room = sys.maxsize
        self.poison = ""

    async def suppress(
        self, project: str, user_id: str, address: str, evidence: str, *, reason: str = "", only_their_own: bool = False
    ) -> None:
        if address == self.poison:
            raise Internal("a defect")
        if self.away or len(self.entries) >= self.room:
            raise Unavailable("user_svc")
        self.entries.append((project, user_id, address, reason, only_their_own))


@pytest.fixture
def suppressions() -> List:
    return List()


@pytest.fixture
def facts(database: Database, suppressions: List) -> Facts:
    return Facts(FactRepository(database), suppressions, opens=True)


async def sent(database: Database) -> Row:
    row, writer = make_row(), NotificationWriter(database, lambda _: None)
    await writer.store(row)
    await writer.close()
    await Outcomes(database).apply([Outcome(row.id, Entry(NOW, Status.SENT, 0, 1))])
    return row


def report(identifier: UUID, fact: Fact, key: str = "event-1", *, trusted: bool = True, after_s: float = 1) -> Report:
    moment = NOW + timedelta(seconds=after_s)
    return Report(identifier, key, fact, moment, "ses", "5_1_1", "no such user", "ada@example.com", trusted)


async def test_a_fact_stands_on_the_timeline_and_in_the_feed_and_leaves_the_status(database: Database, facts: Facts) -> None:
    row = await sent(database)
    assert await facts.take([report(row.id, Fact.OPENED, "b", after_s=9), report(row.id, Fact.DELIVERED, "a")]) == 2
    found = await NotificationRepository(database).find(row.id, Reach(FIRST_PROJECT))
    assert found is not None
    assert found.status is Status.SENT
    assert [(entry.fact, entry.status, entry.provider) for entry in found.timeline[-2:]] == [
        (Fact.DELIVERED, Status.SENT, "ses"), (Fact.OPENED, Status.SENT, "ses"),
    ]  # fmt: skip
    feed = ChangeRepository(database)
    await feed.sequence()
    changes = (await feed.read(ChangeFilters(FIRST_PROJECT), after=0, positions=10)).changes
    assert [(one.status, one.fact) for one in changes[-3:]] == [
        (Status.SENT, None), (Status.SENT, Fact.DELIVERED), (Status.SENT, Fact.OPENED),
    ]  # fmt: skip
    assert b'"type":"notification.delivered"' in change_body(changes[-2])
    narrow = await feed.read(ChangeFilters(FIRST_PROJECT, statuses=(Status.SENT,)), after=0, positions=10)
    assert [one.fact for one in narrow.changes] == [None]


async def test_a_repeated_report_has_no_effect_even_under_way_at_the_same_time(
    database: Database, facts: Facts, suppressions: List
) -> None:
    row = await sent(database)
    taken = await asyncio.gather(*(facts.take([report(row.id, Fact.HARD_BOUNCED)] * 2) for _ in range(8)))
    assert sum(taken) == 1
    suppressions.entries.clear()
    assert await facts.take([report(row.id, Fact.HARD_BOUNCED)]) == 0
    assert suppressions.entries == []


@pytest.mark.parametrize(("fact", "reason"), [(Fact.HARD_BOUNCED, "bounce"), (Fact.COMPLAINED, "complaint")])
async def test_what_forbids_more_mail_is_suppressed_for_its_project_and_person(
    database: Database, facts: Facts, suppressions: List, fact: Fact, reason: str
) -> None:
    row = await sent(database)
    await facts.take([report(row.id, fact, trusted=False), report(row.id, Fact.SOFT_BOUNCED, "other")])
    assert suppressions.entries == [(FIRST_PROJECT, str(row.user_id), "ada@example.com", reason, True)]


async def test_nothing_is_recorded_while_the_address_can_not_be_suppressed(database: Database, facts: Facts, suppressions: List) -> None:
    """The reporter repeats it, and then it has its effect."""
    row = await sent(database)
    suppressions.away = True
    with pytest.raises(Unavailable):
        await facts.take([report(row.id, Fact.COMPLAINED)])
    suppressions.away = False
    assert await facts.take([report(row.id, Fact.COMPLAINED)]) == 1
    assert len(suppressions.entries) == 1


async def test_what_was_recorded_of_a_large_batch_is_not_done_again_when_it_is_repeated(
    database: Database, facts: Facts, suppressions: List
) -> None:
    """Else a batch for which the time does not suffice is never recorded, however often its provider repeats it."""
    row = await sent(database)
    bounces = [report(row.id, Fact.HARD_BOUNCED, f"event-{number}") for number in range(120)]
    for _ in range(10):
        suppressions.room = len(suppressions.entries) + 30
        try:
            await facts.take(bounces)
        except Unavailable:
            continue
        break
    assert len(suppressions.entries) < 2 * len(bounces), "each is suppressed once, but for those that were under way"
    suppressions.room = sys.maxsize
    assert await facts.take(bounces) == 0


async def test_one_report_that_can_not_be_recorded_keeps_no_other_from_it(database: Database, facts: Facts, suppressions: List) -> None:
    """What is not recorded is said to the provider, which repeats all of the batch."""
    row = await sent(database)
    bounces = [report(row.id, Fact.HARD_BOUNCED, f"event-{number}") for number in range(60)]
    bounces[7] = replace(bounces[7], address="odd@example.com")
    suppressions.poison = "odd@example.com"
    for _ in range(2):
        with pytest.raises(Internal):
            await facts.take(bounces)
        assert len(suppressions.entries) == 59
    suppressions.poison = ""
    assert await facts.take(bounces) == 1


async def test_a_report_about_nothing_of_ours_is_none(facts: Facts, suppressions: List) -> None:
    assert await facts.take([report(new_uuid(), Fact.HARD_BOUNCED)]) == 0
    assert await facts.take([]) == 0
    assert suppressions.entries == []


async def test_no_details_are_kept_of_an_erased_person(database: Database, facts: Facts) -> None:
    row = await sent(database)
    await facts.take([report(row.id, Fact.DELIVERED, "before")])
    await PersonalRows(database).redact(row.user_id)
    await facts.take([report(row.id, Fact.SOFT_BOUNCED, "after")])
    async with database.connect() as connection:
        found = (await connection.execute(text("SELECT detail FROM delivery_facts"))).scalars().all()
    assert found == ["", ""]


async def test_old_facts_are_forgotten(database: Database, facts: Facts) -> None:
    row = await sent(database)
    await facts.take([report(row.id, Fact.DELIVERED)])
    repository = FactRepository(database)
    assert await repository.clean(older_than_s=60) == 0
    assert await repository.clean(older_than_s=0) == 1


async def test_who_reports_one_mail_without_end_is_not_recorded_without_end(database: Database, facts: Facts) -> None:
    """What a provider has signed is, and so is a complaint; opens take no one's place."""
    row = await sent(database)
    opens = [replace(report(row.id, Fact.OPENED, f"open-{number}"), provider="sendgrid") for number in range(MAX_UNTRUSTED)]
    assert await facts.take(opens) == MAX_UNTRUSTED
    given = [report(row.id, Fact.SOFT_BOUNCED, f"event-{number}", trusted=False) for number in range(MAX_UNTRUSTED)]
    assert await facts.take(given) == MAX_UNTRUSTED
    assert await facts.take([report(row.id, Fact.SOFT_BOUNCED, "another", trusted=False)]) == 0
    assert await facts.take([report(row.id, Fact.SOFT_BOUNCED, "signed")]) == 1
    assert await facts.take([report(row.id, Fact.COMPLAINED, "complaint", trusted=False)]) == 1


@pytest.mark.parametrize(
    "value", ["0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00", "9999-12-31T23:59:59-23:59", -(10**11), 10**300, "x", None]
)
async def test_a_time_that_can_not_be_is_now(database: Database, facts: Facts, value: object) -> None:
    row, before = await sent(database), datetime.now(UTC)
    found = moment(value)
    assert before <= found <= datetime.now(UTC)
    assert await facts.take([replace(report(row.id, Fact.DELIVERED), time=found)]) == 1


def test_a_servers_words_lose_addresses_and_lines() -> None:
    assert scrub("a" * 2_000_000) == "a" * 200  # at once; it took hours when each letter began a search for an @
    assert scrub("to ada@x.example, x@y@z and @ 9@") == "to (address), (address) and @ 9@"
    assert scrub("550 5.1.1 <ada@example.com>:\r\n no such user") == "550 5.1.1 <(address)>: no such user"
    assert len(scrub("x" * 1000)) == 200
    assert scrub("5.1.1 louisl... User unknown, not louisla", "LouisL@x.example") == "5.1.1 (address)... User unknown, not louisla"
    assert (reason_of("5.1.1", "X"), reason_of("mailbox-full", "X"), reason_of("", "X")) == ("5_1_1", "MAILBOX_FULL", "X")


async def test_a_complaint_that_ses_publishes_stands_on_the_timeline_and_in_the_feed_and_forbids_more_mail(
    database: Database, facts: Facts, suppressions: List
) -> None:
    """Amazon's public example, signed as SNS signs it, for a mail that was sent."""
    row = await sent(database)
    published = ses_event("Complaint", complaint=COMPLAINT).replace(ID, str(row.id))
    reports = await Ses(SnsMessages([TOPIC], Amazon().fetch)).read({}, sns("Notification", published))
    assert await facts.take(reports) == 1
    found = await NotificationRepository(database).find(row.id, Reach(FIRST_PROJECT))
    assert found is not None
    entry = found.timeline[-1]
    assert (found.status, entry.fact, entry.provider, entry.reason) == (Status.SENT, Fact.COMPLAINED, "ses", "ABUSE")
    assert suppressions.entries == [(FIRST_PROJECT, str(row.user_id), "recipient@example.com", "complaint", False)]
    feed = ChangeRepository(database)
    await feed.sequence()
    assert (await feed.read(ChangeFilters(FIRST_PROJECT), after=0, positions=10)).changes[-1].fact is Fact.COMPLAINED
