"""How much a provider may be given per second, kept for all replicas together in Redis: a token bucket whose debts are waited for.

The bucket is its theoretical arrival time (GCRA): the moment at which it will be full. All takes of a moment go in one round trip.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from mesh.resilience.batching import Batcher
from mesh.resilience.breaker import Breaker, BreakerOpen

log = logging.getLogger(__name__)

# What may go at once after a pause, as a part of a second's worth: enough for a worker's hiccup, too little to be a burst.
_BURST_S = 0.25

# KEYS: the bucket. ARGV: now (µs, empty for Redis's clock), µs per token, burst (µs), then in turn tokens and the longest wait (µs).
# Answers per take the wait in µs, or -1 - (the wait that there would have been).
_SCRIPT = """
local clock = redis.call('TIME')
local now = tonumber(ARGV[1]) or (clock[1] * 1000000 + clock[2])
local each, burst = tonumber(ARGV[2]), tonumber(ARGV[3])
local full, out = tonumber(redis.call('GET', KEYS[1]) or '0'), {}
for at = 4, #ARGV, 2 do
  local wait = math.max(0, full + each - burst - now)
  if wait <= tonumber(ARGV[at + 1]) then
    full = math.max(full, now) + tonumber(ARGV[at]) * each
    out[#out + 1] = math.ceil(wait)
  else
    out[#out + 1] = -1 - math.ceil(wait)
  end
end
if full > now then redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000)) end
return out
"""


class Turn(NamedTuple):
    """The answer to a take. Granted: use the tokens after `wait_s`. Refused: a token comes in `wait_s`."""

    granted: bool
    wait_s: float


class ProviderLimit:
    """At most `rate_per_s` tokens per second. While Redis is down the rate holds for this process alone."""

    def __init__(
        self,
        name: str,
        rate_per_s: float,
        redis: Redis,
        *,
        clock: Callable[[], float] = time.monotonic,
        now_s: Callable[[], float] | None = None,
    ) -> None:
        self._each_us = max(1, round(1_000_000 / rate_per_s))
        self._burst_us = max(self._each_us, round(_BURST_S * 1_000_000))
        self._key = f"clarion:rate:p:{name}"
        self._clock = clock
        self._now_s = now_s
        self._script = redis.register_script(_SCRIPT)
        # a Redis that hangs must not add its time-out to every delivery
        self._breaker = Breaker(f"limit.{name}", failures=2, open_s=5.0, clock=clock)
        self._full_us = 0
        self._batcher: Batcher[tuple[int, int], Turn] = Batcher(self._take, max_items=500, name="provider-limit")

    async def take(self, tokens: int = 1, *, within_s: float = 0.0) -> Turn:
        """Takes the tokens if the first of them comes within the time; more than one may leave a debt that others wait for."""
        return await self._batcher.submit((tokens, round(within_s * 1_000_000)))

    async def close(self) -> None:
        """Waits for what is under way."""
        await self._batcher.close()

    async def _take(self, takes: Sequence[tuple[int, int]]) -> list[Turn]:
        now = "" if self._now_s is None else round(self._now_s() * 1_000_000)
        arguments = [now, self._each_us, self._burst_us, *(number for take in takes for number in take)]
        try:
            async with self._breaker.guard():
                answers = cast(list[int], await self._script(keys=[self._key], args=arguments))
        except (RedisError, OSError, BreakerOpen):
            return [self._take_here(*take) for take in takes]
        return [Turn(wait_us >= 0, (wait_us if wait_us >= 0 else -1 - wait_us) / 1_000_000) for wait_us in answers]

    def _take_here(self, tokens: int, within_us: int) -> Turn:
        now = round(self._clock() * 1_000_000)
        wait = max(0, self._full_us + self._each_us - self._burst_us - now)
        if wait > within_us:
            return Turn(False, wait / 1_000_000)
        self._full_us = max(self._full_us, now) + tokens * self._each_us
        return Turn(True, wait / 1_000_000)
