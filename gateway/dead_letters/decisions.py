"""Decisions about dead letters, many in one transaction: either a letter is decided, audited and (requeued) on its way, or nothing is.

Notifications are locked before dead letters, and each in order of the id, as settlement does, so that no two wait for each other in a
circle.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from google.protobuf.message import DecodeError

from clarion.delivery.v1.delivery_pb2 import Delivery
from gateway.dead_letters import models
from gateway.dead_letters.models import Decided, Decision, Edit, Refusal, State
from gateway.notifications.models import Channel, OutboxItem, Priority, Progress, Status
from mesh.rpc.redaction import mask

# The range spares the partitions that none of the ids is in.
_LOCK = """
SELECT id, test, user_id, channel, priority, status, run, attempt, expires_at, queued_at, payload, caller
FROM notifications WHERE id = ANY($1::uuid[]) AND id BETWEEN $2 AND $3 ORDER BY id FOR UPDATE
"""
_LOCK_LETTERS = f"""
SELECT d.notification_id AS id, d.state, d.run, d.delivery, clock_timestamp() AS now, EXISTS (
    SELECT 1 FROM dead_letter_audit a WHERE a.notification_id = d.notification_id
    AND (a.request = $2 OR (a.job_id = $3 AND a.action IN ({models.Action.REQUEUED:d}, {models.Action.DISCARDED:d})))
) AS repeated
FROM dead_letters d WHERE d.notification_id = ANY($1::uuid[]) ORDER BY d.notification_id FOR UPDATE OF d
"""
_RESTART = f"""
UPDATE notifications n SET
    status = {Status.PENDING:d}, run = g.run, attempt = 0, reason = '', update_time = $5,
    dispatch_at = clock_timestamp() + $6 * interval '1 second', queued_at = NULL,
    payload = g.payload,
    user_id = g.user_id
FROM unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::bytea[]) AS g(id, run, user_id, payload)
WHERE n.id = g.id AND n.id BETWEEN $7 AND $8
"""
# The run that ends keeps the moment it was queued, which was a column so far.
_RECORD = f"""
INSERT INTO timeline (notification_id, run, attempt, status, mark, time, reason)
SELECT id, run - 1, 0, {Status.QUEUED:d}, 0, queued_at, ''
FROM unnest($1::uuid[], $2::smallint[], $3::timestamptz[]) AS g(id, run, queued_at)
WHERE queued_at IS NOT NULL
UNION ALL
SELECT id, run, 0, {Status.PENDING:d}, 0, $4, 'REQUEUED' FROM unnest($1::uuid[], $2::smallint[], $3::timestamptz[]) AS g(id, run, queued_at)
ON CONFLICT DO NOTHING
"""
_DECIDE = """
UPDATE dead_letters d SET state = $3, resolve_time = $4, resolved_by = $5, note = $6, user_id = COALESCE(g.user_id, d.user_id)
FROM unnest($1::uuid[], $2::uuid[]) AS g(id, user_id) WHERE d.notification_id = g.id
"""
_AUDIT = """
INSERT INTO dead_letter_audit
    (notification_id, run, former_user_id, action, actor_kind, actor_id, note, time, job_id, changed, request, redirected_to)
SELECT g.id, g.run, g.former_user_id, $4, $5, $6, $7, $8, $9, $10, $11, $12
FROM unnest($1::uuid[], $2::smallint[], $3::uuid[]) AS g(id, run, former_user_id)
"""


class _Restart(NamedTuple):
    """A notification that starts its next run."""

    row: Any
    run: int
    user_id: UUID
    payload: bytes


async def decide(
    driver: Any, ids: Sequence[UUID], decision: Decision, *, lease_s: float, edit: Edit = models.NO_EDIT
) -> dict[UUID, Decided]:
    """Decides those of the letters that are open, within the caller's transaction. What became of each, by id."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    least, most = wanted[0], wanted[-1]
    requeue = decision.state is State.REQUEUED
    rows = {row["id"]: row for row in await driver.fetch(_LOCK, wanted, least, most)} if requeue else {}
    letters = {row["id"]: row for row in await driver.fetch(_LOCK_LETTERS, wanted, decision.request, decision.job_id)}
    now = next((letter["now"] for letter in letters.values()), datetime.now(UTC))  # PostgreSQL's: all reviewers' gateways share it
    decided = {identifier: Decided(_refusal(letters.get(identifier))) for identifier in wanted}
    restarts: list[_Restart] = []
    if requeue:
        for identifier in [identifier for identifier, one in decided.items() if one.refusal is None]:
            restart = _restart(rows.get(identifier), letters[identifier], edit, now, test=decision.test)
            if isinstance(restart, Refusal):
                decided[identifier] = Decided(restart)
            else:
                restarts.append(restart)
                decided[identifier] = Decided(None, _job(restart))
        if restarts:
            await _start_again(driver, restarts, now, lease_s)
    done = [identifier for identifier, one in decided.items() if one.refusal is None]
    if done:
        started = {one.row["id"]: one for one in restarts}
        await _record(driver, [letters[identifier] for identifier in done], started, decision=decision, edit=edit, now=now)
    return decided


