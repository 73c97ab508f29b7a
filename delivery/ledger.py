"""The delivery ledger in Redis: which attempt was begun, and what became of it.

A claim is written before a provider is called and replaced by the attempt's record after it. A redelivered message finds the record
and is not sent again; one that finds a bare claim knows that the outcome of the earlier try is unknown. A cancel
(`delivery/cancellation.py`) takes the place of attempts that nobody has claimed, so that claim and cancel exclude each other.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from delivery.models import LedgerEntry, LedgerState
from mesh.resilience.batching import Batcher
from mesh.resilience.breaker import Breaker, BreakerOpen

log = logging.getLogger(__name__)

PREFIX = "clarion:ledger:"

# An attempt's key holds "C" for a claim, "U" for one that was claimed again since nobody knows what came of it, a cancel's mark, or DONE
# followed by the record.
CANCELLED, DONE = b"X", b"D"

# All claims and records of a moment in one script, in their order: per key an operation (c claim, d done) and a value.
# The answer is what stood there before. A retry (R) recorded for an attempt that others have tried too is a doubtful one (P).
_SCRIPT = """
local answers = {}
for i, key in ipairs(KEYS) do
  local operation, value = ARGV[2 * i], ARGV[2 * i + 1]
  local before = redis.call('GET', key)
  if operation == 'c' and not before then
    redis.call('SET', key, 'C', 'EX', ARGV[1])
  elseif operation == 'c' and before == 'C' then
    redis.call('SET', key, 'U', 'EX', ARGV[1])
  elseif operation == 'd' then
    if before == 'U' then value = string.gsub(value, '^R', 'P') end
    redis.call('SET', key, 'D' .. value, 'EX', ARGV[1])
  end
  answers[i] = before
end
return answers
"""


_NONE = LedgerEntry(LedgerState.NONE)
_CLAIMED = LedgerEntry(LedgerState.CLAIMED)
_CANCELLED = LedgerEntry(LedgerState.CANCELLED)
_Operation = tuple[bytes, bytes, bytes]


class Ledger:
    """Claims and records by key. All callers' operations of a moment go to Redis in one round trip.

    While Redis is down every key looks new and nothing is kept: deliveries go on without protection against doubles, a warning tells so
    once, and `on_unprotected` is called with the number of operations that went lost.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        ttl_s: int = 24 * 3600,
        prefix: str = PREFIX,
        on_unprotected: Callable[[int], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._ttl = str(ttl_s).encode()
        self._prefix = prefix.encode()
        self._script = redis.register_script(_SCRIPT)
        self._on_unprotected = on_unprotected
        # a Redis that hangs must not add its time-out to every delivery
        self._breaker = Breaker("ledger", failures=2, open_s=5.0, clock=clock)
        self._protected = True
        self._batcher: Batcher[_Operation, LedgerEntry] = Batcher(self._run, max_items=500, max_concurrent=2, name="ledger")

    async def look_up(self, keys: Sequence[str]) -> list[LedgerEntry]:
        """What is known of each key, in order."""
        if not keys:
            return []
        return await self._guarded(len(keys), lambda: self._redis.mget([self._prefix + key.encode() for key in keys]))

    async def claim(self, key: str) -> LedgerEntry:
        """Claims the attempt and returns what was known of it before; NONE means that it is new and now ours."""
        return await self._batcher.submit((b"c", self._prefix + key.encode(), b""))

    async def record(self, key: str, record: bytes) -> None:
        """Writes what became of the attempt."""
        await self._batcher.submit((b"d", self._prefix + key.encode(), record))

    async def close(self) -> None:
        """Waits for what is under way."""
        await self._batcher.close()

    async def _run(self, operations: Sequence[_Operation]) -> list[LedgerEntry]:
        keys = [key for _, key, _ in operations]
        arguments = [self._ttl]
        for operation, _, value in operations:
            arguments += (operation, value)
        return await self._guarded(len(keys), lambda: self._script(keys=keys, args=arguments))

    async def _guarded(self, count: int, call: Callable[[], Awaitable[object]]) -> list[LedgerEntry]:
        try:
            async with self._breaker.guard():
                answers = await call()
        except (RedisError, OSError, BreakerOpen) as error:
            self._note(protected=False, cause=type(error).__name__)
            if self._on_unprotected is not None:
                self._on_unprotected(count)
            return [_NONE] * count
        self._note(protected=True)
        return [_entry(answer) for answer in cast(list[bytes | None], answers)]

    def _note(self, *, protected: bool, cause: str = "") -> None:
        if protected is self._protected:
            return
        self._protected = protected
        if protected:
            log.info("ledger is back")
        else:
            log.warning("ledger is unavailable: deliveries go on without protection against doubles", extra={"cause": cause})


def _entry(answer: bytes | None) -> LedgerEntry:
    if answer is None:
        return _NONE
    if answer.startswith(DONE):
        return LedgerEntry(LedgerState.DONE, answer[1:])
    return _CANCELLED if answer == CANCELLED else _CLAIMED
