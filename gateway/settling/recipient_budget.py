"""Giving back what a notification took out of its recipient's rate limit: a number in Redis, the same that admission counts with.

The number is GCRA's: how far ahead of its rate a recipient is. It runs back by itself, so what was taken at one moment is all there again a
window later, and half of it after half a window; only the rest is given back, and never below zero. That is also why nothing of this is
stored: what a crash or a longer absence of Redis keeps from being given back returns by itself within the window.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.accepting.limits import RateLimit
from gateway.notifications.models import Unsent
from mesh.process.telemetry import meter

log = logging.getLogger(__name__)

_LIMIT_KEY = "clarion:rate:r:"
_MARK_KEY = "clarion:given-back:"
_PAUSE_S = 1.0
_MOST_WAITING = 10_000

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


class RecipientBudget:
    """Gives back in the background, once per notification, and waits for Redis where that is away. `now_s` is Unix time."""

    def __init__(self, redis: Redis, limit: RateLimit, *, now_s: Callable[[], float] = time.time, pause_s: float = _PAUSE_S) -> None:
        self._limit = limit
        self._now_s = now_s
        self._pause_s = pause_s
        self._script = redis.register_script(_GIVE_BACK)
        self._waiting: deque[Unsent] = deque(maxlen=_MOST_WAITING)
        self._task: asyncio.Task[None] | None = None
        self._given_back = meter().create_counter("clarion.recipient_budget.given_back", description="Notifications that ended unsent.")

    def give_back(self, unsent: Sequence[Unsent]) -> None:
        """Returns at once. What was accepted a window ago has nothing left to give back."""
        self._waiting.extend(unsent)
        if self._waiting and self._task is None:
            self._task = asyncio.create_task(self._work(), name="recipient-budget")

    async def idle(self) -> None:
        """Returns when nothing waits to be given back."""
        while self._task is not None:
            await asyncio.wait({self._task})

    async def close(self) -> None:
        """Gives up what still waits for Redis."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        try:
            while self._waiting:
                try:
                    await self._give_back(self._waiting[0])
                except (RedisError, OSError):
                    log.warning("redis is away; giving back later", extra={"notifications": len(self._waiting)})
                    await asyncio.sleep(self._pause_s)
                else:
                    self._waiting.popleft()
        finally:
            self._task = None

    async def _give_back(self, unsent: Unsent) -> None:
        share = 1 - (self._now_s() - unsent.create_time.timestamp()) / self._limit.window_s
        if share <= 0:
            return
        back_us = round(self._limit.interval_us * min(share, 1.0))
        keys = [f"{_LIMIT_KEY}{unsent.user_id}:{unsent.channel.key}", f"{_MARK_KEY}{unsent.id}"]
        self._given_back.add(await cast(Awaitable[int], self._script(keys=keys, args=[back_us, self._limit.window_s * 1000])))
