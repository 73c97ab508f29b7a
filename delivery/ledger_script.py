"""The ledger's one script and the form of its entries: what Redis holds of an attempt, and how each operation may change it.

An attempt's key holds one of

- `C` or `U`, a token of 16 characters and a time in Unix milliseconds: a claim by the owner of the token, whose lease ends then. `U` says
  that it was taken over from an owner whose lease had run out, so that an earlier try of the attempt may have been sent.
- `X`: cancelled before anything began (`delivery/cancellation.py`).
- `D` and a record: what became of the attempt. Nothing changes it any more.

The time is Redis's own (TIME), never that of a worker: leases hold however far apart the workers' clocks are. The token is what Kleppmann
calls a fencing token ("How to do distributed locking", 2016): an owner whose lease ran out finds another token and writes nothing.
"""

from delivery.models import LedgerEntry, LedgerState

CANCELLED, DONE = b"X", b"D"
TOKEN_LENGTH = 16

LOOK, CLAIM, RENEW, ABANDON, FREE, RECORD, RECORD_SENT = b"l", b"c", b"r", b"a", b"f", b"d", b"s"

# KEYS are attempts. ARGV: time to live (s), lease (ms), then for each key an operation with its token and value (if any) right behind it:
# one argument, since the client spends more on an argument than Redis does on an operation. All operations of a moment run in their order.
# Each answers N where the attempt was free or is the token's own, and otherwise what stands there: a live claim as B with the milliseconds
# that it has left, an unknown outcome as L, a cancel as X, a record as D with the record.
#
# A claim of one's own is a repeated command, whose first answer was lost on the way. A retry (R) that is recorded after a takeover is a
# doubtful one (P). "Sent" is a fact whichever worker says it, so it may replace another owner's claim, and a cancel that came after Redis
# had forgotten the claim; anything else that an owner without a lease says is dropped. A renewal restores a claim that Redis has forgotten.
# Abandoning (a) ends the lease of an attempt that may have been sent; freeing (f) takes back a claim that surely was not used.
SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local ends = string.format('%.0f', now + tonumber(ARGV[2]))
local answers = {}
for i, key in ipairs(KEYS) do
  local argument = ARGV[2 + i]
  local operation, token, value = string.sub(argument, 1, 1), string.sub(argument, 2, 17), string.sub(argument, 18)
  local before = redis.call('GET', key)
  local kind = before and string.sub(before, 1, 1)
  local claimed = kind == 'C' or kind == 'U'
  local mine = claimed and #token > 0 and string.sub(before, 2, #token + 1) == token
  local answer, after = before, nil
  if not before then answer = 'N' end
  if claimed then
    local left = (tonumber(string.sub(before, 18)) or 0) - now
    answer = left > 0 and 'B' .. string.format('%.0f', left) or 'L'
  end
  if operation == 'c' then
    if not before then after = 'C' .. token .. ends
    elseif mine then after = kind .. token .. ends; answer = kind == 'C' and 'N' or 'L'
    elseif answer == 'L' then after = 'U' .. token .. ends end
  elseif operation == 'r' then
    if not before or mine then after = (kind or 'C') .. token .. ends; answer = 'N' end
  elseif operation == 'a' then
    if mine then after = kind .. token .. '0'; answer = 'N' end
  elseif operation == 'f' then
    if mine and kind == 'C' then redis.call('DEL', key) elseif mine then after = kind .. token .. '0' end
    answer = 'N'
  elseif operation == 'd' or operation == 's' then
    if not before or mine or (operation == 's' and kind ~= 'D') then
      if kind == 'U' then value = string.gsub(value, '^R', 'P') end
      after = 'D' .. value
      answer = 'N'
    end
  end
  if after then redis.call('SET', key, after, 'EX', ARGV[1]) end
  answers[i] = answer
end
return answers
"""

NOTHING = LedgerEntry(LedgerState.NONE)
_UNKNOWN = LedgerEntry(LedgerState.UNKNOWN)
_CANCELLED = LedgerEntry(LedgerState.CANCELLED)


def entry_of(answer: bytes) -> LedgerEntry:
    """What an answer of the script says."""
    match answer[:1]:
        case b"D":
            return LedgerEntry(LedgerState.DONE, answer[1:])
        case b"B":
            return LedgerEntry(LedgerState.CLAIMED, left_s=int(answer[1:]) / 1000)
        case b"L":
            return _UNKNOWN
        case b"X":
            return _CANCELLED
        case _:
            return NOTHING
