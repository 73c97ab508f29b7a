"""The ledger on a real Valkey: claims, records, and what happens without Redis."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from delivery.ledger import Ledger
from delivery.models import LedgerEntry, LedgerState
from mesh.stores.cache import open_cache
from mesh.stores.settings import CacheSettings

NONE = LedgerEntry(LedgerState.NONE)
CLAIMED = LedgerEntry(LedgerState.CLAIMED)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with open_cache(CacheSettings(url=redis_url)) as client:
        yield client


async def test_a_claim_is_new_once_and_known_from_then_on(redis: Redis) -> None:
    ledger = Ledger(redis)
    assert await ledger.look_up(["n1:0:1", "n2:0:1"]) == [NONE, NONE]
    assert await ledger.claim("n1:0:1") == NONE
    assert await ledger.claim("n1:0:1") == CLAIMED
    assert await ledger.look_up(["n1:0:1", "n2:0:1"]) == [CLAIMED, NONE]
    await ledger.close()


async def test_a_record_replaces_the_claim_and_keeps_any_bytes(redis: Redis) -> None:
    ledger = Ledger(redis)
    await ledger.claim("n")
    await ledger.record("n", b"\x00\xff\r\nD")
    done = LedgerEntry(LedgerState.DONE, b"\x00\xff\r\nD")
    assert await ledger.look_up(["n"]) == [done]
    assert await ledger.claim("n") == done
    await ledger.close()


async def test_of_many_claims_at_once_exactly_one_is_first(redis: Redis) -> None:
    ledgers = [Ledger(redis) for _ in range(4)]
    entries = await asyncio.gather(*(ledger.claim("n") for ledger in ledgers for _ in range(50)))
    assert entries.count(NONE) == 1
    for ledger in ledgers:
        await ledger.close()


async def test_entries_expire(redis: Redis) -> None:
    ledger = Ledger(redis, ttl_s=100, prefix="t:")
    await ledger.claim("a")
    await ledger.record("b", b"x")
    assert 0 < await redis.ttl("t:a") <= 100
    assert 0 < await redis.ttl("t:b") <= 100
    await ledger.close()


async def test_without_redis_everything_looks_new_and_the_loss_is_counted() -> None:
    lost: list[int] = []
    async with open_cache(CacheSettings(url="redis://127.0.0.1:1", timeout_s=0.5)) as redis:
        ledger = Ledger(redis, on_unprotected=lost.append)
        assert await ledger.look_up(["a", "b"]) == [NONE, NONE]
        assert await ledger.claim("a") == NONE
        await ledger.record("a", b"x")
        await ledger.close()
    assert sum(lost) == 4
