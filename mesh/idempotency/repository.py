"""Claims and answers in PostgreSQL. The database's clock decides when they end, so that no two processes have to agree on the time."""

from uuid import UUID

from mesh.idempotency.models import Claim, Claimed, Standing
from mesh.stores.database import Database

RETENTION_S = 24 * 3600

_CLAIM = f"""
INSERT INTO repeatable_calls AS held (digest, fingerprint, token, lease_until, create_time)
VALUES ($1, $2, $3, now() + make_interval(secs => $4), now())
ON CONFLICT (digest) DO UPDATE SET
    fingerprint = excluded.fingerprint, token = excluded.token, lease_until = excluded.lease_until, create_time = excluded.create_time,
    response = NULL, subject = NULL
WHERE held.create_time < now() - make_interval(secs => {RETENTION_S})
   OR (held.response IS NULL AND held.lease_until < now() AND held.fingerprint = excluded.fingerprint)
RETURNING 1
"""
_FIND = "SELECT fingerprint, response FROM repeatable_calls WHERE digest = $1"
_ANSWER = "UPDATE repeatable_calls SET response = $3, subject = $4 WHERE digest = $1 AND token = $2"
_RELEASE = "DELETE FROM repeatable_calls WHERE digest = $1 AND token = $2 AND response IS NULL"
_CLEAN = f"""
DELETE FROM repeatable_calls WHERE digest IN (
    SELECT digest FROM repeatable_calls WHERE create_time < now() - make_interval(secs => {RETENTION_S})
    ORDER BY create_time LIMIT $1 FOR UPDATE SKIP LOCKED
)
RETURNING 1
"""


class AnswerRepository:
    """Implements `idempotency.use_cases.Answers`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, claim: Claim) -> Standing:
        """One statement decides between calls that arrive together."""
        if await self._database.fetch(_CLAIM, claim.digest, claim.fingerprint, claim.token, claim.lease_s):
            return Standing(Claimed.MINE)
        rows = await self._database.fetch(_FIND, claim.digest)
        if not rows:  # given up just now: the caller may try again at once
            return Standing(Claimed.IN_PROGRESS)
        if rows[0]["fingerprint"] != claim.fingerprint:
            return Standing(Claimed.OTHER_REQUEST)
        sealed = rows[0]["response"]
        return Standing(Claimed.IN_PROGRESS) if sealed is None else Standing(Claimed.ANSWERED, sealed)

    async def answer(self, claim: Claim, sealed: bytes, subject: UUID | None) -> None:
        """Nothing happens when the claim has ended and another call holds the key."""
        await self._database.fetch(_ANSWER, claim.digest, claim.token, sealed, subject)

    async def release(self, claim: Claim) -> None:
        await self._database.fetch(_RELEASE, claim.digest, claim.token)

    async def forget_old(self) -> None:
        """Deletes all rows past their retention."""
        while await self.clean():
            pass

    async def clean(self, *, most: int = 1000) -> int:
        """Deletes up to `most` rows past their retention and returns how many they were."""
        return len(await self._database.fetch(_CLEAN, most))
