"""How often a password may be guessed: per account and address together, per account, and per address (NIST SP 800-63B-4, section 3.2.2).

A guess takes its turn before the password is looked at, so that guesses at the same time are counted too; a password that fits returns all
turns. So who knows the password is slowed down by others' guesses only where these come from the same address, or by the hundred.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence

from google.protobuf.message import Message
from redis.asyncio import Redis
from redis.exceptions import RedisError

from clarion.user.v1 import account_service_pb2, auth_service_pb2, second_factor_service_pb2, sign_in_service_pb2
from gateway.accepting.limits import LocalLimiter, RateLimit
from gateway.http_limits import address_group
from mesh.context import FIRST_PROJECT, current
from mesh.errors import InvalidArgument, PermissionDenied, ResourceExhausted, Unauthenticated
from mesh.resilience.batching import Batcher
from mesh.rpc.dispatcher import Unary
from mesh.rpc.metadata import CLIENT_ADDRESS
from mesh.rpc.methods import Method
from naming.email_address import email_key

log = logging.getLogger(__name__)

_KEY = "clarion:login:"
_AT_ONCE = 100
# Ten at once, then six a minute; fifty at once from everywhere, then one a minute.
_PAIR = RateLimit("login", 10, 100)
_PERSON = RateLimit("login-account", 50, 3000)

# KEYS: for each guess one for each limit. ARGV: interval and burst (µs) of each limit. A guess takes a turn out of all of them or of none
# (GCRA); answers for each guess the µs to wait.
_TAKE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local limits, out = #ARGV / 2, {}
for first = 0, #KEYS - 1, limits do
  local wait, arrivals = 0, {}
  for i = 1, limits do
    arrivals[i] = math.max(tonumber(redis.call('GET', KEYS[first + i]) or 0), now) + ARGV[2 * i - 1]
    wait = math.max(wait, arrivals[i] - now - ARGV[2 * i])
  end
  if wait <= 0 then
    for i = 1, limits do
      redis.call('SET', KEYS[first + i], string.format('%.0f', arrivals[i]), 'PX', math.ceil((arrivals[i] - now) / 1000))
    end
  end
  out[#out + 1] = wait
end
return out
"""
# KEYS as above. ARGV: µs to give back of each; 0 means all.
_GIVE_BACK = """
for i, key in ipairs(KEYS) do
  local given, held = tonumber(ARGV[i]), redis.call('GET', key)
  if given == 0 then redis.call('DEL', key)
  elseif held then redis.call('SET', key, string.format('%.0f', held - given), 'KEEPTTL') end
end
return 1
"""


class LoginThrottled(ResourceExhausted):
    """Too many passwords were tried. The answer is the same whether there is such an account."""

    reason = "LOGIN_THROTTLED"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too many log-ins for this account or from this address; try again later", retry_after_s=retry_after_s)


