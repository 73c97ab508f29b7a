"""The rules of second factors: each code once, guesses few, secrets sealed, and recovery codes kept as hashes."""

import logging
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import Protocol

from mesh.context import Caller
from mesh.sealing import SealBroken, Sealer
from user_svc.access import check_reach, is_self
from user_svc.auth.errors import PersonNeeded
from user_svc.auth.models import Login
from user_svc.second_factor import codes
from user_svc.second_factor.errors import (
    CodeMissing,
    CodesThrottled,
    CodeWrong,
    SecondFactorExists,
    SecondFactorNotBegun,
    SecondFactorRequired,
    SecondFactorUnreadable,
    SecondFactorWrong,
)
from user_svc.second_factor.models import Enrolment, Kept, Standing
from user_svc.users.errors import UserNotFound
from user_svc.users.use_cases import existing_id

log = logging.getLogger(__name__)

# What secrets are sealed for (mesh/sealing.py).
SEALED_FOR = "clarion second factors v1"
ADMIN_SCOPE = "users:admin"
_PRODUCT = "Clarion"


class SecondFactorStore(Protocol):
    """Where second factors are kept."""

    async def find(self, user_id: str) -> Kept | None: ...

    async def begin(self, user_id: str, sealed_secret: bytes) -> bool:
        """Keeps a secret that is not confirmed in place of another such. False where there is one that is."""

    async def take_turn(self, user_id: str) -> Kept | None:
        """Counts a guess, unless it has to wait. None where there is no second factor."""

    async def accept(self, user_id: str, step: int) -> bool:
        """Uses up the code of a step, and with it all before; forgets wrong ones. False where it was used up before."""

    async def confirm(
        self, project: str, user_id: str, sealed_secret: bytes, hashes: Collection[bytes], *, but: Collection[str] = ()
    ) -> bool:
        """The second factor counts from now on, with these recovery codes, and the person's sessions but those of some subjects end, all or
        nothing. False where it counts already, or has another secret by now.
        """

    async def replace_recovery_codes(self, project: str, user_id: str, hashes: Collection[bytes]) -> bool:
        """False where there is no second factor that counts."""

    async def use_recovery_code(self, project: str, user_id: str, sha256: bytes) -> bool:
        """Uses up a recovery code. False where there is none such."""

    async def remove(self, project: str, user_id: str) -> bool:
        """With its recovery codes. False where there is none."""

    async def standing(self, project: str, user_id: str) -> Standing | None:
        """None when the project has no such person."""


class SecondStep:
    """Implements `auth.use_cases.SecondStep`: what a sign-in asks for beside the password. `now` is the clock that all processes share."""

    def __init__(self, store: SecondFactorStore, sealer: Sealer, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._sealer = sealer
        self._now = now

    async def has(self, user_id: str) -> bool:
        """Whether the person has a second factor that counts."""
        kept = await self._store.find(user_id)
        return kept is not None and kept.confirmed

    async def check(self, login: Login, code: str) -> None:
        """Raises SecondFactorRequired, SecondFactorWrong, SecondFactorUnreadable or CodesThrottled."""
        if not await self.has(login.user_id):
            return
        if not code:
            raise SecondFactorRequired
        if not await self.fits(login.project, login.user_id, code):
            raise SecondFactorWrong

    async def fits(self, project: str, user_id: str, code: str, *, recovery: bool = True) -> bool:
        """Uses the code up where it fits. Raises CodesThrottled or SecondFactorUnreadable."""
        plain = codes.normal(code)
        if not codes.is_app_code(plain):
            return recovery and await self._store.use_recovery_code(project, user_id, codes.hash_of(plain))
        kept = await self._store.take_turn(user_id)
        if kept is None:
            return False
        if kept.wait_s > 0:
            raise CodesThrottled(kept.wait_s)
        try:
            secret = self._sealer.open(kept.sealed_secret, user_id)
        except SealBroken:
            log.warning("a second factor is sealed under a secret that is gone", extra={"user_id": user_id})
            raise SecondFactorUnreadable from None
        step = codes.step_of(secret, plain, self._now())
        return step is not None and await self._store.accept(user_id, step)


# Who a caller is, once their password fits. Raises PersonNeeded, WrongPassword or TooManyLogins.
Prove = Callable[[Caller, str], Awaitable[Login]]


class SecondFactors:
    """Lets people set their second factor up, and take it away."""

    def __init__(self, store: SecondFactorStore, step: SecondStep, sealer: Sealer, *, prove: Prove) -> None:
        self._store = store
        self._step = step
        self._sealer = sealer
        self._prove = prove

    async def begin(self, caller: Caller, password: str) -> Enrolment:
        """Raises PersonNeeded, WrongPassword, TooManyLogins or SecondFactorExists."""
        login = await self._prove(caller, password)
        secret = codes.new_secret()
        if not await self._store.begin(login.user_id, self._sealer.seal(secret, login.user_id)):
            raise SecondFactorExists
        account = login.known_words[0] if login.known_words else login.user_id
        return Enrolment(codes.base32_of(secret), codes.uri_of(secret, account, f"{_PRODUCT} {login.project}"))

    async def confirm(self, caller: Caller, code: str) -> list[str]:
        """The recovery codes. Raises PersonNeeded, SecondFactorExists, SecondFactorNotBegun, CodeWrong or CodesThrottled."""
        user_id = _person(caller)
        kept = await self._store.find(user_id)
        if kept is None:
            raise SecondFactorNotBegun
        if kept.confirmed:
            raise SecondFactorExists
        await self._need(caller.project, user_id, code)
        shown = codes.new_recovery_codes()
        hashes = [codes.hash_of(one) for one in shown]
        # who got in with the password alone is out
        if not await self._store.confirm(caller.project, user_id, kept.sealed_secret, hashes, but=caller.subjects):
            raise SecondFactorExists  # or was begun again: the codes above would be no one's
        return shown

    async def create_recovery_codes(self, caller: Caller, code: str) -> list[str]:
        """New ones in place of all others. Raises PersonNeeded, SecondFactorNotBegun, CodeWrong or CodesThrottled."""
        user_id = _person(caller)
        if not await self._step.has(user_id):
            raise SecondFactorNotBegun
        await self._need(caller.project, user_id, code)
        shown = codes.new_recovery_codes()
        if not await self._store.replace_recovery_codes(caller.project, user_id, [codes.hash_of(one) for one in shown]):
            raise SecondFactorNotBegun  # it was removed at the same time
        return shown

    async def standing(self, caller: Caller, user_id: str) -> Standing:
        """Raises NotOwner or UserNotFound."""
        check_reach(caller, user_id, ADMIN_SCOPE)
        standing = await self._store.standing(caller.project, existing_id(user_id))
        if standing is None:
            raise UserNotFound
        return standing

    async def remove(self, caller: Caller, user_id: str, code: str) -> None:
        """Raises NotOwner, UserNotFound, SecondFactorNotBegun, and for one's own CodeMissing, CodeWrong or CodesThrottled."""
        await self.standing(caller, user_id)
        person = existing_id(user_id)
        if is_self(caller, person) and await self._step.has(person):
            if not code:
                raise CodeMissing
            await self._need(caller.project, person, code, recovery=True)
        if not await self._store.remove(caller.project, person):
            raise SecondFactorNotBegun

    async def _need(self, project: str, user_id: str, code: str, *, recovery: bool = False) -> None:
        if not await self._step.fits(project, user_id, code, recovery=recovery):
            raise CodeWrong


def _person(caller: Caller) -> str:
    if caller.user_id is None:
        raise PersonNeeded
    return caller.user_id
