"""Breakers that many processes share, as they are kept in Redis. One script, so that every change is atomic.

Per breaker a hash `clarion:breaker:<name>` and a hash of its replicas `clarion:breaker:<name>:replicas`; the names with the time of the
last question are in `clarion:breakers`.

A target is down when several replicas say so, or the only one that there is: one that fails before any other does leaves the calls to the
others, and either they succeed, or they fail too and open the breaker. Likewise a failed probe is followed, a second later, by the probe of
another replica before the breaker opens for its whole time again.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, cast

from redis.asyncio import Redis

from mesh.resilience.breaker import BreakerState

# A breaker that no process asks for is forgotten after this time; one that is in use never.
_KEPT_MS = 30 * 24 * 3600 * 1000
_SEEN = "clarion:breakers"
# LIVE of the script.
LIVE_S = 10.0

# ARGV: now (ms of Unix time, empty for Redis's clock), how long a breaker is kept (ms), a JSON array of operations
# [kind, name, epoch, replica, ...]. Each change of state begins an epoch; an operation of an earlier epoch changes nothing, -1 fits any.
#   look    epoch of the probe that the asker makes, else -1; lease (ms), 1 if calls were answered since the last look
#   good    epoch                                                            a call was answered
#   bad     epoch, count, threshold, open (ms)                               calls failed
#   probe   -1, lease (ms)                                                   asks to be the one probe
#   release epoch                                                            the probe ended without an answer
#   leave   -1                                                               the replica ends
#   force   -1, "open" | "closed" | "", duration (ms, 0 for no end), who, note
# A look renews the lease of the asker's probe. Of a replica that was seen within LIVE ms its last answered call counts for as long.
# Answers, per operation: state (0 closed, 1 half-open, 2 open), epoch, failures, wait (ms, -1 for no end), 1 if the probe is granted and 2
# if the replica alone has failed so often,
# moment of the last change (ms, 0 for none) and its age (ms), and of the force: mode, end (ms), moment (ms), who, note.
_SCRIPT = """
local clock = redis.call('TIME')
local now = tonumber(ARGV[1]) or (clock[1] * 1000 + math.floor(clock[2] / 1000))
local FIELDS = {'state', 'epoch', 'failures', 'ends', 'changed', 'forced', 'forced_until', 'forced_at', 'who', 'note', 'tried'}
local LIVE, NEXT_PROBE, TURN = 10000, 1000, 3000
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
local function live(key)
  local flat, found = redis.call('HGETALL', key .. ':replicas'), {}
  for at = 1, #flat, 2 do
    local seen, good, failures = string.match(flat[at + 1], '(%d+) (%d+) (%d+)')
    local one = {seen = tonumber(seen), good = tonumber(good), failures = tonumber(failures)}
    if now - one.seen > LIVE then redis.call('HDEL', key .. ':replicas', flat[at]) else found[flat[at]] = one end
  end
  return found
end
local function keep(key, replica, one)
  redis.call('HSET', key .. ':replicas', replica, string.format('%.0f %.0f %.0f', now, one.good, one.failures))
  redis.call('PEXPIRE', key .. ':replicas', ARGV[2])
end
local function says_down(others, replica)
  local alone, healthy, failing = true, 0, 1
  for name, one in pairs(others) do
    if name ~= replica then
      alone = false
      if one.failures > 0 then failing = failing + 1 elseif now - one.good <= LIVE then healthy = healthy + 1 end
    end
  end
  return alone or (failing > 1 and failing > healthy)
end
local function has_tried(b, replica) return string.find(b.tried, ' ' .. replica .. ' ', 1, true) ~= nil end
local function others_left(b, others, replica)
  for name in pairs(others) do
    if name ~= replica and not has_tried(b, name) then return true end
  end
  return false
