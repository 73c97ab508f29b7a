"""The delivery ledger in Redis: which attempt was begun by whom, and what became of it.

A worker claims an attempt before it calls a provider and replaces the claim by the attempt's record after it. The claim is a lease that
its owner renews for as long as it works: another worker with the same message waits for the outcome, and only a lease that ran out means
that the outcome is unknown. A cancel (`delivery/cancellation.py`) takes the place of attempts that no worker has claimed, so that claim
and cancel exclude each other. `delivery/ledger_script.py` has the rules.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from delivery.ledger_script import ABANDON, CLAIM, FREE, LOOK, NOTHING, RECORD, RECORD_SENT, RENEW, SCRIPT, entry_of
from delivery.models import Claim, LedgerEntry, LedgerState
from mesh.resilience.batching import Batcher
from mesh.resilience.breaker import Breaker, BreakerOpen

log = logging.getLogger(__name__)

PREFIX = "clarion:ledger:"

# Longer than a store's or worker's pause that must cause no double (8 s) and the renewal before it; short enough for what a dead worker had
# in hand.
LEASE_S = 10.0
_RENEWALS = 10  # in a lease
_LOOK_S, _LOOK_MAX_S = 0.05, 0.5
# A call to a provider rarely takes longer. What waits holds one of the worker's few places, and a dead worker leaves many that must wait.
_PATIENCE_S = 1.0
_MOST_UNWRITTEN = 20_000
_PAGE = 500

_Operation = tuple[bytes, bytes, bytes, bytes]


@dataclass(slots=True)
class _Held:
    """A claim of ours. Until `until` (monotonic) no other worker can have it; a claim that Redis has not seen holds without end."""

    claim: Claim
    until: float


class Ledger:
    """Claims and records by key. All callers' operations of a moment go to Redis in one round trip.

    While Redis is down every key looks new: deliveries go on without protection against doubles, a warning says so once, and
    `on_unprotected` is called with the number of operations that Redis did not get. Records are kept until it takes them.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        ttl_s: int = 24 * 3600,
        lease_s: float = LEASE_S,
        patience_s: float = _PATIENCE_S,
        prefix: str = PREFIX,
        on_unprotected: Callable[[int], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._limits = (str(ttl_s).encode(), str(round(lease_s * 1000)).encode())
        self._lease_s = lease_s
        self._patience_s = patience_s
        self._prefix = prefix.encode()
        self._script = redis.register_script(SCRIPT)
        self._on_unprotected = on_unprotected
        self._clock = clock
        # a Redis that hangs must not add its time-out to every delivery
        self._breaker = Breaker("ledger", failures=2, open_s=2.0, clock=clock)
        self._protected = True
        self._owner, self._numbers = secrets.token_hex(4), count()
        self._held: dict[str, _Held] = {}
        self._unwritten: dict[str, _Operation] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._batcher: Batcher[_Operation, LedgerEntry | None] = Batcher(self._run, max_items=_PAGE, max_concurrent=2, name="ledger")

    async def look_up(self, keys: Sequence[str]) -> list[LedgerEntry]:
        """What is known of each key, in order."""
        if not keys:
            return []
        entries = await self._run([(LOOK, self._name(key), b"", b"") for key in keys])
        return [NOTHING if entry is None else entry for entry in entries]

    async def wait(self, key: str) -> LedgerEntry:
        """What is known of the key once it is no live claim; CLAIMED where that takes longer than `patience_s`."""
        deadline, pause_s = self._clock() + self._patience_s, _LOOK_S
        while True:
            found = await self._batcher.submit((LOOK, self._name(key), b"", b""))
            entry = NOTHING if found is None else found
            if entry.state is not LedgerState.CLAIMED or self._clock() >= deadline:
                return entry
            await asyncio.sleep(min(pause_s, max(0.001, entry.left_s)))
            pause_s = min(2 * pause_s, _LOOK_MAX_S)

    async def claim(self, key: str) -> Claim:
        """Claims the attempt. It is ours when `entry` is NONE (new) or UNKNOWN (its owner's lease ran out), and is then renewed until
        `record` or `abandon`.
        """
        token, began = f"{self._owner}{next(self._numbers) % 2**32:08x}", self._clock()
        entry = await self._batcher.submit((CLAIM, self._name(key), token.encode(), b""))
        claim = Claim(key, token, NOTHING if entry is None else entry)
        if claim.held:
            self._held[token] = _Held(claim, began + self._lease_s if entry is not None else float("inf"))
            if self._keeper is None:
                self._keeper = asyncio.create_task(self._keep(), name="ledger-keeper")
        return claim

    async def is_held(self, claim: Claim) -> bool:
        """Whether no other worker can have the attempt now. To be asked right before the provider is called."""
        held = self._held.get(claim.token)
        if held is not None and held.until - self._clock() < self._lease_s / 2:
            await self._renew([held])
        return held is not None and held.until > self._clock()

    async def record(self, claim: Claim, record: bytes, *, sent: bool = False) -> LedgerEntry:
        """Writes what became of the attempt: NONE when written, else what stands there in its place. `sent` is a fact that also an
        owner may state whose lease ran out.
        """
        self._held.pop(claim.token, None)
        operation = (RECORD_SENT if sent else RECORD, self._name(claim.key), claim.token.encode(), record)
        return await self._put(claim, operation)

    async def abandon(self, claim: Claim, *, tried: bool = True) -> None:
        """Ends the lease without a record. Where a provider was `tried`, the outcome is unknown from now on."""
        if self._held.pop(claim.token, None) is not None:
            await self._put(claim, (ABANDON if tried else FREE, self._name(claim.key), claim.token.encode(), b""))

    async def close(self) -> None:
        """Waits for what is under way, and gives up the claims that are left."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            await self._write()
        await asyncio.gather(*(self.abandon(held.claim) for held in tuple(self._held.values())))
        await self._batcher.close()

    async def _put(self, claim: Claim, operation: _Operation) -> LedgerEntry:
        entry = await self._batcher.submit(operation)
        if entry is None and len(self._unwritten) < _MOST_UNWRITTEN:
            self._unwritten[claim.token] = operation
        return NOTHING if entry is None else entry

    def _name(self, key: str) -> bytes:
        return self._prefix + key.encode()

    async def _keep(self) -> None:
        """Renews leases and writes the records that Redis did not get. Asks Redis also while the breaker is open: it is the first to
        know that Redis is back.
        """
        while True:
            await asyncio.sleep(self._lease_s / _RENEWALS)
            try:
                await self._write()
                latest = self._clock() + self._lease_s * (1 - 0.5 / _RENEWALS)
                await self._renew([held for held in self._held.values() if not latest <= held.until < float("inf")])
            except Exception:
                log.exception("renewing claims failed; trying again")

    async def _renew(self, all_held: Sequence[_Held]) -> None:
        for start in range(0, len(all_held), _PAGE):
            page, began = all_held[start : start + _PAGE], self._clock()
            entries = await self._ask([(RENEW, self._name(held.claim.key), held.claim.token.encode(), b"") for held in page])
            for held, entry in zip(page, entries or (), strict=entries is not None):
                held.until = began + self._lease_s if entry == NOTHING else -float("inf")

    async def _write(self) -> None:
        tokens = tuple(self._unwritten)
        for start in range(0, len(tokens), _PAGE):
            page = tokens[start : start + _PAGE]
            if await self._ask([self._unwritten[token] for token in page]) is None:
                return
            for token in page:
                del self._unwritten[token]

    async def _ask(self, operations: Sequence[_Operation]) -> list[LedgerEntry] | None:
        """The answers, or None when Redis does not answer."""
        try:
            return await self._call(operations)
        except (RedisError, OSError) as error:
            self._note(protected=False, cause=type(error).__name__)
            return None

    async def _run(self, operations: Sequence[_Operation]) -> Sequence[LedgerEntry | None]:
        """Like `_ask`, but a Redis that has failed is left alone for a moment."""
        try:
            async with self._breaker.guard():
                return await self._call(operations)
        except (RedisError, OSError, BreakerOpen) as error:
            self._note(protected=False, cause=type(error).__name__)
            if self._on_unprotected is not None:
                self._on_unprotected(len(operations))
            return [None] * len(operations)

    async def _call(self, operations: Sequence[_Operation]) -> list[LedgerEntry]:
        arguments = [*self._limits, *(operation + token + value for operation, _, token, value in operations)]
        call = cast(Awaitable[list[bytes]], self._script(keys=[key for _, key, _, _ in operations], args=arguments))
        answers = await call
        self._note(protected=True)
        return [entry_of(answer) for answer in answers]

    def _note(self, *, protected: bool, cause: str = "") -> None:
        if protected is self._protected:
            return
        self._protected = protected
        if protected:
            log.info("ledger is back")
        else:
            log.warning("ledger is unavailable: deliveries go on without protection against doubles", extra={"cause": cause})
