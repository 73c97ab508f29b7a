"""The revocations of the last hour in Redis: user_svc publishes them, every process reads them."""

import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from mesh.errors import Unavailable
from mesh.rpc.revocations import KEPT_S, Revocations
from mesh.stores.cache import open_cache
from mesh.stores.settings import CacheSettings

_SET = "clarion:revoked"
_VERSION = "clarion:revoked:version"
# The Redis server's clock orders what it keeps: the machines' own clocks may differ.
_PUBLISH = """
local now = tonumber(redis.call('TIME')[1])
for place = 3, #ARGV do redis.call('ZADD', KEYS[1], now, ARGV[place]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
redis.call('SET', KEYS[2], ARGV[1])
"""


class RedisRevocations:
    """Implements `user_svc.auth.revoking.RevocationBoard`, and `Revocations`' fetch."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._publish = redis.register_script(_PUBLISH)
        self._seen: bytes | None = None

    async def publish(self, subjects: Iterable[str]) -> None:
        """Adds the subjects. Raises Unavailable."""
        with _unavailable():
            await self._publish(keys=[_SET, _VERSION], args=[uuid.uuid4().hex, KEPT_S, *subjects])

    async def lost(self) -> bool:
        """Whether Redis holds nothing any more, as after a restart without its data. Raises Unavailable."""
        with _unavailable():
            return not await self._redis.exists(_VERSION)

    async def fetch(self) -> Iterable[str] | None:
        """All subjects; None when nothing was published since the last call. Raises Unavailable."""
        with _unavailable():
            version: Any = await self._redis.get(_VERSION)
            if version == self._seen:
                return None
            members: Any = await self._redis.zrange(_SET, 0, -1)
        self._seen = version
        return [member.decode() for member in members]


@asynccontextmanager
async def open_revocations(cache: CacheSettings | None) -> AsyncIterator[Revocations | None]:
    """What a process reads from Redis from now on; None without one, where revocations are known as late as proofs are repeated."""
    if cache is None:
        yield None
        return
    async with open_cache(cache) as redis:
        revocations = Revocations(RedisRevocations(redis).fetch)
        revocations.start()
        try:
            yield revocations
        finally:
            await revocations.close()


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise Unavailable("Redis is not available", reason="REDIS_UNAVAILABLE") from error
