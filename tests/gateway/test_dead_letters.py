"""Dead letters: filed, listed, requeued once, discarded; on a real PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from importlib import import_module
from uuid import UUID

import pytest
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from sqlalchemy import text
from sqlalchemy.dialects import postgresql

from clarion.delivery.v1 import delivery_pb2
from clarion.delivery.v1.delivery_pb2 import Delivery, DeliveryResolved
from clarion.notification.v1 import dead_letter_pb2
from gateway.accepting.notification_writer import NotificationWriter
from gateway.dead_letters.bulk_models import BulkState
from gateway.dead_letters.errors import AlreadyResolved, DeadLetterNotFound, NewRecipientNotFound, NotRequeuable
from gateway.dead_letters.gauges import DeadLetterGauges
from gateway.dead_letters.models import Action, Cause, DeadLetterFilters, State, View, cause_of
from gateway.dead_letters.repository import DeadLetterRepository, page_query
from gateway.dead_letters.use_cases import Requeue
from gateway.notifications.models import Channel, Status
from gateway.settling.convert import outcome_of
from gateway.settling.outcomes import Outcomes
from mesh.context import FIRST_PROJECT
from mesh.errors import InvalidArgument, ScopeMissing
from mesh.ids import new_id, new_uuid
from mesh.stores.database import Database
from mesh.testing import caller
from tests.gateway import dead_letter_desk
from tests.gateway.dead_letter_desk import REVIEWER, START, Desk, struct
from tests.gateway.factories import make_delivery, make_row

AGAIN = Requeue()


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


async def test_a_dead_letter_tells_what_happened(desk: Desk) -> None:
    row = await desk.failed()
    letter = await desk.letters.get(REVIEWER, str(row.id), View.BASIC)
    assert (letter.user_id, letter.template, letter.state, letter.reason) == (row.user_id, "welcome", State.OPEN, "SMTP_550")
    assert (letter.attempts, letter.create_time, letter.correlation_id) == (4, START, "c-1")


async def test_requeuing_ten_times_at_once_sends_once(desk: Desk) -> None:
    """With the same id, fresh attempts, and the devices that were still to be reached."""
    row = await desk.failed()
    letters = await asyncio.gather(*(desk.letters.requeue(REVIEWER, str(row.id), Requeue("fixed")) for _ in range(10)))
    assert {(letter.state, letter.resolved_by, letter.note) for letter in letters} == {(State.REQUEUED, "api_key:test-key", "fixed")}
    assert len(desk.published) == 1
    delivery = desk.delivery(0)
    assert (delivery.notification_id, delivery.run, delivery.attempt) == (str(row.id), 1, 1)
    assert desk.published[0].caller == row.caller
    found = await desk.get(row.id)
    assert (found.status, found.progress.run, found.progress.attempts, found.reason) == (Status.PENDING, 1, 0, "")
    assert [(entry.run, entry.status, entry.reason) for entry in found.timeline] == [
        (0, Status.PENDING, ""),
        (0, Status.FAILED, "SMTP_550"),
        (1, Status.PENDING, "REQUEUED"),
    ]


async def test_what_a_test_key_has_sent_reaches_no_provider_whatever_its_letter_says(desk: Desk) -> None:
    row = await desk.failed(test=True)
    async with desk.database.begin() as connection:
        forged = make_delivery(row._replace(test=False)).SerializeToString()
        await connection.execute(text("UPDATE dead_letters SET delivery = :delivery"), {"delivery": forged})
    await desk.letters.requeue(REVIEWER, str(row.id), AGAIN)
    assert desk.delivery().test
    assert (await desk.get(row.id)).test
    [given_up] = await Outcomes(desk.database).give_up([row.id])
    assert Delivery.FromString(given_up.delivery).test


async def test_one_that_fails_again_is_open_again(desk: Desk) -> None:
    row = await desk.failed()
    await desk.letters.requeue(REVIEWER, str(row.id), AGAIN)
    await desk.fail(row)  # told late, of the run before
    assert (await desk.letters.get(REVIEWER, str(row.id), View.BASIC)).state is State.REQUEUED
    await desk.fail(row, run=1, at=60)
    letter = await desk.letters.get(REVIEWER, str(row.id), View.BASIC)
    assert (letter.state, letter.run, letter.resolved_by) == (State.OPEN, 1, "")
    await desk.letters.requeue(REVIEWER, str(row.id), AGAIN)
    assert (await desk.get(row.id)).progress.run == 2


async def test_devices_that_were_reached_are_not_reached_again(desk: Desk) -> None:
    row = make_row(channel=Channel.PUSH)
    await NotificationWriter(desk.database, lambda _: None).store(row)
    await desk.fail(row, device_ids=["d2"])
    await desk.letters.requeue(REVIEWER, str(row.id), AGAIN)
    assert list(desk.delivery(0).device_ids) == ["d2"]


async def test_a_discarded_one_stays_failed(desk: Desk) -> None:
    row = await desk.failed()
    for _ in range(2):
        assert (await desk.letters.discard(REVIEWER, str(row.id), "spam\0")).note == "spam "
    with pytest.raises(AlreadyResolved):
        await desk.letters.requeue(REVIEWER, str(row.id), AGAIN)
    assert (await desk.get(row.id)).status is Status.FAILED
    assert desk.published == []


async def test_an_expired_one_is_not_sent_again(desk: Desk) -> None:
    row = await desk.failed(expires_at=datetime.now(UTC))
    with pytest.raises(NotRequeuable):
        await desk.letters.requeue(REVIEWER, str(row.id), AGAIN)
    assert (await desk.letters.get(REVIEWER, str(row.id), View.BASIC)).state is State.OPEN


@pytest.mark.parametrize("identifier", ["x", "01890000-0000-7000-8000-000000000001"])
async def test_without_a_dead_letter_there_is_nothing_to_decide(desk: Desk, identifier: str) -> None:
    with pytest.raises(DeadLetterNotFound):
        await desk.letters.get(REVIEWER, identifier, View.BASIC)
    with pytest.raises(DeadLetterNotFound):
        await desk.letters.requeue(REVIEWER, identifier, AGAIN)
    with pytest.raises(DeadLetterNotFound):
        await desk.letters.discard(REVIEWER, identifier, "")


async def test_pages_follow_each_other_newest_first(desk: Desk) -> None:
    rows = [await desk.failed() for _ in range(5)]
    await desk.letters.discard(REVIEWER, str(rows[0].id), "")
    seen: list[UUID] = []
    token = ""
    while True:
        page = await desk.letters.list_dead_letters(DeadLetterFilters(FIRST_PROJECT, State.OPEN), 2, token)
        seen += [letter.notification_id for letter in page.items]
        token = page.next_token
        if not token:
            break
    assert seen == [row.id for row in reversed(rows[1:])]
    assert (await desk.letters.list_dead_letters(DeadLetterFilters(FIRST_PROJECT, State.OPEN, template="other"), 2, "")).items == ()
    first = await desk.letters.list_dead_letters(DeadLetterFilters(FIRST_PROJECT, State.OPEN), 2, "")
    with pytest.raises(InvalidArgument):
        await desk.letters.list_dead_letters(DeadLetterFilters(FIRST_PROJECT, State.DISCARDED), 2, first.next_token)


async def test_filters_that_are_set_must_all_hold(desk: Desk) -> None:
    refused = await desk.failed(reason="SMTP_550", template="a", at=0)
    silent = await desk.failed(reason="SMTP_TIMEOUT", template="a", at=10)
    lost = await desk.failed(reason="OUTCOME_UNKNOWN", template="b", channel=Channel.PUSH, at=20)
    for filters, expected in (
        (DeadLetterFilters(FIRST_PROJECT), [lost, silent, refused]),
        (DeadLetterFilters(FIRST_PROJECT, template="a"), [silent, refused]),
        (DeadLetterFilters(FIRST_PROJECT, cause=Cause.PROVIDER_TRANSIENT), [silent]),
        (DeadLetterFilters(FIRST_PROJECT, cause=Cause.PROVIDER_TRANSIENT, template="b"), []),
        (DeadLetterFilters(FIRST_PROJECT, reason="SMTP_550"), [refused]),
        (DeadLetterFilters(FIRST_PROJECT, channel=Channel.PUSH), [lost]),
        (DeadLetterFilters(FIRST_PROJECT, created_after=START + timedelta(seconds=10)), [lost, silent]),
        (DeadLetterFilters(FIRST_PROJECT, created_before=START + timedelta(seconds=10)), [refused]),
        (DeadLetterFilters(FIRST_PROJECT, state=State.DISCARDED), []),
    ):
        page = await desk.letters.list_dead_letters(filters, 0, "")
        assert [letter.notification_id for letter in page.items] == [row.id for row in expected], filters


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        (DeadLetterFilters(FIRST_PROJECT), "dead_letters_by_state"),
        (DeadLetterFilters(FIRST_PROJECT, created_after=START, created_before=START), "dead_letters_by_state"),
        (DeadLetterFilters(FIRST_PROJECT, cause=Cause.TEMPLATE), "dead_letters_by_cause"),
        (DeadLetterFilters(FIRST_PROJECT, reason="SMTP_550", created_after=START), "dead_letters_by_reason"),
        (DeadLetterFilters(FIRST_PROJECT, template="welcome"), "dead_letters_by_template"),
        (DeadLetterFilters(FIRST_PROJECT, channel=Channel.EMAIL), "dead_letters_by_channel"),
    ],
)
async def test_each_listed_query_walks_an_index(database: Database, filters: DeadLetterFilters, index: str) -> None:
    """Neither a sort nor a scan of the table."""
    query = page_query(filters, (START, new_uuid())).limit(51)
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    statement = str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    async with database.begin() as connection:
        # an empty table is cheapest to sort; a full one is not
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        await connection.execute(text("SET LOCAL enable_bitmapscan = off"))
        await connection.execute(text("SET LOCAL enable_sort = off"))
        plan = "\n".join((await connection.execute(text(f"EXPLAIN {statement}"))).scalars())
    assert index in plan, plan
    assert "Seq Scan" not in plan
    assert "Sort" not in plan


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (f"SELECT 1 FROM dead_letter_audit WHERE notification_id = '{new_id()}' ORDER BY id", "dead_letter_audit_by_letter"),
        (f"SELECT 1 FROM dead_letter_audit WHERE notification_id = '{new_id()}' AND request = ''", "dead_letter_audit_once_a_request"),
        ("SELECT channel, cause, count(*), min(create_time) FROM dead_letters WHERE state = 1 GROUP BY 1, 2", "dead_letters_open"),
        ("SELECT id FROM dead_letter_jobs WHERE state = 1 ORDER BY id LIMIT 8", "dead_letter_jobs_running"),
        (
            f"SELECT 1 FROM dead_letter_job_items WHERE job_id = '{new_id()}' AND result IS NULL ORDER BY position LIMIT 10",
            "dead_letter_job_items_left",
        ),
    ],
)
async def test_trail_counts_and_jobs_walk_their_indexes(database: Database, query: str, index: str) -> None:
    async with database.begin() as connection:
        for kind in ("seqscan", "bitmapscan", "sort"):
            await connection.execute(text(f"SET LOCAL enable_{kind} = off"))
        plan = "\n".join((await connection.execute(text(f"EXPLAIN {query}"))).scalars())
    assert index in plan, plan
    assert "Seq Scan" not in plan


async def test_letters_from_before_there_were_causes_get_the_same_ones(desk: Desk) -> None:
    reasons = ["SMTP_550", "SMTP_451", "SMTP_TIMEOUT", "FCM_503", "QUOTA_EXCEEDED", "UNREGISTERED", "USER_NOT_FOUND", "ADDRESS_INVALID"]
    reasons += ["RENDER_FAILED", "TEMPLATE_NOT_FOUND", "MISSING_VARIABLE", "SUBJECT_INVALID", "DELIVERY_LIMIT", "OUTCOME_UNKNOWN"]
    reasons += ["INVALID_ARGUMENT", "SENDER_ID_MISMATCH", "WORKER_FAILED", "INTERNAL", "UNAVAILABLE", "MARTIANS"]
    for reason in reasons:
        await desk.failed(reason=reason)
    migration = import_module("gateway.migrations.versions.0003_dead_letters")
    [backfill] = [statement for statement in migration._STATEMENTS if "UPDATE dead_letters" in statement]
    async with desk.database.begin() as connection:
        await connection.execute(text("UPDATE dead_letters SET cause = 8"))
        await connection.exec_driver_sql(backfill)
        rows = (await connection.execute(text("SELECT reason, cause FROM dead_letters"))).all()
    assert {row.reason: Cause(row.cause) for row in rows} == {reason: cause_of(reason) for reason in reasons}


async def test_the_audit_trail_tells_who_did_what_when(desk: Desk) -> None:
    """Over several runs, and whatever stands in the dead letter now."""
    row = await desk.failed()
    await desk.letters.annotate(REVIEWER, str(row.id), "asked the customer")
    await desk.letters.requeue(REVIEWER, str(row.id), Requeue("they say it works"))
    await desk.fail(row, run=1, at=60)
    letter = await desk.letters.discard(REVIEWER, str(row.id), "it does not")
    assert [(entry.action, entry.note, entry.run) for entry in letter.audit] == [
        (Action.NOTED, "asked the customer", 0),
        (Action.REQUEUED, "they say it works", 0),
        (Action.DISCARDED, "it does not", 1),
    ]
    assert {(entry.actor_kind, entry.actor_id, entry.job_id) for entry in letter.audit} == {("api_key", "test-key", None)}
    assert all(entry.time is not None for entry in letter.audit)


async def test_what_changes_nothing_leaves_no_trace(desk: Desk) -> None:
    row = await desk.failed()
    for _ in range(3):
        await desk.letters.discard(REVIEWER, str(row.id), "spam")
    with pytest.raises(AlreadyResolved):
        await desk.letters.requeue(REVIEWER, str(row.id), AGAIN)
    assert len((await desk.letters.get(REVIEWER, str(row.id), View.BASIC)).audit) == 1


async def test_a_repeated_request_does_not_requeue_what_has_failed_again_meanwhile(desk: Desk) -> None:
    row = await desk.failed()
    await desk.letters.requeue(REVIEWER, str(row.id), Requeue(key="k-1"))
    await desk.fail(row, run=1, at=60)
    assert (await desk.letters.requeue(REVIEWER, str(row.id), Requeue(key="k-1"))).state is State.OPEN
    assert len(desk.published) == 1
    assert (await desk.letters.requeue(REVIEWER, str(row.id), Requeue(key="k-2"))).state is State.REQUEUED


async def test_a_late_outcome_of_the_run_before_changes_nothing(desk: Desk) -> None:
    """Whatever it says, and whether it comes as an outcome or as a dead letter."""
    row = await desk.failed()
    await desk.letters.requeue(REVIEWER, str(row.id), AGAIN)
    for status in (Status.SENT, Status.RETRYING, Status.FAILED, Status.SKIPPED, Status.EXPIRED):
        late = desk.delivery()
        late.run, late.attempt = 0, 4
        message = DeliveryResolved(outcomes=[dead_letter_desk.outcome_of(late, status)])
        told = [outcome for outcome in map(outcome_of, message.outcomes) if outcome is not None]
        await Outcomes(desk.database).apply(told)
        await desk.fail(row, reason="OUTCOME_UNKNOWN")
    found = await desk.get(row.id)
    assert (found.status, found.progress.run) == (Status.PENDING, 1)
    assert (await desk.letters.get(REVIEWER, str(row.id), View.BASIC)).state is State.REQUEUED


async def test_attempts_start_anew_with_nothing_left_of_the_run_before(desk: Desk) -> None:
    row = await desk.failed()
    later = START + timedelta(days=1)
    letter = make_row()
    assert letter.id != row.id
    await NotificationWriter(desk.database, lambda _: None).store(letter)
    await desk.fail(letter, deferrals=3, crashes=2, not_before=later)
    await desk.letters.requeue(REVIEWER, str(letter.id), AGAIN)
    delivery = desk.delivery()
    assert (delivery.attempt, delivery.deferrals, delivery.crashes, delivery.HasField("not_before")) == (1, 0, 0, False)


async def test_a_redirection_that_came_too_late_is_not_answered_as_done(desk: Desk) -> None:
    """Another reviewer, or a job, has sent it to its own recipient meanwhile. One that is repeated is done, as any requeue is."""
    row, other = await desk.failed(), await desk.failed()
    await desk.letters.requeue(REVIEWER, str(row.id), AGAIN)
    for late in (Requeue(email="eve@example.com"), Requeue(user_id=str(new_uuid()))):
        with pytest.raises(AlreadyResolved):
            await desk.letters.requeue(REVIEWER, str(row.id), late)
    for _ in range(2):
        letter = await desk.letters.requeue(REVIEWER, str(other.id), Requeue(email="ada@example.com"))
        assert letter.audit[-1].redirected_to == "a***@example.com"
    for differs in (Requeue(email="eve@example.com"), Requeue(email="ada@example.com", user_id=str(new_uuid()))):
        with pytest.raises(AlreadyResolved):
            await desk.letters.requeue(REVIEWER, str(other.id), differs)
    assert (await desk.letters.requeue(REVIEWER, str(other.id), AGAIN)).state is State.REQUEUED


async def test_a_reviewer_may_send_it_to_another_address(desk: Desk) -> None:
    """It stays with the delivery over further failures; the trail says to which address, masked."""
    row = await desk.failed()
    letter = await desk.letters.requeue(REVIEWER, str(row.id), Requeue("a typo", email="Ada@exämple.de"))
    assert desk.delivery().email == "Ada@xn--exmple-cua.de"
    assert (letter.audit[-1].changed, letter.user_id) == (("email",), row.user_id)
    assert letter.audit[-1].redirected_to == "A***@xn--exmple-cua.de"
    assert "Ada@" not in repr(letter)
    await desk.fail(row, run=1, at=60, email=desk.delivery().email)
    await desk.letters.requeue(REVIEWER, str(row.id), AGAIN)
    assert desk.delivery().email == "Ada@xn--exmple-cua.de"


async def test_reading_in_full_and_redirecting_take_scopes_of_their_own(desk: Desk) -> None:
    """Who repairs deliveries need not see what they say, nor choose who gets them. Nothing is noted and nothing sent."""
    row = await desk.failed()
    reviewer = caller("deadletters:review")
    for refused, scope in (
        (desk.letters.get(reviewer, str(row.id), View.FULL), "deadletters:content"),
        (desk.letters.requeue(reviewer, str(row.id), Requeue(email="eve@example.com")), "deadletters:redirect"),
        (desk.letters.requeue(reviewer, str(row.id), Requeue(user_id=new_id())), "deadletters:redirect"),
        (desk.letters.requeue(reviewer, str(row.id), Requeue(variables=struct(name="Eve"))), "deadletters:redirect"),
    ):
        with pytest.raises(ScopeMissing) as error:
            await refused
        assert error.value.metadata == {"scope": scope}
    assert (await desk.letters.get(reviewer, str(row.id), View.REDACTED)).audit == ()
    assert desk.published == []
    assert (await desk.letters.requeue(reviewer, str(row.id), AGAIN)).state is State.REQUEUED


async def test_a_reviewer_may_send_it_to_another_person(desk: Desk) -> None:
    """Who reads it from then on is that person; what was known of the first one's address and devices is forgotten."""
    row = make_row(channel=Channel.PUSH)
    await NotificationWriter(desk.database, lambda _: None).store(row)
    await desk.fail(row, device_ids=["d2"], email="old@example.com")
    eve = new_uuid()
    letter = await desk.letters.requeue(REVIEWER, str(row.id), Requeue(user_id=str(eve)))
    delivery = desk.delivery()
    assert (delivery.user_id, list(delivery.device_ids), delivery.email) == (str(eve), [], "")
    assert ((await desk.get(row.id)).user_id, letter.user_id) == (eve, eve)
    assert (letter.audit[-1].changed, letter.audit[-1].former_user_id) == (("user_id",), row.user_id)


