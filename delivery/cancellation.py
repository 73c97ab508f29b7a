"""Cancelling what is on the bus: a mark in the ledger in place of every attempt that has not begun.

A worker claims an attempt before it calls a provider, and both claim and cancel are one atomic script each, so whichever is first wins
and the other learns of it.
"""

from collections.abc import Sequence
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from delivery.attempt_result import ATTEMPTS, RETRY
from delivery.ledger import PREFIX
from delivery.ledger_script import CANCELLED, DONE
from delivery.models import attempt_key
from mesh.errors import Unavailable
from mesh.resilience.batching import Batcher

# KEYS are the attempts of each run in their order; ARGV the TTL, the mark, how a plain retry's entry begins, and the attempts of a run.
# An attempt that has ended in a plain retry is over and has reached no one; any other claim or record means that it is too late, which is
# answered by 0. Otherwise what is not begun is marked, and the answer is the first of it. All of it, since the marks must hold even where
# the entry of an earlier attempt has run out.
_SCRIPT = """
local answers, size = {}, tonumber(ARGV[4])
for start = 0, #KEYS - 1, size do
  local free, first = {}, 1
  for i = 1, size do
    local key = KEYS[start + i]
    local entry = redis.call('GET', key)
    if not entry or entry == ARGV[2] then
      free[#free + 1] = key
    elseif first > 0 and string.sub(entry, 1, #ARGV[3]) == ARGV[3] then
      first = i + 1
    else
      first = 0
    end
  end
  if first == 0 or first > size then
    answers[#answers + 1] = 0
  else
    for _, key in ipairs(free) do redis.call('SET', key, ARGV[2], 'EX', ARGV[1]) end
    answers[#answers + 1] = first
  end
end
return answers
"""


class LedgerUnavailable(Unavailable):
    """It is unknown whether an attempt has begun."""

    reason = "LEDGER_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("whether the notification is being sent is unknown at the moment", retry_after_s=1)


class Cancellation:
    """Marks runs as cancelled, all that are asked for at a time in one round trip. `ttl_s` is that of the workers' ledger."""

    def __init__(self, redis: Redis, *, ttl_s: int = 24 * 3600, prefix: str = PREFIX) -> None:
        self._ttl_s = ttl_s
        self._prefix = prefix
        self._script = redis.register_script(_SCRIPT)
        self._batcher: Batcher[tuple[str, int, int], int] = Batcher(self._run, max_items=100, name="cancellation")

    async def cancel_run(self, notification_id: str, run: int, attempt: int = 0) -> int | None:
        """The attempt that will not begin any more, and none after it; None when one has begun that reached or may reach a person.

        `attempt` is the last that is known of.

        Repeating it is harmless. Raises LedgerUnavailable, after which the mark may have been made or not.
        """
        return await self._batcher.submit((notification_id, run, attempt)) or None

    async def close(self) -> None:
        """Waits for what is under way."""
        await self._batcher.close()

    async def _run(self, runs: Sequence[tuple[str, int, int]]) -> Sequence[int]:
        # as far as workers may have come since the last outcome that was recorded
        most = ATTEMPTS + max(attempt for *_, attempt in runs)
        keys = [self._prefix + attempt_key(identifier, run, attempt) for identifier, run, _ in runs for attempt in range(1, most + 1)]
        try:
            return cast(list[int], await self._script(keys=keys, args=[self._ttl_s, CANCELLED, DONE + RETRY, most]))
        except (RedisError, OSError) as error:
            raise LedgerUnavailable from error
