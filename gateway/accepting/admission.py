"""Admission: may this request go on? One atomic script answers for all requests that arrive together.

A request claims its idempotency key and takes its turn in two rate limits, or does neither. While Redis is away, requests are
admitted under the limits of this process; idempotency is then kept by the unique row in PostgreSQL alone.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Coroutine, Sequence
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.accepting.limits import AdmissionDecision, Answer, Ask, Claim, LocalLimiter, RateLimit
from mesh.process.telemetry import meter
from mesh.resilience.batching import Batcher

log = logging.getLogger(__name__)

RETENTION_S = 24 * 3600
# Longer than the deadline of a send, and no longer: until it ends, a caller whose gateway died hears 409. A batch may outlive its
# claims, but the unique row in PostgreSQL holds then too.
_CLAIM_TTL_S = 12
_PROBE_INTERVAL_S = 1.0
# under load only; no request waits for a completion, so it may collect longer
_LINGER_S = 0.002
_COMPLETE_LINGER_S = 0.01
_KEY = "clarion:idem:"
_RECIPIENT = "clarion:rate:r:"

# ARGV: interval and burst (µs) of the caller's and of the recipient's limit, claim TTL (ms), then a JSON array with, per request:
# idempotency key or "", value of the claim ("P", fingerprint in hex, token in hex), caller's key, recipient's key. Answers 4 numbers or
# strings per request. One JSON text, since each argument of a command costs the client as much as all of them in one. The keys are not
# in KEYS since they can't share a cluster slot anyway: Clarion uses one Redis primary.
_ADMIT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local ci, cb, ri, rb = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local arrivals, changed, out = {}, {}, {}
local function arrival(key)
  local known = arrivals[key]
  if not known then
    known = math.max(tonumber(redis.call('GET', key) or 0), now)
    arrivals[key] = known
  end
  return known
end
local asks = cjson.decode(ARGV[6])
for i = 1, #asks, 4 do
  local key, value, caller, recipient = asks[i], asks[i + 1], asks[i + 2], asks[i + 3]
  local held = key ~= '' and redis.call('GET', key)
  local n = #out
  if held then
    out[n + 2], out[n + 3], out[n + 4] = '', 0, 0
    if string.sub(held, 2, 65) ~= string.sub(value, 2, 65) then
      out[n + 1] = 3
    elseif string.sub(held, 1, 1) == 'P' then
      out[n + 1] = 2
    else
      out[n + 1], out[n + 2] = 1, string.sub(held, 66)
    end
  else
    local ca, ra = arrival(caller) + ci, arrival(recipient) + ri
    if ca - now > cb then
      out[n + 1], out[n + 2], out[n + 3], out[n + 4] = 4, ca - now - cb, 0, ca - ci - now
    elseif ra - now > rb then
      out[n + 1], out[n + 2], out[n + 3], out[n + 4] = 5, ra - now - rb, 0, ra - ri - now
    else
      arrivals[caller], arrivals[recipient] = ca, ra
      changed[caller], changed[recipient] = true, true
      if key ~= '' then redis.call('SET', key, value, 'PX', ARGV[5]) end
      out[n + 1], out[n + 2], out[n + 3], out[n + 4] = 0, '', math.floor((cb - (ca - now)) / ci), ca - now
    end
  end
end
for key, _ in pairs(changed) do
  redis.call('SET', key, string.format('%.0f', arrivals[key]), 'PX', math.ceil((arrivals[key] - now) / 1000))
end
return out
"""

# ARGV: TTL (s), then a JSON array of keys and values in turn.
_COMPLETE = """
local done = cjson.decode(ARGV[2])
for i = 1, #done, 2 do redis.call('SET', done[i], done[i + 1], 'EX', ARGV[1]) end
return 1
"""

# ARGV: interval (µs) of the recipient's limit, then a JSON array with, per request: idempotency key or "", value of the claim, recipient's
# key. A claim may have run out and be someone else's by now: only its own value is taken back.
_RELEASE = """
local given = cjson.decode(ARGV[2])
for i = 1, #given, 3 do
  local key, value, recipient = given[i], given[i + 1], given[i + 2]
  if key ~= '' and redis.call('GET', key) == value then redis.call('DEL', key) end
  local arrival = redis.call('GET', recipient)
  if arrival then redis.call('SET', recipient, string.format('%.0f', arrival - ARGV[1]), 'KEEPTTL') end
end
return 1
"""