@pytest.mark.parametrize("email", ["eve", "eve@", "a b@example.com", "ada@example.com\nBcc: eve@example.com", "@example.org"])
async def test_an_address_that_can_not_be_is_refused_without_repeating_it(desk: Desk, email: str) -> None:
    row = await desk.failed()
    with pytest.raises(InvalidArgument) as refused:
        await desk.letters.requeue(REVIEWER, str(row.id), Requeue(email=email))
    assert [violation.field for violation in refused.value.violations] == ["email"]
    assert email not in str(refused.value)
    assert desk.published == []


async def test_only_an_email_can_go_to_another_address(desk: Desk) -> None:
    row = await desk.failed(channel=Channel.PUSH)
    with pytest.raises(NotRequeuable):
        await desk.letters.requeue(REVIEWER, str(row.id), Requeue(email="ada@example.com"))
    assert (await desk.letters.get(REVIEWER, str(row.id), View.BASIC)).state is State.OPEN


async def test_a_person_who_does_not_exist_is_refused(desk: Desk) -> None:
    row = await desk.failed()
    stranger = new_id()
    desk.strangers.add(stranger)
    for user_id in (stranger, "ada"):
        with pytest.raises(NewRecipientNotFound):
            await desk.letters.requeue(REVIEWER, str(row.id), Requeue(user_id=user_id))
    assert desk.published == []


