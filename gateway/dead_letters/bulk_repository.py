"""Jobs in PostgreSQL. A step decides its letters and counts them in one transaction, so that a crash repeats none and loses none."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, insert, literal, select, text

from gateway.dead_letters.bulk_models import BulkOperation, BulkState, Claimed, NewBulkOperation, Step
from gateway.dead_letters.decisions import decide
from gateway.dead_letters.models import Actor, Cause, DeadLetterFilters, Decision, State
from gateway.dead_letters.repository import conditions
from gateway.notifications.models import Channel
from gateway.tables import dead_letter_job_items, dead_letters, notifications
from mesh.context import FIRST_PROJECT
from mesh.rpc.paging import Cursor, Page
from mesh.stores.database import Database

_CURSOR = Cursor("dead_letter_jobs", UUID)

_INSERT = text(f"""
INSERT INTO dead_letter_jobs
    (id, project, decision, state, filters, rate_per_s, note, actor_kind, actor_id, digest, fingerprint, create_time)
VALUES (
    :id, :project, :decision, {BulkState.RUNNING:d}, CAST(:filters AS jsonb), :rate_per_s, :note, :actor_kind, :actor_id, :digest,
    :fingerprint, :now
)
ON CONFLICT (digest) DO NOTHING
RETURNING id
""")
# A job without letters is done.
_COUNT = text(f"""
UPDATE dead_letter_jobs SET
    total = :total, state = CASE WHEN :total = 0 THEN {BulkState.DONE:d} ELSE {BulkState.RUNNING:d} END,
    finish_time = CASE WHEN :total = 0 THEN CAST(:now AS timestamptz) END
WHERE id = :id
""")
_DELETE_ALL = "DELETE FROM dead_letter_jobs WHERE project = $1"
_FORGET = text("DELETE FROM dead_letter_jobs WHERE finish_time < CAST(:now AS timestamptz) - interval '90 days'")
_COLUMNS = """
id, decision, state, filters, rate_per_s, note, actor_kind, actor_id, create_time, finish_time, total, done, skipped, fingerprint
"""
_FIND = f"SELECT {_COLUMNS} FROM dead_letter_jobs WHERE id = $1 AND project = $2"
_FIND_BY_KEY = text(f"SELECT {_COLUMNS} FROM dead_letter_jobs WHERE digest = :digest OR id = :id")
_LIST = f"SELECT {_COLUMNS} FROM dead_letter_jobs WHERE project = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
_SKIPPED = """
SELECT result, count(*) AS letters FROM dead_letter_job_items WHERE job_id = $1 AND result <> '' GROUP BY result ORDER BY result
"""
_CANCEL = f"""
UPDATE dead_letter_jobs SET state = {BulkState.CANCELLED:d}, finish_time = $2 WHERE id = $1 AND state = {BulkState.RUNNING:d}
"""
# The database's clock, since it is the only one that all replicas share.
_CLAIM = f"""
UPDATE dead_letter_jobs SET lease_by = $1, lease_until = now() + $2 * interval '1 second'
WHERE id IN (
    SELECT id FROM dead_letter_jobs WHERE state = {BulkState.RUNNING:d} AND (lease_until IS NULL OR lease_until <= now())
    ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
)
RETURNING id, decision, rate_per_s, note, actor_kind, actor_id
"""
# Locks the operation: another replica that still takes it for its own finds out here.
_RENEW = f"""
UPDATE dead_letter_jobs SET lease_until = now() + $3 * interval '1 second'
WHERE id = $1 AND lease_by = $2 AND state = {BulkState.RUNNING:d} RETURNING id
"""
_RELEASE = "UPDATE dead_letter_jobs SET lease_until = NULL, lease_by = NULL WHERE id = $1 AND lease_by = $2"
_NEXT = """
SELECT notification_id FROM dead_letter_job_items WHERE job_id = $1 AND result IS NULL ORDER BY position LIMIT $2
"""
_SETTLE = """
UPDATE dead_letter_job_items i SET result = g.result
FROM unnest($2::uuid[], $3::text[]) AS g(id, result) WHERE i.job_id = $1 AND i.notification_id = g.id
"""
_ADVANCE = f"""
UPDATE dead_letter_jobs SET
    done = done + $2, skipped = skipped + $3,
    state = CASE WHEN $4 THEN {BulkState.DONE:d} ELSE state END, finish_time = CASE WHEN $4 THEN $5::timestamptz END
