"""What workers report, into rows: many outcomes in one transaction, and the dead letters of those that were given up."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from clarion.delivery.v1.delivery_pb2 import Delivery
from delivery.envelopes import envelope, open_envelope
from delivery.sandbox import NAME as SANDBOX
from gateway.dead_letters.models import Cause, State, cause_of
from gateway.facts.models import Report
from gateway.facts.repository import record as record_facts
from gateway.notifications.models import TERMINAL, Channel, Entry, Outcome, Progress, Status, Unsent
from gateway.sagas.redaction import ERASED
from mesh.stores.database import Database

# In order of the id: every statement that locks many rows does so in this order, or two could wait for each other. The range spares the
# partitions that none of the ids is in.
_LOCK = """
SELECT id, status, run, attempt, user_id, channel, create_time, queued_at, payload IS NULL AS erased FROM notifications
WHERE id = ANY($1::uuid[]) AND id BETWEEN $2 AND $3 ORDER BY id FOR UPDATE
"""

_ADVANCE = """
UPDATE notifications n SET
    status = g.status, attempt = g.attempt, reason = g.reason, update_time = g.time, locale = COALESCE(NULLIF(g.locale, ''), n.locale)
FROM unnest($1::uuid[], $2::smallint[], $3::smallint[], $4::text[], $5::timestamptz[], $6::text[])
    AS g(id, status, attempt, reason, time, locale)
WHERE n.id = g.id AND n.id BETWEEN $7 AND $8
"""

# A try that is far away waits like a scheduled send, as the attempt that it will be: an outcome of the one before is late by then.
# What was postponed has begun no attempt.
_PUT_BACK = f"""
UPDATE notifications n SET
    status = {Status.SCHEDULED:d}, attempt = n.attempt + CAST(n.status <> {Status.SCHEDULED:d} AS int),
    payload = g.payload, dispatch_at = g.dispatch_at, queued_at = NULL
FROM unnest($1::uuid[], $2::bytea[], $3::timestamptz[]) AS g(id, payload, dispatch_at)
WHERE n.id = g.id AND n.id BETWEEN $4 AND $5 AND n.payload IS NOT NULL
"""

_RECORD = """
INSERT INTO timeline (notification_id, run, attempt, status, mark, time, start_time, next_attempt_time, reason, detail, devices, provider)
SELECT id, run, attempt, status, mark, time, start_time, next_attempt_time, reason, detail, CAST(devices AS jsonb), provider
FROM unnest(
    $1::uuid[], $2::smallint[], $3::smallint[], $4::smallint[], $5::bigint[],
    $6::timestamptz[], $7::timestamptz[], $8::timestamptz[], $9::text[], $10::text[], $11::text[], $12::text[]
) AS g(id, run, attempt, status, mark, time, start_time, next_attempt_time, reason, detail, devices, provider)
ON CONFLICT DO NOTHING
"""

# A dead letter that was decided opens again only for a later run. A notification without payload is that of an erased person: it can't be
# sent again, so its letter is filed as discarded and without content.
_FILE = f"""
INSERT INTO dead_letters AS d (
    notification_id, project, user_id, channel, template, run, attempts, correlation_id, reason, create_time, cause,
    state, detail, delivery, resolve_time, resolved_by
)
SELECT
    n.id, n.project, n.user_id, n.channel, n.template, g.run, n.attempt, n.correlation_id, g.reason, g.time, g.cause,
    CASE WHEN n.payload IS NULL THEN {State.DISCARDED:d} ELSE {State.OPEN:d} END,
    CASE WHEN n.payload IS NULL THEN '' ELSE g.detail END,
    CASE WHEN n.payload IS NULL THEN NULL ELSE g.delivery END,
    CASE WHEN n.payload IS NULL THEN g.time END,
    CASE WHEN n.payload IS NULL THEN '{ERASED}' ELSE '' END
FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::text[], $5::timestamptz[], $6::bytea[], $7::smallint[])
    AS g(id, run, reason, detail, time, delivery, cause)
JOIN notifications n ON n.id = g.id AND n.run = g.run AND n.status = {Status.FAILED:d}
ORDER BY n.id
ON CONFLICT (notification_id) DO UPDATE SET
    state = excluded.state, run = excluded.run, cause = excluded.cause, reason = excluded.reason, detail = excluded.detail,
    attempts = excluded.attempts, create_time = excluded.create_time, delivery = excluded.delivery,
    resolve_time = excluded.resolve_time, resolved_by = excluded.resolved_by, note = ''
