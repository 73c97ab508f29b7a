"""What workers tell, into rows: many outcomes in one transaction, and the dead letters of those that were given up."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.notifications.models import Entry, Outcome, Progress, Status
from mesh.database import Database

# In order of the id: whoever locks many rows does so in this order, or two could wait for each other.
_LOCK = text("""
SELECT id, status, run, attempt FROM notifications
WHERE id = ANY(CAST(:ids AS uuid[])) AND id BETWEEN :least AND :greatest ORDER BY id FOR UPDATE
""")

_ADVANCE = text("""
UPDATE notifications n SET
    status = g.status, attempt = g.attempt, reason = g.reason, update_time = g.time, locale = COALESCE(NULLIF(g.locale, ''), n.locale)
FROM unnest(
    CAST(:ids AS uuid[]), CAST(:statuses AS smallint[]), CAST(:attempts AS smallint[]), CAST(:reasons AS text[]),
    CAST(:times AS timestamptz[]), CAST(:locales AS text[])
) AS g(id, status, attempt, reason, time, locale)
WHERE n.id = g.id AND n.id BETWEEN :least AND :greatest
""")

_TELL = text("""
INSERT INTO timeline (notification_id, run, attempt, status, mark, time, start_time, next_attempt_time, reason, detail, devices)
SELECT id, run, attempt, status, mark, time, start_time, next_attempt_time, reason, detail, CAST(devices AS jsonb)
FROM unnest(
    CAST(:ids AS uuid[]), CAST(:runs AS smallint[]), CAST(:attempts AS smallint[]), CAST(:statuses AS smallint[]), CAST(:marks AS bigint[]),
    CAST(:times AS timestamptz[]), CAST(:starts AS timestamptz[]), CAST(:nexts AS timestamptz[]), CAST(:reasons AS text[]),
    CAST(:details AS text[]), CAST(:devices AS text[])
) AS g(id, run, attempt, status, mark, time, start_time, next_attempt_time, reason, detail, devices)
ON CONFLICT DO NOTHING
""")

# 7 FAILED; 1 is an open dead letter. One that was decided opens again only for a later run.
_FILE = text("""
INSERT INTO dead_letters AS d
    (notification_id, user_id, channel, template, state, run, reason, detail, attempts, create_time, correlation_id, delivery)
SELECT n.id, n.user_id, n.channel, n.template, 1, g.run, g.reason, g.detail, n.attempt, g.time, n.correlation_id, g.delivery
FROM unnest(
    CAST(:ids AS uuid[]), CAST(:runs AS smallint[]), CAST(:reasons AS text[]), CAST(:details AS text[]),
    CAST(:times AS timestamptz[]), CAST(:deliveries AS bytea[])
) AS g(id, run, reason, detail, time, delivery)
JOIN notifications n ON n.id = g.id AND n.run = g.run AND n.status = 7
ORDER BY n.id
ON CONFLICT (notification_id) DO UPDATE SET
    state = 1, run = excluded.run, reason = excluded.reason, detail = excluded.detail, attempts = excluded.attempts,
    create_time = excluded.create_time, delivery = excluded.delivery, resolve_time = NULL, resolved_by = '', note = ''
WHERE d.run < excluded.run
RETURNING notification_id
""")

_MAX_SMALLINT = 2**15 - 1


class Failure(NamedTuple):
    """A delivery that was given up; `delivery` is its serialized message as it was last tried."""

    outcome: Outcome
    delivery: bytes


class Outcomes:
    """Applies outcomes to the rows. Repeated and late ones change nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def apply(self, outcomes: Sequence[Outcome]) -> Sequence[UUID]:
        """Applies outcomes and tells which notifications they were of, as far as those exist."""
        async with self._database.begin() as connection:
            return await _apply(connection, outcomes)

    async def file(self, failures: Sequence[Failure]) -> Sequence[UUID]:
        """Applies the outcomes of failed deliveries and files a dead letter for each that is FAILED by it; which ones those are."""
        last = {failure.outcome.notification_id: failure for failure in sorted(failures, key=lambda f: f.outcome.entry.run)}
        async with self._database.begin() as connection:
            await _apply(connection, [failure.outcome for failure in failures])
            parameters = {
                "ids": list(last),
                "runs": [failure.outcome.entry.run for failure in last.values()],
                "reasons": [failure.outcome.entry.reason for failure in last.values()],
                "details": [failure.outcome.entry.detail for failure in last.values()],
                "times": [failure.outcome.entry.time for failure in last.values()],
                "deliveries": [failure.delivery for failure in last.values()],
            }
            return (await connection.execute(_FILE, parameters)).scalars().all()


async def _apply(connection: AsyncConnection, outcomes: Sequence[Outcome]) -> Sequence[UUID]:
    told = [outcome for outcome in outcomes if max(outcome.entry.run, outcome.entry.attempt) <= _MAX_SMALLINT]
    if not told:
        return ()
    ids = sorted({outcome.notification_id for outcome in told})
    bounds = {"least": ids[0], "greatest": ids[-1]}
    rows = (await connection.execute(_LOCK, {"ids": ids, **bounds})).all()
    known = {row.id: Progress(Status(row.status), row.run, row.attempt) for row in rows}
    told = [outcome for outcome in told if outcome.notification_id in known]
    if not told:
        return ()
    changed = advance(known, told)
    if changed:
        await connection.execute(_ADVANCE, {**_columns_of(changed), **bounds})
    await connection.execute(_TELL, entry_columns((outcome.notification_id, outcome.entry) for outcome in told))
    return list(known)


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


def _columns_of(changed: Mapping[UUID, tuple[Progress, Outcome]]) -> dict[str, Any]:
    return {
        "ids": list(changed),
        "statuses": [progress.status.value for progress, _ in changed.values()],
        "attempts": [progress.attempt for progress, _ in changed.values()],
        "reasons": [outcome.entry.reason for _, outcome in changed.values()],
        "times": [outcome.entry.time for _, outcome in changed.values()],
        "locales": [outcome.locale for _, outcome in changed.values()],
    }


def entry_columns(told: Iterable[tuple[UUID, Entry]]) -> dict[str, Any]:
    """Timeline entries as the arrays of one INSERT."""
    pairs = list(told)
    entries = [entry for _, entry in pairs]
    return {
        "ids": [identifier for identifier, _ in pairs],
        "runs": [entry.run for entry in entries],
        "attempts": [entry.attempt for entry in entries],
        "statuses": [entry.status.value for entry in entries],
        "marks": [entry.key.mark for entry in entries],
        "times": [entry.time for entry in entries],
        "starts": [entry.start_time for entry in entries],
        "nexts": [entry.next_attempt_time for entry in entries],
        "reasons": [entry.reason for entry in entries],
        "details": [entry.detail for entry in entries],
        "devices": [_devices_text(entry) for entry in entries],
    }


def _devices_text(entry: Entry) -> str | None:
    return json.dumps([[device.device_id, device.accepted, device.reason] for device in entry.devices]) if entry.devices else None