WHERE id = $1
"""
_LAST = UUID(int=2**128 - 1)


class BulkRepository:
    """Keeps jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, new: NewBulkOperation) -> tuple[BulkOperation, bytes]:
        """Stores a job with the letters that it is about, or finds the one that has its key. The job and the fingerprint under its key."""
        now = datetime.now(UTC)
        fixed = {"rate_per_s": new.rate_per_s, "note": new.note, "actor_kind": new.actor.kind, "actor_id": new.actor.id}
        named = {
            "id": new.id,
            "project": new.filters.project,
            "decision": new.decision.value,
            "digest": new.digest,
            "fingerprint": new.fingerprint,
            "now": now,
        }
        async with self._database.begin() as connection:
            inserted = await connection.execute(
                _INSERT, {**fixed, **named, "project": new.filters.project, "filters": _filters_text(new.filters)}
            )
            if inserted.one_or_none() is not None:
                filled = await connection.execute(_items_of(new))
                await connection.execute(_COUNT, {"id": new.id, "total": filled.rowcount, "now": now})
                await connection.execute(_FORGET, {"now": now})
            row = (await connection.execute(_FIND_BY_KEY, {"digest": new.digest, "id": new.id})).mappings().one()
        return _job(row), row["fingerprint"]

    async def find(self, project: str, identifier: UUID) -> BulkOperation | None:
        """The project's job with its counts."""
        rows = await self._database.fetch(_FIND, identifier, project)
        if not rows:
            return None
        skipped = {row["result"]: row["letters"] for row in await self._database.fetch(_SKIPPED, identifier)}
        return _job(rows[0], skipped)

    async def list_page(self, project: str, *, size: int, token: str) -> Page[BulkOperation]:
        """A page, newest first. Raises InvalidArgument for a token that does not fit."""
        filters = {"project": project}
        position = _CURSOR.position(token, filters)
        rows = await self._database.fetch(_LIST, project, position[0] if position is not None else _LAST, size + 1)
        return _CURSOR.page([((UUID(int=row["id"].int),), _job(row)) for row in rows], size, filters)

    async def cancel(self, identifier: UUID) -> None:
        """Stops a job that runs."""
        await self._database.fetch(_CANCEL, identifier, datetime.now(UTC))

    async def delete_all(self, project: str) -> None:
        """Implements `gateway.sagas.project_erasure.OwnRows`: a job's note may say anything."""
        await self._database.fetch(_DELETE_ALL, project)

    async def claim(self, owner: UUID, *, most: int, lease_s: float) -> Sequence[Claimed]:
        """Takes up to `most` running operations that no replica works on, for `lease_s` seconds."""
        rows = await self._database.fetch(_CLAIM, owner, lease_s, most)
        return [
            Claimed(row["id"], State(row["decision"]), row["rate_per_s"], row["note"], Actor(row["actor_kind"], row["actor_id"]))
            for row in rows
        ]

    async def renew(self, job: Claimed, owner: UUID, *, lease_s: float) -> bool:
        """Keeps a job for `lease_s` seconds more; False when it is another replica's by now, or has ended."""
        return bool(await self._database.fetch(_RENEW, job.id, owner, lease_s))

    async def release(self, job: Claimed, owner: UUID) -> None:
        """Leaves an operation to the next replica."""
        await self._database.fetch(_RELEASE, job.id, owner)

    async def step(self, job: Claimed, owner: UUID, *, most: int, lease_s: float, dispatch_lease_s: float) -> Step:
        """Decides the job's next letters, if it is still this owner's, and keeps it for `lease_s` seconds more."""
        decision = Decision(job.decision, job.actor, job.note, job_id=job.id)
        async with self._database.driver() as driver, driver.transaction():
            if not await driver.fetch(_RENEW, job.id, owner, lease_s):
                return Step((), more=False)
            ids = [row["notification_id"] for row in await driver.fetch(_NEXT, job.id, most)]
            decided = await decide(driver, ids, decision, lease_s=dispatch_lease_s)
            results = {identifier: one.refusal.reason if one.refusal is not None else "" for identifier, one in decided.items()}
            await driver.fetch(_SETTLE, job.id, list(results), list(results.values()))
            done = Counter(results.values())[""]
            more = len(ids) == most
            await driver.fetch(_ADVANCE, job.id, done, len(ids) - done, not more, datetime.now(UTC))
        return Step(tuple(one.job for one in decided.values() if one.job is not None), more)


def _items_of(new: NewBulkOperation) -> Any:
    """The letters that the filters find now, oldest first, as rows of the job."""
    letter = dead_letters.c
    place = func.row_number().over(order_by=(letter.create_time, letter.notification_id))
    found = (
        select(literal(new.id), place, letter.notification_id)
        .where(*conditions(new.filters))
        .order_by(letter.create_time, letter.notification_id)
        .limit(new.most)
    )
    if new.decision is State.REQUEUED and new.filters.cause is None and new.filters.reason is None:
        # they may have been sent: sending them twice takes a reviewer's decision
        found = found.where(letter.cause != Cause.UNKNOWN_OUTCOME)
    if new.decision is State.REQUEUED and new.test:
        # what a live key has sent would reach a provider
        found = found.where(exists().where(notifications.c.id == letter.notification_id, notifications.c.test))
    return insert(dead_letter_job_items).from_select(["job_id", "position", "notification_id"], found)


def _filters_text(filters: DeadLetterFilters) -> str:
    return json.dumps({name: _plain(value) for name, value in filters._asdict().items() if value is not None})


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _filters_of(stored: Any) -> DeadLetterFilters:
    found = json.loads(stored) if isinstance(stored, str) else stored
    return DeadLetterFilters(
        found.get("project", FIRST_PROJECT),
        state=State(found["state"]),
        channel=Channel(found["channel"]) if "channel" in found else None,
        template=found.get("template"),
        reason=found.get("reason"),
        cause=Cause(found["cause"]) if "cause" in found else None,
        created_after=datetime.fromisoformat(found["created_after"]) if "created_after" in found else None,
        created_before=datetime.fromisoformat(found["created_before"]) if "created_before" in found else None,
    )


def _job(row: Any, skipped: dict[str, int] | None = None) -> BulkOperation:
    return BulkOperation(
        id=row["id"],
        decision=State(row["decision"]),
        state=BulkState(row["state"]),
        filters=_filters_of(row["filters"]),
        rate_per_s=row["rate_per_s"],
        note=row["note"],
        created_by=str(Actor(row["actor_kind"], row["actor_id"])),
        create_time=row["create_time"],
        finish_time=row["finish_time"],
        total=row["total"],
        done=row["done"],
        skipped=row["skipped"],
        skipped_reasons=skipped or {},
    )
