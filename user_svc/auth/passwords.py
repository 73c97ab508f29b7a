"""Password hashing with argon2id, off the event loop, with a queue that sheds what it can't serve soon."""

import asyncio
import secrets
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher as Argon2
from argon2 import Type
from argon2.exceptions import InvalidHashError, VerificationError

from mesh.errors import ResourceExhausted
from naming.password import UnusablePassword, canonical_password
from user_svc.auth.password_rules import check_password

T = TypeVar("T")


class TooManyLogins(ResourceExhausted):
    """More passwords wait for the processor than it can check within a second."""

    reason = "LOGINS_BUSY"

    def __init__(self) -> None:
        super().__init__("too many log-ins at once; try again in a moment", retry_after_s=2)


class PasswordHasher:
    """Hashes and verifies. Each hash takes 19 MiB and some 20 ms of one core (OWASP's least: t=2, p=1).

    `most_waiting` bounds what is queued or running: everything above is refused at once with TooManyLogins.
    """

    def __init__(self, *, memory_kib: int = 19_456, time_cost: int = 2, threads: int = 2, most_waiting: int = 32) -> None:
        self._argon2 = Argon2(time_cost=time_cost, memory_cost=memory_kib, parallelism=1, type=Type.ID)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._most_waiting = most_waiting
        self._waiting = 0
        # A hash that no password fits, made once, so that an unknown address costs what a known one does.
        self._decoy = self._argon2.hash(secrets.token_urlsafe())

    async def hash_new(self, field: str, password: str, known_words: Collection[str]) -> str:
        """Checks and hashes a new password. Raises InvalidArgument, or TooManyLogins."""
        return await self._in_pool(lambda: self._argon2.hash(check_password(field, password, known_words=known_words)))

    async def hash(self, password: str) -> str:
        """A salted hash that carries its own parameters. Raises TooManyLogins."""
        return await self._in_pool(lambda: self._argon2.hash(canonical_password(password)))

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Whether the password fits. Without a hash it never does and takes as long, so that time does not show who is known.

        Raises TooManyLogins.
        """
        fits = await self._in_pool(lambda: self._fits(password, password_hash or self._decoy))
        return fits and password_hash is not None

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._argon2.check_needs_rehash(password_hash)

    def close(self) -> None:
        """Waits for what is being hashed."""
        self._pool.shutdown(cancel_futures=True)

    def _fits(self, password: str, password_hash: str) -> bool:
        try:
            return self._argon2.verify(password_hash, canonical_password(password))
        except (VerificationError, InvalidHashError, UnusablePassword):
            return False

    async def _in_pool(self, work: Callable[[], T]) -> T:
        if self._waiting >= self._most_waiting:
            raise TooManyLogins
        future = self._pool.submit(work)
        self._waiting += 1
        # Counted until the work is over, also where the caller has gone: its thread is still busy then.
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._finished))
        return await asyncio.wrap_future(future)

    def _finished(self) -> None:
        self._waiting -= 1
