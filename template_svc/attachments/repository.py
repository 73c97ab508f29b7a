"""Attachments in PostgreSQL. Times are its own: no other machine's clock decides how long something is kept."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import text

from mesh.stores.database import Database
from template_svc.attachments.models import Attachment, AttachmentKey, File, Use

_KEEP = """
INSERT INTO attachments (project, id, size_bytes, content, keep_until)
SELECT $1, $2, length($3::bytea), $3, now() + $4 * interval '1 second'
WHERE (SELECT count(*) FROM (SELECT 1 FROM attachments WHERE project = $1 AND NOT used LIMIT $5) AS waiting) < $5
    OR EXISTS (SELECT 1 FROM attachments WHERE project = $1 AND id = $2)
ON CONFLICT (project, id) DO UPDATE SET keep_until = greatest(attachments.keep_until, excluded.keep_until)
RETURNING id, size_bytes, keep_until
"""
_SIZES = "SELECT id, size_bytes FROM attachments WHERE project = $1 AND id = ANY($2::bytea[])"
# One statement, so that none of them can go before its use is there. In the order of the hash, so that two calls never wait for each other
# in a circle.
_USE = """
WITH held AS (
    UPDATE attachments a SET keep_until = greatest(a.keep_until, now() + $5 * interval '1 second'), used = true
    FROM (SELECT id FROM attachments WHERE project = $1 AND id = ANY($2::bytea[]) ORDER BY id FOR UPDATE) mine
    WHERE a.project = $1 AND a.id = mine.id
    RETURNING a.id, a.size_bytes, a.keep_until
),
kept AS (
    INSERT INTO attachments AS a (project, id, size_bytes, content, keep_until, used)
    SELECT $1, id, length(content), content, now() + $5 * interval '1 second', true
    FROM unnest($6::bytea[], $7::bytea[]) AS given(id, content) ORDER BY id
    ON CONFLICT (project, id) DO UPDATE SET keep_until = greatest(a.keep_until, excluded.keep_until), used = true
    RETURNING a.id, a.size_bytes, a.keep_until
),
both_kinds AS (SELECT * FROM held UNION ALL SELECT * FROM kept),
used AS (
    INSERT INTO attachment_uses (project, attachment, notification_id, user_id, keep_until)
    SELECT $1, id, $3, $4, now() + $5 * interval '1 second' FROM both_kinds
    ON CONFLICT DO NOTHING
)
SELECT * FROM both_kinds
"""
_FIND = "SELECT content FROM attachments WHERE project = $1 AND id = $2"
# What others use too stays; what no one else uses goes at once. A statement of its own looks at the uses once the files are locked: one
# that waits for a send to someone else would still see the uses from before it, and take that one's file away.
_LOCK_THEIRS = text("""
SELECT 1 FROM attachments a WHERE EXISTS (
    SELECT 1 FROM attachment_uses u WHERE u.project = a.project AND u.attachment = a.id AND u.user_id = :user_id
)
ORDER BY a.id FOR UPDATE
""")
_FORGET = text("""
WITH gone AS (DELETE FROM attachment_uses WHERE user_id = :user_id RETURNING project, attachment)
DELETE FROM attachments a USING (SELECT DISTINCT project, attachment FROM gone) AS mine
WHERE a.project = mine.project AND a.id = mine.attachment AND NOT EXISTS (
    SELECT 1 FROM attachment_uses u WHERE u.project = a.project AND u.attachment = a.id AND u.user_id <> :user_id
)
""")
_CLEAN = """
DELETE FROM attachments WHERE (project, id) IN (
    SELECT project, id FROM attachments WHERE keep_until < now() ORDER BY keep_until LIMIT $1 FOR UPDATE SKIP LOCKED
)
RETURNING 1
"""
_CLEAN_USES = """
DELETE FROM attachment_uses WHERE (project, attachment, notification_id) IN (
    SELECT project, attachment, notification_id FROM attachment_uses WHERE keep_until < now() ORDER BY keep_until LIMIT $1
    FOR UPDATE SKIP LOCKED
)
RETURNING 1
"""
_BATCH = 100


class AttachmentRepository:
    """Implements `use_cases.AttachmentStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, project: str, file: File, keep_for_s: float, most: int) -> Attachment | None:
        rows = await self._database.fetch(_KEEP, project, file.digest, file.content, keep_for_s, most)
        return Attachment(*rows[0]) if rows else None

    async def sizes(self, project: str, digests: Collection[bytes]) -> Mapping[bytes, int]:
        return {bytes(row["id"]): row["size_bytes"] for row in await self._database.fetch(_SIZES, project, list(digests))}

    async def use(self, use: Use, digests: Collection[bytes], files: Sequence[File]) -> Sequence[Attachment]:
        contents = dict(files)
        rows = await self._database.fetch(
            _USE,
            use.project,
            sorted(set(digests) - contents.keys()),
            use.notification_id,
            use.user_id,
            use.keep_for_s,
            list(contents),
            list(contents.values()),
        )
        return [Attachment(*row) for row in rows]

    async def find(self, key: AttachmentKey) -> bytes | None:
        rows = await self._database.fetch(_FIND, *key)
        return bytes(rows[0]["content"]) if rows else None

    async def forget(self, user_id: UUID) -> None:
        async with self._database.begin() as connection:
            for statement in (_LOCK_THEIRS, _FORGET):
                await connection.execute(statement, {"user_id": user_id})

    async def clean(self) -> int:
        uses = await self._database.fetch(_CLEAN_USES, _BATCH)
        return len(uses) + len(await self._database.fetch(_CLEAN, _BATCH))