WHERE d.run < excluded.run
RETURNING notification_id
"""

_GIVEN_UP = """
SELECT id, run, attempt, status, project, test, user_id, channel, priority, template, template_version, payload FROM notifications
WHERE id = ANY($1::uuid[]) ORDER BY id
"""
UNREADABLE = "UNREADABLE"
_UNREADABLE_DETAIL = "its message on the bus can't be read by any worker"

_PUT_BACK_IN = frozenset({Status.RETRYING, Status.SCHEDULED})
_UNSENT = frozenset({Status.CANCELLED, Status.EXPIRED})
_MAX_SMALLINT = 2**15 - 1


class Failure(NamedTuple):
    """A delivery that was given up; `delivery` is its serialized message as it was last tried."""

    outcome: Outcome
    delivery: bytes


class Applied(NamedTuple):
    """The notifications that outcomes were of, as far as those exist, and those among them that ended unsent by it."""

    known: tuple[UUID, ...] = ()
    unsent: tuple[Unsent, ...] = ()


class Outcomes:
    """Applies outcomes to the rows. Repeated and late ones change nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def apply(self, outcomes: Sequence[Outcome]) -> Applied:
        """Applies outcomes in one transaction."""
        async with self._database.driver() as driver, driver.transaction():
            return await self._apply(driver, outcomes)

    async def file(self, failures: Sequence[Failure]) -> Sequence[UUID]:
        """Applies the outcomes of failed deliveries and files a dead letter for each that is FAILED by it; which ones those are."""
        last = {failure.outcome.notification_id: failure for failure in sorted(failures, key=lambda f: f.outcome.entry.run)}
        entries = [failure.outcome.entry for failure in last.values()]
        columns = (
            list(last),
            [entry.run for entry in entries],
            [entry.reason for entry in entries],
            [entry.detail for entry in entries],
            [entry.time for entry in entries],
            [failure.delivery for failure in last.values()],
            [_cause(failure.outcome).value for failure in last.values()],
        )
        async with self._database.driver() as driver, driver.transaction():
            await self._apply(driver, [failure.outcome for failure in failures])
            return [row["notification_id"] for row in await driver.fetch(_FILE, *columns)]

    async def give_up(self, identifiers: Sequence[UUID], *, reason: str = UNREADABLE, detail: str = _UNREADABLE_DETAIL) -> list[Failure]:
        """The failures of notifications of which no outcome will come, as far as they have not ended. Of a payload that is unreadable
        itself the dead letter keeps what the row says beside it.
        """
        found = await self._database.fetch(_GIVEN_UP, list(identifiers))
        return [_given_up(row, reason, detail) for row in found if Status(row["status"]) not in TERMINAL]

    async def _apply(self, driver: Any, outcomes: Sequence[Outcome]) -> Applied:
        reported = [outcome for outcome in outcomes if max(outcome.entry.run, outcome.entry.attempt) <= _MAX_SMALLINT]
        if not reported:
            return Applied()
        ids = sorted({outcome.notification_id for outcome in reported})
        rows = await driver.fetch(_LOCK, ids, ids[0], ids[-1])
        known = {row["id"]: Progress(Status(row["status"]), row["run"], row["attempt"]) for row in rows}
        reported = [outcome for outcome in reported if outcome.notification_id in known]
        if not reported:
            return Applied()
        erased = {row["id"] for row in rows if row["erased"]}
        if erased:
            reported = [_without_details(outcome) if outcome.notification_id in erased else outcome for outcome in reported]
        changed = advance(known, [outcome for outcome in reported if not (outcome.postponed and outcome.notification_id in erased)])
        if changed:
            await driver.fetch(_ADVANCE, *_columns_of(changed), ids[0], ids[-1])
            back = [outcome for progress, outcome in changed.values() if progress.status in _PUT_BACK_IN and outcome.next_payload]
            if back:
                columns = (
                    [one.notification_id for one in back],
                    [one.next_payload for one in back],
                    [one.entry.next_attempt_time for one in back],
                )
                await driver.fetch(_PUT_BACK, *columns, ids[0], ids[-1])
        entries = [(outcome.notification_id, outcome.entry) for outcome in reported]
        entries += [
            # being queued is a column, which the next time takes
            (row["id"], Entry(row["queued_at"], Status.QUEUED, row["run"], row["attempt"]))
            for row in rows
            if row["queued_at"] is not None and row["id"] in changed and changed[row["id"]][0].status is Status.SCHEDULED
        ]
        await driver.fetch(_RECORD, *entry_columns(entries))
        reports = [report for outcome in reported for report in _reports_of(outcome)]
        if reports:
            await record_facts(driver, reports)
        unsent = {key for key, (progress, _) in changed.items() if progress.status in _UNSENT}
        return Applied(
            tuple(known),
            tuple(Unsent(row["id"], row["user_id"], Channel(row["channel"]), row["create_time"]) for row in rows if row["id"] in unsent),
        )


