"""Calls with an idempotency key: carried out once, and answered again to who repeats them within 24 hours.

Each process that a call goes through does so, the gateway and the owner of the data: of a call whose answer was lost on the way between the
two, the gateway knows nothing and asks again, and the owner has the answer. (A change that is the same when it is made twice needs no key.)

The claim on a key and the answer are a row in PostgreSQL; there is no fast path over Redis as for sends, since these calls are few. A call
goes on when its caller has left, so that the retry finds its answer. A process that dies leaves a claim whose lease ends; a repetition is
carried out then, and the owner of the data decides: an address that is taken is refused.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol
from uuid import UUID

from mesh.context import Caller, current
from mesh.errors import ServiceError
from mesh.idempotency.errors import AnswerLost, IdempotencyInProgress, IdempotencyKeyReused
from mesh.idempotency.keys import key_of
from mesh.idempotency.models import Claim, Claimed, Standing
from mesh.ids import new_uuid
from mesh.sealing import SealBroken

log = logging.getLogger(__name__)

# What answers are sealed for (mesh/sealing.py): they may hold an API key.
SEALED_FOR = "clarion idempotent answers v1"

# Beyond the call's own deadline: a claim must not end while its call may still have an effect.
_MARGIN_S = 5.0

Carry = Callable[[], Awaitable[bytes]]
About = Callable[[bytes], UUID | None]


class Answers(Protocol):
    """Where claims and answers are kept."""

    async def claim(self, claim: Claim) -> Standing:
        """Takes the key for this call, or says what stands in the way."""

    async def answer(self, claim: Claim, sealed: bytes, subject: UUID | None) -> None:
        """Keeps the answer under the claim. `subject` is the person whom it is about."""

    async def release(self, claim: Claim) -> None:
        """Gives the claim up, if it is still this call's."""


class Seal(Protocol):
    """Keeps answers from those who read the table."""

    def seal(self, content: bytes, name: str) -> bytes:
        """The sealed content."""

    def open(self, sealed: bytes, name: str) -> bytes:
        """The content. Raises SealBroken."""


class Unsealed:
    """Where there is no secret, and answers hold neither a credential nor anything personal."""

    def seal(self, content: bytes, name: str) -> bytes:  # noqa: ARG002  a Seal's
        """The content as it is."""
        return content

    def open(self, sealed: bytes, name: str) -> bytes:  # noqa: ARG002  a Seal's
        """The content as it is."""
        return sealed


class RepeatableCalls:
    """Carries calls out once. `close` waits for those that go on without their callers."""

    def __init__(self, answers: Answers, sealer: Seal) -> None:
        self._answers = answers
        self._sealer = sealer
        self._running: set[asyncio.Task[bytes]] = set()

    async def close(self) -> None:
        """Waits for what is under way; each call has a deadline."""
        if self._running:
            await asyncio.wait(self._running)

    async def once(self, key: str, method: str, request: bytes, carry: Carry, *, deadline_s: float, about: About) -> bytes:
        """The answer to the first call with this key. `carry` makes the call and serializes its response; `about` names its subject.

        Raises what the call raises, InvalidArgument for what can't be a key, IdempotencyKeyReused, IdempotencyInProgress or AnswerLost.
        """
        call = current()
        claim = Claim(
            digest_of(call.caller, method, key_of(key)), hashlib.sha256(request).digest(), new_uuid().bytes, deadline_s + _MARGIN_S
        )
        standing = await self._answers.claim(claim)
        if standing.claimed is Claimed.OTHER_REQUEST:
            raise IdempotencyKeyReused
        if standing.claimed is Claimed.IN_PROGRESS:
            raise IdempotencyInProgress
        if standing.claimed is Claimed.ANSWERED:
            try:
                answer = self._sealer.open(standing.sealed, claim.digest.hex())
            except SealBroken:
                raise AnswerLost from None
            call.set_header("idempotency-replayed", "true")
            return answer
        task = asyncio.create_task(self._carry_out(claim, carry, about), name="repeatable-call")
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def _carry_out(self, claim: Claim, carry: Carry, about: About) -> bytes:
        try:
            answer = await carry()
        except BaseException:
            await self._answers.release(claim)
            raise
        try:
            await self._answers.answer(claim, self._sealer.seal(answer, claim.digest.hex()), about(answer))
        except ServiceError:
            # the caller must learn what was made; the claim holds off repetitions until its lease ends
            log.exception("the answer to a call with an idempotency key was not kept")
        return answer

    def _ended(self, task: asyncio.Task[bytes]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # its caller may have left; those that stay get it from the shield


def digest_of(caller: Caller, method: str, key: str) -> bytes:
    """Keys of different callers and methods never meet. The method's name has no line break, and neither has a caller."""
    return hashlib.sha256(f"{method}\n{caller.label}\n{key}".encode()).digest()
