"""Dead letters: filed, listed, requeued once, discarded; on a real PostgreSQL."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from clarion.delivery.v1.delivery_pb2 import Delivery
from clarion.notification.v1 import dead_letter_pb2
from gateway.dead_letters.errors import AlreadyResolved, DeadLetterNotFound, NotRequeuable
from gateway.dead_letters.models import DeadLetterFilters, State
from gateway.dead_letters.repository import DeadLetterRepository
from gateway.dead_letters.use_cases import DeadLetters
from gateway.notifications.models import Channel, Entry, Job, Notification, Outcome, Status
from gateway.notifications.repository import NotificationRepository
from gateway.outcomes import Failure, Outcomes
from gateway.sending.journal import Journal
from gateway.sending.models import Row
from mesh.database import Database
from mesh.errors import InvalidArgument
from mesh.testing import caller
from tests.gateway.factories import make_delivery, make_row

REVIEWER = caller("deadletters:review")
START = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Desk:
    """Dead letters, what is published, and the stores beneath."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.published: list[Job] = []
        self.letters = DeadLetters(DeadLetterRepository(database), self, lease_s=3.0)

    def offer(self, jobs: Sequence[Job]) -> None:
        self.published += jobs

    async def fail(self, row: Row, *, run: int = 0, at: int = 0, device_ids: Sequence[str] = ()) -> None:
        entry = Entry(START + timedelta(seconds=at), Status.FAILED, run, 4, "SMTP_550", "no such box")
        delivery = make_delivery(row)
        delivery.run, delivery.attempt = run, 4
        delivery.device_ids.extend(device_ids)
        await Outcomes(self.database).file([Failure(Outcome(row.id, entry), delivery.SerializeToString())])

    async def failed(self, **changes: Any) -> Row:
        row = make_row(**changes)
        await Journal(self.database, lambda _: None).store(row)
        await self.fail(row)
        return row

    async def get(self, identifier: UUID) -> Notification:
        found = await NotificationRepository(self.database).find(identifier)
        assert found is not None
        return found


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


async def test_a_dead_letter_tells_what_happened(desk: Desk) -> None:
    row = await desk.failed()
    letter = await desk.letters.get(str(row.id))
    assert (letter.user_id, letter.template, letter.state, letter.reason) == (row.user_id, "welcome", State.OPEN, "SMTP_550")
    assert (letter.attempts, letter.create_time, letter.correlation_id) == (4, START, "c-1")


async def test_requeuing_ten_times_at_once_sends_once(desk: Desk) -> None:
    """With the same id, fresh attempts, and the devices that were still to be reached."""
    row = await desk.failed()
    letters = await asyncio.gather(*(desk.letters.requeue(REVIEWER, str(row.id), "fixed") for _ in range(10)))
    assert {(letter.state, letter.resolved_by, letter.note) for letter in letters} == {(State.REQUEUED, "api_key:test-key", "fixed")}
    assert len(desk.published) == 1
    delivery = Delivery.FromString(desk.published[0].payload)
    assert (delivery.notification_id, delivery.run, delivery.attempt) == (str(row.id), 1, 1)
    found = await desk.get(row.id)
    assert (found.status, found.progress.run, found.progress.attempts, found.reason) == (Status.PENDING, 1, 0, "")
    assert [(entry.run, entry.status, entry.reason) for entry in found.timeline] == [
        (0, Status.PENDING, ""),
        (0, Status.FAILED, "SMTP_550"),
        (1, Status.PENDING, "REQUEUED"),
    ]


async def test_one_that_fails_again_is_open_again(desk: Desk) -> None:
    row = await desk.failed()
    await desk.letters.requeue(REVIEWER, str(row.id), "")
    await desk.fail(row)  # told late, of the run before
    assert (await desk.letters.get(str(row.id))).state is State.REQUEUED
    await desk.fail(row, run=1, at=60)
    letter = await desk.letters.get(str(row.id))
    assert (letter.state, letter.run, letter.resolved_by) == (State.OPEN, 1, "")
    await desk.letters.requeue(REVIEWER, str(row.id), "")
    assert (await desk.get(row.id)).progress.run == 2


async def test_devices_that_were_reached_are_not_reached_again(desk: Desk) -> None:
    row = make_row(channel=Channel.PUSH)
    await Journal(desk.database, lambda _: None).store(row)
    await desk.fail(row, device_ids=["d2"])
    await desk.letters.requeue(REVIEWER, str(row.id), "")
    assert list(Delivery.FromString(desk.published[0].payload).device_ids) == ["d2"]


async def test_a_discarded_one_stays_failed(desk: Desk) -> None:
    row = await desk.failed()
    for _ in range(2):
        assert (await desk.letters.discard(REVIEWER, str(row.id), "spam\0")).note == "spam "
    with pytest.raises(AlreadyResolved):
        await desk.letters.requeue(REVIEWER, str(row.id), "")
    assert (await desk.get(row.id)).status is Status.FAILED
    assert desk.published == []


async def test_an_expired_one_is_not_sent_again(desk: Desk) -> None:
    row = await desk.failed(expires_at=datetime.now(UTC))
    with pytest.raises(NotRequeuable):
        await desk.letters.requeue(REVIEWER, str(row.id), "")
    assert (await desk.letters.get(str(row.id))).state is State.OPEN


@pytest.mark.parametrize("identifier", ["x", "01890000-0000-7000-8000-000000000001"])
async def test_without_a_dead_letter_there_is_nothing_to_decide(desk: Desk, identifier: str) -> None:
    with pytest.raises(DeadLetterNotFound):
        await desk.letters.get(identifier)
    with pytest.raises(DeadLetterNotFound):
        await desk.letters.requeue(REVIEWER, identifier, "")
    with pytest.raises(DeadLetterNotFound):
        await desk.letters.discard(REVIEWER, identifier, "")


async def test_pages_follow_each_other_newest_first(desk: Desk) -> None:
    rows = [await desk.failed() for _ in range(5)]
    await desk.letters.discard(REVIEWER, str(rows[0].id), "")
    seen: list[UUID] = []
    token = ""
    while True:
        page = await desk.letters.list_dead_letters(DeadLetterFilters(State.OPEN), 2, token)
        seen += [letter.notification_id for letter in page.items]
        token = page.next_token
        if not token:
            break
    assert seen == [row.id for row in reversed(rows[1:])]
    assert (await desk.letters.list_dead_letters(DeadLetterFilters(State.OPEN, template="other"), 2, "")).items == ()
    first = await desk.letters.list_dead_letters(DeadLetterFilters(State.OPEN), 2, "")
    with pytest.raises(InvalidArgument):
        await desk.letters.list_dead_letters(DeadLetterFilters(State.DISCARDED), 2, first.next_token)


def test_numbers_are_those_of_the_schema() -> None:
    assert {f"DEAD_LETTER_STATE_{s.name}": s.value for s in State} | {"DEAD_LETTER_STATE_UNSPECIFIED": 0} == dict(
        dead_letter_pb2.DeadLetterState.items()
    )
