"""Breakers that many processes share, as they are kept in Redis. One script, so that every change is atomic.

Per breaker a hash `clarion:breaker:<name>`, and the names with the time at which somebody last asked in `clarion:breakers`.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, cast

from redis.asyncio import Redis

from mesh.resilience.breaker import BreakerState

# A breaker that nobody asks for is forgotten after this time; one that is in use never.
_KEPT_MS = 30 * 24 * 3600 * 1000
_SEEN = "clarion:breakers"

# ARGV: now (ms of Unix time, empty for Redis's clock), how long a breaker is kept (ms), a JSON array of operations
# [kind, name, epoch, ...]. Each change of state begins an epoch; an operation of an earlier epoch changes nothing, -1 fits any.
#   look    epoch of the probe that the asker makes, else -1; lease (ms)     renews that probe's lease
#   good    epoch                                                            a call was answered
#   bad     epoch, count, threshold, open (ms)                               calls failed
#   probe   -1, lease (ms)                                                   asks to be the one probe
#   release epoch                                                            the probe ended without an answer
#   force   -1, "open" | "closed" | "", duration (ms, 0 for no end), who, note
# Answers, per operation: state (0 closed, 1 half-open, 2 open), epoch, failures, wait (ms, -1 for no end), 1 if the probe is granted,
# moment of the last change (ms, 0 for none) and its age (ms), and of the force: mode, end (ms), moment (ms), who, note.
_SCRIPT = """
local clock = redis.call('TIME')
local now = tonumber(ARGV[1]) or (clock[1] * 1000 + math.floor(clock[2] / 1000))
local FIELDS = {'state', 'epoch', 'failures', 'ends', 'changed', 'forced', 'forced_until', 'forced_at', 'who', 'note'}
local function read(key)
  local values, b = redis.call('HMGET', key, unpack(FIELDS)), {}
  for i, field in ipairs(FIELDS) do
    local value = values[i]
    if i <= 5 or i == 7 or i == 8 then b[field] = tonumber(value or '0') else b[field] = value or '' end
  end
  return b
