"""Reading what was said: on a real PostgreSQL, with user_svc and template_svc in memory."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from clarion.template.v1.render_service_pb2 import Rendered
from clarion.user.v1.recipient_service_pb2 import Recipient
from gateway.accepting.errors import UserNotFound
from gateway.accepting.models import Acceptance, Record, Row
from gateway.accepting.notification_writer import NotificationWriter
from gateway.accepting.use_cases import Key
from gateway.contents.errors import ContentGone, NotRepeatable, NotSent
from gateway.contents.rendering import RenderedAgain
from gateway.contents.repository import PayloadRepository
from gateway.contents.resending import Resending
from gateway.contents.use_cases import SentContents
from gateway.dead_letters.models import State
from gateway.dead_letters.use_cases import Requeue
from gateway.notifications.errors import NotificationNotFound
from gateway.notifications.models import Entry, Outcome, Status
from gateway.notifications.repository import NotificationRepository
from gateway.sagas.redaction import PersonalRows
from gateway.settling.outcomes import Outcomes
from mesh import context
from mesh.context import CallContext
from mesh.errors import ServiceError, Unavailable
from mesh.idempotency.errors import IdempotencyKeyReused
from mesh.ids import new_uuid
from mesh.stores.database import Database
from mesh.testing import caller
from template_svc.errors import MissingVariable
from tests.delivery.fakes import FakeRenderer
from tests.gateway.dead_letter_desk import REVIEWER, Desk
from tests.gateway.factories import make_delivery, make_row
from tests.gateway.test_sending import USER, World

READER = caller("notifications:content")
WEEK = timedelta(days=7)


class FakeReaders:
    """Everyone is called Ada and reads Polish, but for those who are gone. `shown` is the audit log."""

    def __init__(self) -> None:
        self.gone: set[str] = set()
        self.shown: list[tuple[str, str, str]] = []
        self.audit_ids: list[str] = []

    async def describe(self, project: str, user_id: str, *, content_of: str, asked_by: str, audit_id: str) -> Recipient | None:
        if user_id in self.gone:
            return None
        self.shown.append((user_id, content_of, asked_by))
        self.audit_ids.append(audit_id)
        return Recipient(name="Ada", locale="pl", timezone="Europe/Warsaw")


class Door:
    """What is read, and what is beneath."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = datetime.now(UTC)
        self.ticks = 0.0
        self.readers, self.renderer = FakeReaders(), FakeRenderer()
        self.payloads = PayloadRepository(database, now=lambda: self.now, clock=lambda: self.ticks)
        self.contents = self.opened(None)

    def opened(self, kept: timedelta | None) -> SentContents:
        store = NotificationRepository(self.database)
        texts = RenderedAgain(self.readers, self.renderer)
        return SentContents(store, self.payloads, texts, kept=kept, now=lambda: self.now)

    async def stored(self, status: Status | None = Status.SENT, *, locale: str = "pl", **changes: Any) -> Row:
        """A notification that ended so; None for one that waits."""
        row = make_row(**changes)
        delivery = make_delivery(row)
        delivery.variables.update({"order": "A-1"})
        row = row._replace(payload=delivery.SerializeToString())
        await NotificationWriter(self.database, lambda _: None).store(row)
        if status is not None:
            await Outcomes(self.database).apply([Outcome(row.id, Entry(self.now, status, 0, 1), locale)])
        return row

    async def payload_of(self, row: Row) -> bytes | None:
        async with self.database.connect() as connection:
            found = await connection.execute(text("SELECT payload FROM notifications WHERE id = :id"), {"id": row.id})
            return found.scalar_one()  # type: ignore[no-any-return]  # a column of bytes


@pytest.fixture
def door(database: Database) -> Door:
    return Door(database)


async def test_it_is_rendered_as_it_was_sent_for_the_person_and_noted(door: Door) -> None:
    """Version and variables are those of the send; what is sensitive is to be masked."""
    row = await door.stored(template="receipt", template_version=3)
    said = await door.contents.get(READER, str(row.id))
    [[item]] = door.renderer.asked
    assert (item.template, item.version, item.locale, item.timezone, item.mask_sensitive) == ("receipt", 3, "pl", "Europe/Warsaw", True)
    assert (item.variables["order"], item.variables.fields["user"].struct_value["name"]) == ("A-1", "Ada")
    assert (said.notification_id, said.template, said.template_version) == (str(row.id), "receipt", 3)
    assert door.readers.shown == [(str(row.user_id), str(row.id), READER.label)]


async def test_it_is_in_the_language_that_was_sent_also_after_the_person_has_chosen_another(door: Door) -> None:
    row = await door.stored(locale="en")
    asked: list[str] = []

    def in_its_locale(item: Any) -> Rendered:
        asked.append(item.locale)
        return Rendered(locale=item.locale)

    door.renderer.rendered = in_its_locale  # type: ignore[method-assign]  # a fake that answers in the locale it is asked for
    assert (await door.contents.get(READER, str(row.id))).locale == "en"
    assert asked == ["pl", "en"]


@pytest.mark.parametrize("status", [None, Status.RETRYING, Status.FAILED, Status.SKIPPED, Status.EXPIRED])
async def test_only_what_was_sent_can_be_read(door: Door, status: Status | None) -> None:
    row = await door.stored(status)
    with pytest.raises(NotSent) as caught:
        await door.contents.get(READER, str(row.id))
    assert caught.value.metadata["status"] == ("pending" if status is None else status.name.lower())
    assert door.readers.shown == []


async def test_another_projects_is_as_an_unknown_one(door: Door) -> None:
    row = await door.stored(project="another")
    for unknown in (str(row.id), str(new_uuid()), "x"):
        with pytest.raises(NotificationNotFound):
            await door.contents.get(READER, unknown)
    assert door.readers.shown == []