end
local out = {}
for i, op in ipairs(cjson.decode(ARGV[3])) do
  local kind, name, epoch, replica = op[1], op[2], op[3], op[4]
  local key = 'clarion:breaker:' .. name
  local b, dirty, granted = read(key), false, 0
  if b.forced ~= '' and b.forced_until > 0 and b.forced_until <= now then
    if b.forced == 'open' then enter(b, 0) else b.epoch = b.epoch + 1 end
    b.failures, b.forced, b.forced_until, b.forced_at, b.who, b.note, dirty = 0, '', 0, 0, '', '', true
  end
  local fits = epoch < 0 or epoch == b.epoch
  if kind == 'look' then
    redis.call('ZADD', 'clarion:breakers', now, name)
    if b.state == 1 and epoch == b.epoch then b.ends, dirty = now + op[5], true end
    local me = live(key)[replica] or {good = 0, failures = 0}
    if op[6] == 1 then me.good, me.failures = now, 0 end
    keep(key, replica, me)
  elseif kind == 'leave' then
    redis.call('HDEL', key .. ':replicas', replica)
  elseif kind == 'force' then
    if b.forced == 'open' or (op[5] == 'open') or b.state ~= 0 then enter(b, 0) else b.epoch = b.epoch + 1 end
    b.failures, b.forced, b.who, b.note, b.tried, dirty = 0, op[5], op[7], op[8], '', true
    b.forced_at = op[5] ~= '' and now or 0
    b.forced_until = (op[5] ~= '' and op[6] > 0) and now + op[6] or 0
  elseif b.forced ~= '' then
    granted = b.forced == 'closed' and 1 or 0
  elseif kind == 'good' and fits then
    keep(key, replica, {good = now, failures = 0})
    if b.state == 1 then enter(b, 0) b.failures, b.tried, dirty = 0, '', true
    elseif b.state == 0 and b.failures > 0 then b.failures, dirty = 0, true end
  elseif kind == 'bad' and fits and b.state ~= 2 then
    local others, wait = live(key), op[7]
    local me = others[replica] or {good = 0, failures = 0}
    me.failures = me.failures + op[5]
    keep(key, replica, me)
    b.failures, dirty = b.failures + op[5], true
    if b.state == 1 then
      local first = b.tried == ''
      b.tried = (first and ' ' or b.tried) .. replica .. ' '
      if first and others_left(b, others, replica) then wait = math.min(wait, NEXT_PROBE) else b.tried = '' end
      enter(b, 2) b.ends = now + wait
    elseif b.failures >= op[6] then
      if says_down(others, replica) then enter(b, 2) b.ends, b.tried = now + wait, '' else b.failures = 0 end
    end
    if b.state == 0 and me.failures >= op[6] and not says_down(others, replica) then granted = 2 end
  elseif kind == 'probe' then
    if b.state == 0 then
      granted = 1
    elseif b.ends <= now and not (has_tried(b, replica) and now < b.ends + TURN and others_left(b, live(key), replica)) then
      if b.state == 2 then enter(b, 1) else b.epoch = b.epoch + 1 end
      b.ends, granted, dirty = now + op[5], 1, true
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
    alone: bool
    """This replica has failed often enough to open the breaker, and others that are there have not."""
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
        """The breakers as they are, without leaving a trace of the question."""
        return await self.run([("peek", name, -1, "") for name in names]) if names else []

    async def replicas(self, names: Sequence[str]) -> list[dict[str, float]]:
        """Of each breaker, who has asked for it within the last LIVE_S seconds: seconds since then by replica."""
        seconds, micros = cast(tuple[int, int], await cast(Awaitable[object], self._redis.time()))
        known = [
            cast(dict[bytes, bytes], await cast(Awaitable[object], self._redis.hgetall(f"clarion:breaker:{name}:replicas")))
            for name in names
        ]
        now_ms = seconds * 1000 + micros // 1000 if self._now_s is None else round(self._now_s() * 1000)
        seen = [{replica.decode(): (now_ms - int(value.split()[0])) / 1000 for replica, value in one.items()} for one in known]
        return [{replica: max(0.0, age_s) for replica, age_s in one.items() if age_s <= LIVE_S} for one in seen]

    async def force(self, name: str, force: Force, *, duration_s: float | None, by: str, note: str) -> Snapshot:
        """Opens or closes a breaker whatever its provider does, or gives it back to itself (AUTO), closed and without failures."""
        (snapshot,) = await self.run([("force", name, -1, "", force.value, round((duration_s or 0) * 1000), by, note)])
        return snapshot


def _snapshot(name: str, answer: list[object]) -> Snapshot:
    state, epoch, failures, wait_ms, granted, changed_ms, age_ms = cast(list[int], answer[:7])
    mode, by, note = (cast(bytes, answer[at]).decode("utf-8", "replace") for at in (7, 10, 11))
    until_ms, since_ms = cast(list[int], answer[8:10])
    forced = Forced(Force(mode), since_ms / 1000, until_ms / 1000 if until_ms else None, by, note) if mode else None
    return Snapshot(
        name, _STATES[state], epoch, failures, None if wait_ms < 0 else wait_ms / 1000, granted == 1, granted == 2,
        changed_ms / 1000 if changed_ms else None, age_ms / 1000 if changed_ms else None, forced,
    )  # fmt: skip