async def test_open_letters_are_counted_with_the_age_of_the_oldest(desk: Desk) -> None:
    """What has been decided stays as 0, so that an alarm ends."""
    rows = [await desk.failed(at=at) for at in (0, 30)]
    await desk.failed(reason="RENDER_FAILED", channel=Channel.PUSH, at=50)
    gauges = DeadLetterGauges(DeadLetterRepository(desk.database), clock=lambda: START + timedelta(seconds=60))
    await gauges.refresh()
    refused, broken = (Channel.EMAIL, Cause.PROVIDER_PERMANENT), (Channel.PUSH, Cause.TEMPLATE)
    assert gauges.readings() == {refused: (2, 60.0), broken: (1, 10.0)}
    for row in rows:
        await desk.letters.discard(REVIEWER, str(row.id), "")
    await gauges.refresh()
    assert gauges.readings() == {refused: (0, 0.0), broken: (1, 10.0)}
    await gauges.close()
    assert gauges.readings() == {}


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("SMTP_550", Cause.PROVIDER_PERMANENT),
        ("SMTP_550_5_7_1", Cause.PROVIDER_PERMANENT),
        ("SMTP_550_5_1_1", Cause.RECIPIENT),
        ("SMTP_451", Cause.PROVIDER_TRANSIENT),
        ("SMTP_TIMEOUT", Cause.PROVIDER_TRANSIENT),
        ("FCM_503", Cause.PROVIDER_TRANSIENT),
        ("QUOTA_EXCEEDED", Cause.PROVIDER_TRANSIENT),
        ("UNREGISTERED", Cause.RECIPIENT),
        ("USER_NOT_FOUND", Cause.RECIPIENT),
        ("RENDER_FAILED", Cause.TEMPLATE),
        ("MISSING_VARIABLE", Cause.TEMPLATE),
        ("DELIVERY_LIMIT", Cause.BUS),
        ("OUTCOME_UNKNOWN", Cause.UNKNOWN_OUTCOME),
        ("WORKER_FAILED", Cause.INTERNAL),
        ("", Cause.OTHER),
        ("MARTIANS", Cause.OTHER),
    ],
)
def test_a_reason_has_a_class(reason: str, cause: Cause) -> None:
    assert cause_of(reason) is cause