async def test_of_an_erased_person_nothing_can_be_read(door: Door) -> None:
    """Neither while their notifications still are to be emptied, nor after that."""
    row = await door.stored()
    door.readers.gone.add(str(row.user_id))
    with pytest.raises(ContentGone):
        await door.contents.get(READER, str(row.id))
    door.readers.gone.clear()
    await PersonalRows(door.database).redact(row.user_id)
    with pytest.raises(ContentGone):
        await door.contents.get(READER, str(row.id))
    assert door.readers.shown == []


async def test_mails_about_accounts_are_never_shown(door: Door) -> None:
    row = await door.stored(template="clarion.password-reset")
    with pytest.raises(ContentGone):
        await door.contents.get(READER, str(row.id))


@pytest.mark.parametrize("error", [MissingVariable.because(["variables.user.plan"], "contents.en.text"), Unavailable("away")])
async def test_what_can_not_be_made_again_says_why(door: Door, error: ServiceError) -> None:
    row = await door.stored()
    door.renderer.errors["welcome"] = error
    with pytest.raises(ServiceError) as caught:
        await door.contents.get(READER, str(row.id))
    assert caught.value.reason == ("CONTENT_GONE" if isinstance(error, MissingVariable) else error.reason)


async def test_after_its_time_it_can_not_be_read_and_is_forgotten(door: Door) -> None:
    """It counts from its end. What a reviewer may send again is kept."""
    old, late = await door.stored(), await door.stored()
    letter = await Desk(door.database).failed()
    reviewed = await Desk(door.database).failed()
    await Desk(door.database).letters.discard(REVIEWER, str(reviewed.id), "enough")
    waiting = await door.stored(None)
    await age(door, just_ended=late.id)
    contents = door.opened(WEEK)
    with pytest.raises(ContentGone):
        await contents.get(READER, str(old.id))
    assert (await contents.get(READER, str(late.id))).notification_id == str(late.id)
    while await door.payloads.forget(WEEK):
        pass
    assert [await door.payload_of(row) for row in (old, reviewed)] == [b"", b""]
    assert all([await door.payload_of(row) for row in (late, letter, waiting)])
    with pytest.raises(ContentGone):
        await door.opened(None).get(READER, str(old.id))
    assert (await Desk(door.database).letters.requeue(REVIEWER, str(letter.id), Requeue())).state is State.REQUEUED


async def age(door: Door, *, just_ended: UUID | None = None) -> None:
    """More than a week goes by; one notification ends at its end."""
    door.now += WEEK + timedelta(hours=1)
    async with door.database.begin() as connection:
        await connection.execute(
            text("UPDATE notifications SET update_time = :now WHERE id = :id"), {"now": door.now, "id": just_ended or UUID(int=0)}
        )


async def test_one_pass_a_day_looks_at_all_that_is_old(door: Door) -> None:
    row = await door.stored()
    assert await door.payloads.forget(WEEK) == 0
    await age(door)
    assert (await door.payloads.forget(WEEK), bool(await door.payload_of(row))) == (0, True)
    door.ticks += 86_400
    await door.payloads.forget(WEEK)
    assert await door.payload_of(row) == b""


async def test_what_is_heard_later_of_a_forgotten_one_keeps_its_details(door: Door) -> None:
    """It is no erased person's."""
    row = await door.stored()
    await age(door)
    await door.payloads.forget(WEEK)
    outcome = Outcome(row.id, Entry(door.now, Status.RETRYING, 0, 1, "SMTP_451", "try later", start_time=door.now))
    await Outcomes(door.database).apply([outcome])
    async with door.database.connect() as connection:
        found = await connection.execute(text("SELECT detail FROM timeline WHERE notification_id = :id AND reason <> ''"), {"id": row.id})
        assert found.scalars().all() == ["try later"]


AGAIN = caller("notifications:content", "notifications:send")


async def test_what_of_the_first_one_is_accepted_no_longer_is_said_of_a_resend(door: Door) -> None:
    """The request has no field for it. What it does have is named as in any send."""
    row, resending = await door.stored(), Resending(door.contents, door.readers, World().sender)
    with context.use(CallContext("m", "c-1", AGAIN)):
        with pytest.raises(NotRepeatable, match=r"variables: the template needs name.*POST /v1/notifications") as refused:
            await resending.resend(AGAIN, str(row.id), user_id=USER, to=None, key=None)
        assert refused.value.metadata == {"why": "MISSING_VARIABLE"}
        with pytest.raises(UserNotFound):
            await resending.resend(AGAIN, str(row.id), user_id="crm-18", to=None, key=None)


async def test_a_repeated_resend_is_answered_when_the_first_ones_content_is_gone(door: Door) -> None:
    row, world = await door.stored(), World()
    resending, key = Resending(door.contents, door.readers, world.sender), Key("k", b"f" * 32)
    accepted = Acceptance(new_uuid(), Status.PENDING, door.now)
    world.store.standing = Record(b"d" * 32, key.fingerprint, accepted.pack(), door.now)
    door.readers.gone.add(str(row.user_id))
    await PersonalRows(door.database).redact(row.user_id)
    served = CallContext("m", "c-1", AGAIN)
    with context.use(served):
        assert await resending.resend(AGAIN, str(row.id), user_id=USER, to=None, key=key) == accepted
        assert served.headers == [("idempotency-replayed", "true")]
        with pytest.raises(IdempotencyKeyReused):
            await resending.resend(AGAIN, str(row.id), user_id=USER, to=None, key=Key("k", b"g" * 32))
        world.store.standing = None
        with pytest.raises(ContentGone):
            await resending.resend(AGAIN, str(row.id), user_id=USER, to=None, key=key)
    assert door.readers.shown == []