class LoginLimits:
    """Counts guesses in Redis; while that is away, in this process. `address` is the limit of one client address. `close` ends it."""

    def __init__(self, redis: Redis, *, address: RateLimit) -> None:
        self._limits = (_PAIR, _PERSON, address)
        self._take = redis.register_script(_TAKE)
        self._give_back = redis.register_script(_GIVE_BACK)
        self._local = LocalLimiter()
        # one at a time: guesses that arrive by the hundred take one connection and not one each
        self._guesses: Batcher[Sequence[str], int] = Batcher(self._take_turns, max_items=_AT_ONCE, name="logins")
        self._away = False

    async def close(self) -> None:
        """Waits for what is under way."""
        await self._guesses.close()

    async def guess(self, account: str, address: str) -> Sequence[str]:
        """The keys of a guess that may go on. Raises LoginThrottled."""
        who = hashlib.sha256(account.encode()).hexdigest()[:32]
        group = address_group(address)
        keys = [f"{_KEY}p:{who}:{group}", f"{_KEY}a:{who}", f"{_KEY}c:{group}"]
        wait_us = await self._guesses.submit(keys)
        if wait_us > 0:
            raise LoginThrottled(wait_us / 1e6)
        return keys

    async def give_back(self, keys: Sequence[str], *, fitted: bool) -> None:
        """The turns of a password that fitted, with all that were tried for the account from there; or that of one not looked at."""
        amounts = [0 if fitted and one is not self._limits[2] else one.interval_us for one in self._limits]
        try:
            await self._give_back(keys=keys, args=amounts)
        except (RedisError, OSError) as error:
            self._note(error)
            for key, limit, amount in zip(keys, self._limits, amounts, strict=True):
                self._local.give_back(key, limit, whole=not amount)

    async def _take_turns(self, guesses: Sequence[Sequence[str]]) -> Sequence[int]:
        try:
            numbers = [number for one in self._limits for number in (one.interval_us, one.burst_us)]
            waits = [int(wait) for wait in await self._take(keys=[key for keys in guesses for key in keys], args=numbers)]
        except (RedisError, OSError) as error:
            self._note(error)
            return [self._take_locally(keys) for keys in guesses]
        self._note(None)
        return waits

    def _take_locally(self, keys: Sequence[str]) -> int:
        refused = self._local.take(list(zip(keys, self._limits, strict=True)), time.monotonic_ns() // 1000)
        return 0 if refused is None else refused[1]

    def _note(self, error: Exception | None) -> None:
        if error is not None and not self._away:
            log.warning("redis is away; counting log-ins in this process", extra={"error": type(error).__name__})
        self._away = error is not None


def limited(limits: LoginLimits) -> Callable[[Method, Unary], Unary]:
    """Wraps the handlers that look at a password."""

    def wrap(method: Method, handler: Unary) -> Unary:
        if method.full_name not in _GUESSES:
            return handler

        async def serve(request: Message) -> Message:
            call = current()
            keys = await limits.guess(_account_of(request), call.metadata.get(CLIENT_ADDRESS, ""))
            try:
                reply = await handler(request)
            except (Unauthenticated, PermissionDenied):
                raise
            except InvalidArgument as error:
                if error.reason not in _WRONG_LINKS:
                    await limits.give_back(keys, fitted=False)
                raise
            except BaseException:
                await limits.give_back(keys, fitted=False)
                raise
            if method.full_name != _ASKS_FOR_MAIL:
                await limits.give_back(keys, fitted=True)
            return reply

        return serve

    return wrap


_AUTH = auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"].full_name
_SIGN_IN = sign_in_service_pb2.DESCRIPTOR.services_by_name["SignInService"].full_name
_ACCOUNT = account_service_pb2.DESCRIPTOR.services_by_name["AccountService"].full_name
_SECOND_FACTOR = second_factor_service_pb2.DESCRIPTOR.services_by_name["SecondFactorService"].full_name
_WRONG_LINKS = frozenset({"RESET_LINK_INVALID", "VERIFICATION_LINK_INVALID"})
# Its answer says nothing about the account, so that each counts.
_ASKS_FOR_MAIL = f"/{_ACCOUNT}/RequestPasswordReset"
_GUESSES = frozenset(
    {
        f"/{_SIGN_IN}/CompleteSignIn",
        *(f"/{_AUTH}/{name}" for name in ("Login", "ChangePassword", "ChangeEmail")),
        f"/{_SECOND_FACTOR}/BeginSecondFactor",  # codes have a limit of their own, which user_svc keeps
        *(f"/{_ACCOUNT}/{name}" for name in ("RequestPasswordReset", "ResetPassword", "VerifyAddress")),
    }
)


def _account_of(request: Message) -> str:
    if isinstance(request, auth_service_pb2.LoginRequest):
        # by project: guesses in one lock no account of another
        return f"{request.project or FIRST_PROJECT}/{email_key(request.email) or request.email.casefold()}"
    if isinstance(request, account_service_pb2.RequestPasswordResetRequest):
        # apart from log-ins: who asks for mails locks no one out
        return f"reset:{request.project or FIRST_PROJECT}/{email_key(request.email) or request.email.casefold()}"
    if isinstance(request, account_service_pb2.ResetPasswordRequest | account_service_pb2.VerifyAddressRequest):
        return f"link:{request.token}"
    if isinstance(request, sign_in_service_pb2.CompleteSignInRequest):
        # no account is known yet: the address alone is slowed down
        return f"flow:{request.flow}"
    return f"user:{current().caller.id}"
