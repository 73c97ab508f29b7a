"""Giving back what a notification took out of its recipient's rate limit: a number in Redis, the same that admission counts with.

The number is GCRA's: how far ahead of its rate a recipient is. It runs back by itself, so what was taken at one moment is all there again a
window later, and half of it after half a window; only the rest is given back, and never below zero.
"""

import time
from collections.abc import Awaitable, Callable
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.limits import RateLimit
from mesh.errors import Unavailable

_LIMIT_KEY = "clarion:rate:r:"
_MARK_KEY = "clarion:given-back:"

# KEYS: the recipient's number, and the mark that makes it happen once. ARGV: microseconds to give back, time to live of the mark (ms).
_GIVE_BACK = """
if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[2]) then return 0 end
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local ahead = tonumber(redis.call('GET', KEYS[1]) or 0) - now
if ahead <= 0 then return 0 end
local left = ahead - tonumber(ARGV[1])
if left > 0 then
  redis.call('SET', KEYS[1], string.format('%.0f', now + left), 'PX', math.ceil(left / 1000))
else
  redis.call('DEL', KEYS[1])
end
return 1
"""


class RedisUnavailable(Unavailable):
    """Redis is away."""

    reason = "REDIS_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("redis is not available", retry_after_s=1)


class RecipientBudget:
    """Implements `gateway.sagas.sending.Budget`."""

    def __init__(self, redis: Redis, limit: RateLimit, *, now_s: Callable[[], float] = time.time) -> None:
        self._limit = limit
        self._now_s = now_s
        self._redis = redis
        self._script = redis.register_script(_GIVE_BACK)

    async def give_back(self, recipient: str, *, taken_at_s: float, token: str) -> None:
        """Once per token. After a window there is nothing left to give back. Raises RedisUnavailable."""
        share = 1 - (self._now_s() - taken_at_s) / self._limit.window_s
        if share <= 0:
            return
        back_us = round(self._limit.interval_us * min(share, 1.0))
        keys = [_LIMIT_KEY + recipient, _MARK_KEY + token]
        try:
            await cast(Awaitable[object], self._script(keys=keys, args=[back_us, self._limit.window_s * 1000]))
        except (RedisError, OSError) as error:
            raise RedisUnavailable from error