end
local function write(key, b)
  local flat = {}
  for _, field in ipairs(FIELDS) do
    local value = b[field]
    flat[#flat + 1] = field
    flat[#flat + 1] = type(value) == 'number' and string.format('%.0f', value) or value
  end
  redis.call('HSET', key, unpack(flat))
  redis.call('PEXPIRE', key, ARGV[2])
end
local function enter(b, state)
  b.state, b.epoch, b.changed, b.ends = state, b.epoch + 1, now, 0
end
local out = {}
for i, op in ipairs(cjson.decode(ARGV[3])) do
  local kind, name, epoch = op[1], op[2], op[3]
  local key = 'clarion:breaker:' .. name
  local b, dirty, granted = read(key), false, 0
  if b.forced ~= '' and b.forced_until > 0 and b.forced_until <= now then
    if b.forced == 'open' then enter(b, 0) else b.epoch = b.epoch + 1 end
    b.failures, b.forced, b.forced_until, b.forced_at, b.who, b.note, dirty = 0, '', 0, 0, '', '', true
  end
  local fits = epoch < 0 or epoch == b.epoch
  if kind == 'look' then
    redis.call('ZADD', 'clarion:breakers', now, name)
    if b.state == 1 and epoch == b.epoch then b.ends, dirty = now + op[4], true end
  elseif kind == 'force' then
    if b.forced == 'open' or (op[4] == 'open') or b.state ~= 0 then enter(b, 0) else b.epoch = b.epoch + 1 end
    b.failures, b.forced, b.who, b.note, dirty = 0, op[4], op[6], op[7], true
    b.forced_at = op[4] ~= '' and now or 0
    b.forced_until = (op[4] ~= '' and op[5] > 0) and now + op[5] or 0
  elseif b.forced ~= '' then
    granted = b.forced == 'closed' and 1 or 0
  elseif kind == 'good' and fits then
    if b.state == 1 then enter(b, 0) b.failures, dirty = 0, true
    elseif b.state == 0 and b.failures > 0 then b.failures, dirty = 0, true end
  elseif kind == 'bad' and fits and b.state ~= 2 then
    b.failures, dirty = b.failures + op[4], true
    if b.state == 1 or b.failures >= op[5] then enter(b, 2) b.ends = now + op[6] end
  elseif kind == 'probe' then
    if b.state == 0 then
      granted = 1
    elseif b.ends <= now then
      if b.state == 2 then enter(b, 1) else b.epoch = b.epoch + 1 end
      b.ends, granted, dirty = now + op[4], 1, true
    end
  elseif kind == 'release' and b.state == 1 and epoch == b.epoch then
    b.ends, dirty = now, true
  end
  if dirty then write(key, b) end
  local state, wait = b.state, math.max(0, b.ends - now)
  if b.forced == 'closed' then state, wait = 0, 0 end
  if b.forced == 'open' then state, wait = 2, b.forced_until > 0 and b.forced_until - now or -1 end
  if state == 0 then wait = 0 end
  out[i] = {state, b.epoch, b.failures, wait, granted, b.changed, now - b.changed, b.forced, b.forced_until, b.forced_at, b.who, b.note}
end
return out
"""

_STATES = (BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN)

Operation = Sequence[str | int]


class Force(StrEnum):
    """What an operator may want of a breaker."""

    OPEN = "open"
    CLOSED = "closed"
    AUTO = ""


@dataclass(frozen=True, slots=True)
class Forced:
    """What an operator has done. Times are Unix seconds; without `until_s` it has no end."""

    force: Force
    since_s: float
    until_s: float | None
    by: str
    note: str


class Snapshot(NamedTuple):
    """A shared breaker after an operation. `wait_s` is None for one that is forced open without an end."""

    name: str
    state: BreakerState
    epoch: int
    failures: int
    wait_s: float | None
    granted: bool
    changed_s: float | None
    """Unix time of the last change of state; None when it never left CLOSED."""
    age_s: float | None
    """Seconds since that change."""
    forced: Forced | None


class BreakerStore:
    """The shared state. Every method raises redis.exceptions.RedisError when Redis is down. `now_s` replaces Redis's clock (tests)."""

    def __init__(self, redis: Redis, *, now_s: Callable[[], float] | None = None) -> None:
        self._redis = redis
        self._now_s = now_s
        self._script = redis.register_script(_SCRIPT)

    async def run(self, operations: Sequence[Operation]) -> list[Snapshot]:
        """Applies operations in their order; the breaker of each after it."""
        now = "" if self._now_s is None else str(round(self._now_s() * 1000))
        answers = cast(list[list[object]], await self._script(args=[now, _KEPT_MS, json.dumps(operations)]))
        return [_snapshot(str(operation[1]), answer) for operation, answer in zip(operations, answers, strict=True)]

    async def names(self) -> list[tuple[str, float]]:
        """The breakers that were ever asked for, with the Unix time of the last question, by name."""
        found = cast(list[tuple[bytes, float]], await cast(Awaitable[object], self._redis.zrange(_SEEN, 0, -1, withscores=True)))
        return sorted((name.decode(), seen / 1000) for name, seen in found)

    async def peek(self, names: Sequence[str]) -> list[Snapshot]:
        """The breakers as they are, without a sign that somebody asked."""
        return await self.run([("peek", name, -1) for name in names]) if names else []

    async def force(self, name: str, force: Force, *, duration_s: float | None, by: str, note: str) -> Snapshot:
        """Opens or closes a breaker whatever its provider does, or gives it back to itself (AUTO), closed and without failures."""
        (snapshot,) = await self.run([("force", name, -1, force.value, round((duration_s or 0) * 1000), by, note)])
        return snapshot


def _snapshot(name: str, answer: list[object]) -> Snapshot:
    state, epoch, failures, wait_ms, granted, changed_ms, age_ms = cast(list[int], answer[:7])
    mode, by, note = (cast(bytes, answer[at]).decode("utf-8", "replace") for at in (7, 10, 11))
    until_ms, since_ms = cast(list[int], answer[8:10])
    forced = Forced(Force(mode), since_ms / 1000, until_ms / 1000 if until_ms else None, by, note) if mode else None
    return Snapshot(
        name, _STATES[state], epoch, failures, None if wait_ms < 0 else wait_ms / 1000, granted == 1,
        changed_ms / 1000 if changed_ms else None, age_ms / 1000 if changed_ms else None, forced,
    )  # fmt: skip