async def test_a_test_key_requeues_only_what_test_keys_have_sent(desk: Desk) -> None:
    """The rest would reach a provider."""
    live, test = await desk.failed(), await desk.failed(test=True)
    tester = replace(REVIEWER, test=True)
    with pytest.raises(NotRequeuable, match="live key"):
        await desk.letters.requeue(tester, str(live.id), Requeue(email="eve@example.com"))
    assert (await desk.letters.requeue(tester, str(test.id), Requeue())).state is State.REQUEUED
    assert [job.id for job in desk.published] == [test.id]


@pytest.mark.parametrize(
    ("reason", "fault", "transient", "cause"),
    [
        ("INTERNAL", delivery_pb2.FAULT_PROVIDER, True, Cause.PROVIDER_TRANSIENT),
        ("FCM_403", delivery_pb2.FAULT_SENDER, True, Cause.PROVIDER_TRANSIENT),
        ("SMTP_451", delivery_pb2.FAULT_RECIPIENT, True, Cause.PROVIDER_TRANSIENT),
        ("SMTP_550", delivery_pb2.FAULT_RECIPIENT, False, Cause.RECIPIENT),
        ("SMTP_550", delivery_pb2.FAULT_MESSAGE, False, Cause.PROVIDER_PERMANENT),
        ("OUTCOME_UNKNOWN", delivery_pb2.FAULT_PROVIDER, True, Cause.UNKNOWN_OUTCOME),
    ],
)
def test_what_a_provider_refused_is_classed_by_whose_fault_it_was(
    reason: str, fault: "delivery_pb2.Fault.ValueType", transient: bool, cause: Cause
) -> None:
    """FCM's own INTERNAL is no defect of ours: a requeue of what providers failed over must find it."""
    assert cause_of(reason, fault, transient=transient) is cause


@pytest.mark.parametrize(
    ("prefix", "schema", "numbers"),
    [
        ("DEAD_LETTER_STATE", dead_letter_pb2.DeadLetterState, State),
        ("DEAD_LETTER_CAUSE", dead_letter_pb2.DeadLetterCause, Cause),
        ("DEAD_LETTER_ACTION", dead_letter_pb2.DeadLetterAction, Action),
        ("DEAD_LETTER_VIEW", dead_letter_pb2.DeadLetterView, View),
        ("DEAD_LETTER_JOB_STATE", dead_letter_pb2.DeadLetterJobState, BulkState),
    ],
)
def test_numbers_are_those_of_the_schema(prefix: str, schema: EnumTypeWrapper, numbers: type[IntEnum]) -> None:
    assert {f"{prefix}_{number.name}": number.value for number in numbers} | {f"{prefix}_UNSPECIFIED": 0} == dict(schema.items())
