"""Password hashing with argon2id, off the event loop and never more at once than the pool has threads."""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher as Argon2
from argon2 import Type
from argon2.exceptions import InvalidHashError, VerificationError

T = TypeVar("T")


class PasswordHasher:
    """Hashes and verifies. Each hash takes 19 MiB and some 20 ms of one core (OWASP's least: t=2, p=1)."""

    def __init__(self, *, memory_kib: int = 19_456, time_cost: int = 2, threads: int = 2) -> None:
        self._argon2 = Argon2(time_cost=time_cost, memory_cost=memory_kib, parallelism=1, type=Type.ID)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._decoy: str | None = None

    async def hash(self, password: str) -> str:
        """A salted hash that carries its own parameters."""
        return await self._in_pool(lambda: self._argon2.hash(password))

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Whether the password fits. Without a hash it never does, and takes as long, so that time tells nobody who is known."""
        if password_hash is None:
            if self._decoy is None:
                self._decoy = await self.hash(secrets.token_urlsafe())
            await self._in_pool(lambda: self._fits(password, self._decoy or ""))
            return False
        return await self._in_pool(lambda: self._fits(password, password_hash))

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._argon2.check_needs_rehash(password_hash)

    def close(self) -> None:
        """Waits for what is being hashed."""
        self._pool.shutdown()

    def _fits(self, password: str, password_hash: str) -> bool:
        try:
            return self._argon2.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _in_pool(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)