def _reports_of(outcome: Outcome) -> Iterator[Report]:
    """What the sandbox reports of a test, in the place of a provider."""
    for number, fact in enumerate(outcome.facts):
        time = outcome.entry.time + timedelta(milliseconds=number + 1)
        yield Report(outcome.notification_id, f"sandbox {number}", fact, time, SANDBOX, fact.name)


def _given_up(row: Any, reason: str, detail: str) -> Failure:
    deliveries, _ = open_envelope(envelope([row["payload"] or b""]), {})
    if not deliveries:
        deliveries = [
            Delivery(
                notification_id=str(row["id"]), run=row["run"], attempt=max(1, row["attempt"]), user_id=str(row["user_id"]),
                project=row["project"], test=row["test"], channel=row["channel"], priority=row["priority"], template=row["template"],
                template_version=row["template_version"],
            )
        ]  # fmt: skip
    entry = Entry(datetime.now(UTC), Status.FAILED, row["run"], max(1, row["attempt"]), reason, detail)
    return Failure(Outcome(row["id"], entry), deliveries[0].SerializeToString())


def _cause(outcome: Outcome) -> Cause:
    return cause_of(outcome.entry.reason, outcome.fault, transient=outcome.transient)


def _without_details(outcome: Outcome) -> Outcome:
    """What is kept of an outcome when its person was erased."""
    return replace(outcome, entry=replace(outcome.entry, detail="", devices=()))


def advance(known: Mapping[UUID, Progress], outcomes: Iterable[Outcome]) -> dict[UUID, tuple[Progress, Outcome]]:
    """The notifications that the outcomes move on: how far, and the outcome that decided."""
    changed: dict[UUID, tuple[Progress, Outcome]] = {}
    for outcome in outcomes:
        identifier = outcome.notification_id
        before = changed[identifier][0] if identifier in changed else known[identifier]
        after = before.after(outcome.entry)
        if after is not before:
            changed[identifier] = (after, outcome)
    return changed


def _columns_of(changed: Mapping[UUID, tuple[Progress, Outcome]]) -> tuple[Sequence[object], ...]:
    return (
        list(changed),
        [progress.status.value for progress, _ in changed.values()],
        [progress.attempt for progress, _ in changed.values()],
        [outcome.entry.reason for _, outcome in changed.values()],
        [outcome.entry.time for _, outcome in changed.values()],
        [outcome.locale for _, outcome in changed.values()],
    )


def entry_columns(reported: Sequence[tuple[UUID, Entry]]) -> tuple[Sequence[object], ...]:
    """Timeline entries as the arrays of one INSERT."""
    keys = [entry.key for _, entry in reported]
    return (
        [identifier for identifier, _ in reported],
        [key.run for key in keys],
        [key.attempt for key in keys],
        [key.status.value for key in keys],
        [key.mark for key in keys],
        [entry.time for _, entry in reported],
        [entry.start_time for _, entry in reported],
        [entry.next_attempt_time for _, entry in reported],
        [entry.reason for _, entry in reported],
        [entry.detail for _, entry in reported],
        [_devices_text(entry) for _, entry in reported],
        [entry.provider for _, entry in reported],
    )


def _devices_text(entry: Entry) -> str | None:
    return json.dumps([[device.device_id, device.accepted, device.reason] for device in entry.devices]) if entry.devices else None