class Admission:
    """Admission over Redis, with a local stand-in. `close` ends its background work."""

    def __init__(self, redis: Redis, *, caller: RateLimit, recipient: RateLimit, max_batch: int = 256) -> None:
        self._redis = redis
        self._caller = caller
        self._recipient = recipient
        self._prefix = [caller.interval_us, caller.burst_us, recipient.interval_us, recipient.burst_us, _CLAIM_TTL_S * 1000]
        self._admit_script = redis.register_script(_ADMIT)
        self._complete_script = redis.register_script(_COMPLETE)
        self._release_script = redis.register_script(_RELEASE)
        self._local = LocalLimiter()
        self._asks: Batcher[Ask, AdmissionDecision] = Batcher(
            self._admit, max_items=max_batch, max_concurrent=2, linger_s=_LINGER_S, name="admission"
        )
        self._completions: Batcher[tuple[Claim, bytes], None] = Batcher(
            self._store, max_items=max_batch, linger_s=_COMPLETE_LINGER_S, name="completion"
        )
        self._releases: Batcher[Ask, None] = Batcher(self._forget, max_items=max_batch, name="release")
        self._probe: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[object]] = set()
        self._local_admissions = meter().create_counter(
            "clarion.admission.local", description="Requests admitted under the limits of one process since Redis was away."
        )

    @property
    def degraded(self) -> bool:
        """Whether Redis is away and this process's own limits hold."""
        return self._probe is not None

    @property
    def policy_header(self) -> str:
        """The RateLimit-Policy header."""
        return f"{self._caller.policy}, {self._recipient.policy}"

    async def admit(self, ask: Ask) -> AdmissionDecision:
        """The answer to one request. Never fails because of Redis."""
        return await self._asks.submit(ask)

    def complete(self, done: Sequence[tuple[Claim, bytes]]) -> None:
        """Stores, in the background, the responses to replay under these claims."""
        if done and not self.degraded:
            self._start(self._completions.submit_all(done))

    async def release(self, ask: Ask) -> None:
        """Gives back what an admitted request took that came to nothing: its claim, so that it can be repeated at once, and its turn of the
        recipient's limit, since nothing is sent. Its turn of the caller's limit is used up: asking costs as much as sending.
        """
        if self.degraded:
            self._local.give_back("r:" + ask.recipient, self._recipient)
        else:
            await self._releases.submit(ask)

    async def close(self) -> None:
        """Waits for what is under way."""
        await self._asks.close()
        await self._releases.close()
        if self._background:
            await asyncio.wait(self._background)
        await self._completions.close()
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)

    def _start(self, work: Coroutine[object, object, object]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _admit(self, asks: Sequence[Ask]) -> Sequence[AdmissionDecision]:
        if self.degraded:
            return self._admit_locally(asks)
        wanted: list[str] = []
        for caller, recipient, claim in asks:
            wanted += (*_pending(claim), "clarion:rate:c:" + caller, _RECIPIENT + recipient)
        try:
            flat = await self._admit_script(args=[*self._prefix, json.dumps(wanted)])
        except (RedisError, OSError) as error:
            self._lost(error)
            return self._admit_locally(asks)
        return [self._verdict(*flat[at : at + 4]) for at in range(0, len(flat), 4)]

    def _verdict(self, number: int, extra: bytes | int, remaining: int, reset_us: int) -> AdmissionDecision:
        answer = Answer(number)
        limit = self._recipient if answer is Answer.RECIPIENT_LIMITED else self._caller
        if isinstance(extra, bytes):
            return AdmissionDecision(answer, bytes.fromhex(extra.decode()), 0, limit, remaining, reset_us)
        return AdmissionDecision(answer, b"", extra, limit, remaining, reset_us)

    def _admit_locally(self, asks: Sequence[Ask]) -> Sequence[AdmissionDecision]:
        now_us = time.monotonic_ns() // 1000
        self._local_admissions.add(len(asks))
        return [self._verdict_locally(ask, now_us) for ask in asks]

    def _verdict_locally(self, ask: Ask, now_us: int) -> AdmissionDecision:
        caller, recipient = "c:" + ask.caller, "r:" + ask.recipient
        refused = self._local.take([(caller, self._caller), (recipient, self._recipient)], now_us)
        if refused is None:
            return AdmissionDecision(Answer.ADMITTED, b"", 0, self._caller, *self._local.left(caller, self._caller, now_us))
        limit, wait_us = refused
        answer = Answer.CALLER_LIMITED if limit is self._caller else Answer.RECIPIENT_LIMITED
        _, reset_us = self._local.left(caller if limit is self._caller else recipient, limit, now_us)
        return AdmissionDecision(answer, b"", wait_us, limit, 0, reset_us)

    async def _store(self, done: Sequence[tuple[Claim, bytes]]) -> Sequence[None]:
        pairs: list[str] = []
        for claim, response in done:
            pairs += (_KEY + claim.digest.hex(), f"D{claim.fingerprint.hex()}{response.hex()}")
        try:
            await self._complete_script(args=[RETENTION_S, json.dumps(pairs)])
        except (RedisError, OSError) as error:
            self._lost(error)
        return [None] * len(done)

    async def _forget(self, asks: Sequence[Ask]) -> Sequence[None]:
        given: list[str] = []
        for ask in asks:
            given += (*_pending(ask.claim), _RECIPIENT + ask.recipient)
        try:
            await self._release_script(args=[self._recipient.interval_us, json.dumps(given)])
        except (RedisError, OSError) as error:
            self._lost(error)
        return [None] * len(asks)

    def _lost(self, error: Exception) -> None:
        if self._probe is None:
            log.warning("redis is away; admitting under local limits", extra={"error": type(error).__name__})
            self._probe = asyncio.create_task(self._wait_for_redis(), name="admission-probe")

    async def _wait_for_redis(self) -> None:
        while True:
            await asyncio.sleep(_PROBE_INTERVAL_S)
            try:
                await cast(Awaitable[object], self._redis.ping())
            except (RedisError, OSError):
                continue
            log.warning("redis is back; admitting under shared limits")
            self._probe = None
            return


def _pending(claim: Claim | None) -> tuple[str, str]:
    return ("", "") if claim is None else (_KEY + claim.digest.hex(), claim.pending)
