"""What is revoked reaches every process through Redis, whatever becomes of either side."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from mesh.errors import Unavailable
from mesh.rpc.revocations import KEPT_S, Revocations
from mesh.stores.cache import open_cache
from mesh.stores.revocations import RedisRevocations
from mesh.stores.settings import CacheSettings
from mesh.testing import FakeClock, free_port
from user_svc.auth.revoking import RevocationPublisher


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with open_cache(CacheSettings(redis_url)) as client:
        yield client


class MemoryRecord:
    """Implements RevocationStore."""

    def __init__(self, *subjects: str) -> None:
        self.subjects = dict(enumerate(subjects))
        self.published: set[int] = set()

    async def unpublished(self) -> list[tuple[int, str]]:
        return [(identifier, subject) for identifier, subject in self.subjects.items() if identifier not in self.published]

    async def mark_published(self, ids: object) -> None:
        self.published |= set(self.subjects)

    async def publish_all_again(self) -> None:
        self.published.clear()

    async def forget_old(self) -> None:
        self.subjects.clear()


async def test_what_is_published_is_known_at_the_next_poll(redis: Redis) -> None:
    """In a process that was there before and in one that starts afterwards."""
    early = Revocations(RedisRevocations(redis).fetch)
    await early.poll()
    await RedisRevocations(redis).publish(["key:1", "session:2"])
    late = Revocations(RedisRevocations(redis).fetch)
    for process in (early, late):
        await process.poll()
        await process.poll()
        assert process.includes(["user:9", "session:2"])
        assert not process.includes(["user:9"])


async def test_a_redis_that_lost_everything_is_filled_again(redis: Redis) -> None:
    """From the record, at the publisher's next run; nobody forgets what they knew meanwhile."""
    record, board = MemoryRecord("key:1"), RedisRevocations(redis)
    publisher, process = RevocationPublisher(record, board), Revocations(RedisRevocations(redis).fetch)
    await publisher.run()
    await process.poll()
    await redis.flushdb()
    await process.poll()
    assert process.includes(["key:1"])
    record.subjects[7] = "key:2"
    await publisher.run()
    await process.poll()
    assert process.includes(["key:2"])
    fresh = Revocations(RedisRevocations(redis).fetch)
    await fresh.poll()
    assert fresh.includes(["key:1"])


async def test_a_revocation_is_remembered_for_as_long_as_it_matters(redis: Redis) -> None:
    """No token lives longer, and no proof is believed longer."""
    clock = FakeClock()
    process = Revocations(RedisRevocations(redis).fetch, clock=clock)
    await RedisRevocations(redis).publish(["key:1"])
    await process.poll()
    clock.advance(KEPT_S - 1)
    await process.poll()
    assert process.includes(["key:1"])
    clock.advance(1)
    await process.poll()
    assert not process.includes(["key:1"])


async def test_a_redis_that_is_down_is_said_to_be_unavailable() -> None:
    """So that the loop logs one line and tries again."""
    async with open_cache(CacheSettings(f"redis://127.0.0.1:{free_port()}")) as client:
        with pytest.raises(Unavailable):
            await RedisRevocations(client).fetch()