async def note(driver: Any, letter: models.DeadLetter, action: models.Action, actor: models.Actor, text: str) -> None:
    """Writes an entry of the audit trail that decides nothing."""
    fixed: tuple[object, ...] = (action.value, actor.kind, actor.id, text, datetime.now(UTC), None, [], None, "")
    await driver.fetch(_AUDIT, [letter.notification_id], [letter.run], [None], *fixed)


def _refusal(letter: Any | None) -> Refusal | None:
    if letter is None:
        return models.NO_LETTER
    if letter["repeated"]:
        return models.REPEATED
    return None if letter["state"] == State.OPEN else models.DECIDED


def _restart(row: Any | None, letter: Any, edit: Edit, now: datetime, *, test: bool) -> _Restart | Refusal:
    if row is None:
        return models.PAST_RETENTION
    if test and not row["test"]:
        return models.LIVE
    progress = Progress(Status(row["status"]), row["run"], row["attempt"])
    if progress.status is not Status.FAILED or progress.run != letter["run"]:
        return models.NOT_FAILED
    if row["expires_at"] is not None and row["expires_at"] <= now:
        return models.EXPIRED
    if edit.email is not None and row["channel"] != Channel.EMAIL:
        return models.NOT_EMAIL
    payload = letter["delivery"] or row["payload"]
    if payload is None:
        return models.ERASED
    run = progress.requeued().run
    try:
        return _Restart(row, run, edit.user_id or row["user_id"], next_run(payload, run, edit, test=row["test"]))
    except DecodeError:
        return models.ERASED


def _job(restart: _Restart) -> OutboxItem:
    row = restart.row
    return OutboxItem(row["id"], Channel(row["channel"]), Priority(row["priority"]), restart.payload, row["caller"])


def next_run(payload: bytes, run: int, edit: Edit, *, test: bool) -> bytes:
    """The payload for a new run: fresh attempts, nothing deferred, and with what is edited. Raises DecodeError."""
    delivery = Delivery.FromString(payload)
    delivery.test = test  # as it was accepted, whatever the letter says: it decides whether a provider is reached
    delivery.run, delivery.attempt, delivery.deferrals, delivery.crashes, delivery.refusals = run, 1, 0, 0, 0
    for field in ("not_before", "due_time", "decide_time"):
        delivery.ClearField(field)
    if edit.user_id is not None:
        # what is known of the other person's devices and address is of no use for this one
        delivery.user_id = str(edit.user_id)
        for name in ("email", "device_ids", "device_results"):
            delivery.ClearField(name)
    if edit.user_id is not None or edit.email is not None:
        delivery.ClearField("recipient_domains")  # whom it goes to is the reviewer's decision now
    if edit.email is not None:
        delivery.email = edit.email
    edit.vary(delivery)
    return delivery.SerializeToString()


async def _start_again(driver: Any, restarts: Sequence[_Restart], now: datetime, lease_s: float) -> None:
    ids, runs = [one.row["id"] for one in restarts], [one.run for one in restarts]
    people, payloads = [one.user_id for one in restarts], [one.payload for one in restarts]
    await driver.fetch(_RESTART, ids, runs, people, payloads, now, lease_s, min(ids), max(ids))
    await driver.fetch(_RECORD, ids, runs, [one.row["queued_at"] for one in restarts], now)


async def _record(
    driver: Any, letters: Sequence[Any], restarts: Mapping[UUID, _Restart], *, decision: Decision, edit: Edit, now: datetime
) -> None:
    ids = [letter["id"] for letter in letters]
    people = [restarts[identifier].user_id if identifier in restarts else None for identifier in ids]
    actor = decision.actor
    await driver.fetch(_DECIDE, ids, people, decision.state.value, now, str(actor), decision.note)
    former = [restarts[identifier].row["user_id"] if identifier in restarts and edit.user_id is not None else None for identifier in ids]
    runs = [letter["run"] for letter in letters]
    said = (decision.action.value, actor.kind, actor.id, decision.note, now, decision.job_id)
    fixed = (*said, list(_changed(edit)), decision.request, "" if edit.email is None else mask(edit.email))
    await driver.fetch(_AUDIT, ids, runs, former, *fixed)


def _changed(edit: Edit) -> Iterator[str]:
    """The names of what is edited. The address itself and the variables are in the delivery only, which an erasure takes away, as it does
    the masked address.
    """
    return (name for name, value in edit._asdict().items() if value is not None)
