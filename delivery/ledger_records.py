"""Removing what the ledger keeps of attempts that are over: the words of providers, which may hold personal data."""

from collections.abc import Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError

from delivery.cancellation import LedgerUnavailable
from delivery.ledger import PREFIX
from delivery.models import attempt_key

_AT_A_TIME = 500


class LedgerRecords:
    """The workers' ledger, as far as it is about attempts that have ended."""

    def __init__(self, redis: Redis, *, ttl_s: int = 24 * 3600) -> None:
        self._redis = redis
        self._ttl_s = ttl_s

    @property
    def kept_s(self) -> float:
        """For how long a record is kept, and as much again for clocks that differ."""
        return 2.0 * self._ttl_s

    async def forget(self, attempts: Sequence[tuple[str, int, int]]) -> None:
        """Removes the records of these: notification, run, attempt. Raises LedgerUnavailable.

        Only for people who are gone: a message that the bus delivers once more then finds no one to send to.
        """
        keys = [PREFIX + attempt_key(*attempt) for attempt in attempts]
        try:
            for start in range(0, len(keys), _AT_A_TIME):
                await self._redis.unlink(*keys[start : start + _AT_A_TIME])
        except (RedisError, OSError):
            raise LedgerUnavailable from None
