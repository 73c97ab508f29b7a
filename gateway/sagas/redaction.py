"""The rows of one person in the gateway: held back, cancelled, and freed of everything personal.

What stays is what happened: ids, times, states, reasons. A notification without payload is an erased one; whatever is heard of it later is
kept without its details (`gateway/settling/outcomes.py`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.dead_letters.models import State
from gateway.notifications.models import Status
from mesh.stores.database import Database

ERASED = "PERSON_ERASED"
_BATCH = 500

# `infinity` marks what is held back: no sweeper finds it due. A pending row under a
# lease is being published and is left alone. Rows are locked in order of the id, as everywhere.
_UNPUBLISHED = f"{Status.SCHEDULED:d}, {Status.PENDING:d}"
_WAITING = f"""
mine AS (
    SELECT id FROM notifications
    WHERE user_id = :user_id AND (
        status = {Status.SCHEDULED:d}
        OR (status = {Status.PENDING:d} AND queued_at IS NULL AND (dispatch_at <= :now OR dispatch_at = 'infinity'))
    )
    ORDER BY id FOR UPDATE
)
"""
_HOLD = text(f"WITH {_WAITING} UPDATE notifications n SET dispatch_at = 'infinity' FROM mine WHERE n.id = mine.id")
_RELEASE = text(f"""
WITH mine AS (
    SELECT id FROM notifications
    WHERE user_id = :user_id AND status IN ({_UNPUBLISHED}) AND dispatch_at = 'infinity' ORDER BY id FOR UPDATE
)
UPDATE notifications n SET dispatch_at = COALESCE(send_at, :now) FROM mine WHERE n.id = mine.id
""")
_CANCEL = text(f"""
WITH {_WAITING},
cancelled AS (
    UPDATE notifications n SET status = {Status.CANCELLED:d}, reason = '{ERASED}', update_time = :now FROM mine WHERE n.id = mine.id
    RETURNING n.id, n.run
),
recorded AS (
    INSERT INTO timeline (notification_id, run, attempt, status, mark, time, reason)
    SELECT id, run, 0, {Status.CANCELLED:d}, 0, :now, '{ERASED}' FROM cancelled
    ON CONFLICT DO NOTHING
)
SELECT id FROM cancelled
""")
_LEFT = text(f"SELECT count(*) FROM notifications WHERE user_id = :user_id AND status IN ({_UNPUBLISHED})")

# First the lock, then each table with a snapshot of its own: what a settlement was writing at that moment is seen.
_LOCK = text(f"""
SELECT id FROM notifications
WHERE user_id = :user_id AND status NOT IN ({_UNPUBLISHED}) AND (payload IS NOT NULL OR metadata IS NOT NULL)
ORDER BY id LIMIT :most FOR UPDATE
""")
_EMPTY = text("UPDATE notifications SET payload = NULL, metadata = NULL WHERE id = ANY(:ids) AND id BETWEEN :least AND :greatest")
_FORGET = text("""
UPDATE timeline SET detail = '', devices = NULL
WHERE notification_id = ANY(:ids) AND notification_id BETWEEN :least AND :greatest AND (detail <> '' OR devices IS NOT NULL)
""")
_FORGET_FACTS = text("""
UPDATE delivery_facts f SET detail = '' FROM notifications n
WHERE n.id = ANY(:ids) AND f.project = n.project AND f.notification_id = n.id AND f.detail <> ''
""")
# Attempts that have left details: those of the last days, since the ledger keeps none for longer.
_ATTEMPTS = text("""
SELECT DISTINCT t.notification_id, t.run, t.attempt FROM notifications n JOIN timeline t ON t.notification_id = n.id
WHERE n.user_id = :user_id AND n.update_time > now() - CAST(:within_s AS float8) * interval '1 second' AND t.start_time IS NOT NULL
""")
# An open one can't be sent again any more, so no reviewer has to decide about it: it is discarded.
_LETTERS = text(f"""
UPDATE dead_letters SET
    delivery = NULL, detail = '', note = '',
    state = CASE WHEN state = {State.OPEN:d} THEN {State.DISCARDED:d} ELSE state END,
    resolve_time = CASE WHEN state = {State.OPEN:d} THEN :now ELSE resolve_time END,
    resolved_by = CASE WHEN state = {State.OPEN:d} THEN '{ERASED}' ELSE resolved_by END
WHERE user_id = :user_id AND (state = {State.OPEN:d} OR delivery IS NOT NULL OR detail <> '' OR note <> '')
""")
# What reviewers wrote about the person's dead letters, those included that were sent to another person in the end.
_NOTES = text("""
UPDATE dead_letter_audit a SET note = '', redirected_to = '' FROM dead_letters d
WHERE d.notification_id = a.notification_id AND (a.note <> '' OR a.redirected_to <> '')
    AND (d.user_id = :user_id OR a.former_user_id = :user_id)
""")
# What was answered about the person to calls with an idempotency key.
_ANSWERS = text("DELETE FROM repeatable_calls WHERE subject = :user_id AND response IS NOT NULL")


class PersonalRows:
    """Implements `gateway.sagas.erasure.Notifications`. Every method may be repeated."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def hold(self, user_id: UUID) -> None:
        """Keeps what is not sent yet from being sent."""
        await self._run(_HOLD, user_id)

    async def release(self, user_id: UUID) -> None:
        """Lets go on what was held back."""
        await self._run(_RELEASE, user_id)

    async def cancel(self, user_id: UUID) -> tuple[Sequence[UUID], int]:
        """Cancels what is not on the bus yet: which notifications, and how many are just being published."""
        async with self._database.begin() as connection:
            cancelled = (await connection.execute(_CANCEL, {"user_id": user_id, "now": datetime.now(UTC)})).scalars().all()
            left = (await connection.execute(_LEFT, {"user_id": user_id})).scalar_one()
        return cancelled, left

    async def attempts(self, user_id: UUID, *, within_s: float) -> Sequence[tuple[str, int, int]]:
        """The attempts that a provider has seen of notifications that have changed in the last seconds: notification, run, attempt."""
        given = {"user_id": user_id, "within_s": within_s}
        async with self._database.connect() as connection:
            return [(str(row.notification_id), row.run, row.attempt) for row in await connection.execute(_ATTEMPTS, given)]

    async def redact(self, user_id: UUID) -> None:
        """Removes variables, labels, replies of providers, devices and notes. In batches, so that no other transaction waits for long."""
        while await self._redact_batch(user_id):
            pass
        async with self._database.begin() as connection:
            await connection.execute(_LETTERS, {"user_id": user_id, "now": datetime.now(UTC)})
            await connection.execute(_NOTES, {"user_id": user_id})
            await connection.execute(_ANSWERS, {"user_id": user_id})

    async def _redact_batch(self, user_id: UUID) -> bool:
        async with self._database.begin() as connection:
            ids = (await connection.execute(_LOCK, {"user_id": user_id, "most": _BATCH})).scalars().all()
            if ids:
                await _redact(connection, ids)
            return len(ids) == _BATCH

    async def _run(self, statement: object, user_id: UUID) -> None:
        async with self._database.begin() as connection:
            await connection.execute(statement, {"user_id": user_id, "now": datetime.now(UTC)})  # type: ignore[call-overload]  # text()


async def _redact(connection: AsyncConnection, ids: Sequence[UUID]) -> None:
    bounds = {"ids": list(ids), "least": ids[0], "greatest": ids[-1]}
    await connection.execute(_FORGET, bounds)
    await connection.execute(_FORGET_FACTS, {"ids": list(ids)})
    await connection.execute(_EMPTY, bounds)
