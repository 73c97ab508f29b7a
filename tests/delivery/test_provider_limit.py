"""The rate of a provider, kept in a real Valkey for several workers and locally without it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from delivery.provider_limit import ProviderLimit, Turn
from devstack.valkey import ValkeyServer
from mesh.testing import FakeClock
from tests.examples import examples


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


async def granted(limit: ProviderLimit, count: int, *, within_s: float = 0.0) -> list[float]:
    turns = await asyncio.gather(*(limit.take(within_s=within_s) for _ in range(count)))
    return [turn.wait_s for turn in turns if turn.granted]


async def test_two_workers_share_one_rate(redis: Redis) -> None:
    clock = FakeClock()
    one, two = (ProviderLimit("smtp.a", 100, redis, now_s=clock) for _ in range(2))
    # a quarter of a second's worth at once, then as many as the rate says
    assert len(await granted(one, 100)) == 25
    assert await granted(two, 10) == []
    clock.advance(0.1)
    assert len(await granted(two, 100)) == 10
    clock.advance(60)
    assert len(await granted(one, 100)) == 25


async def test_who_may_wait_gets_a_moment_of_its_own(redis: Redis) -> None:
    limit = ProviderLimit("smtp.a", 4, redis, now_s=FakeClock())
    assert await granted(limit, 20, within_s=1.0) == [0, 0.25, 0.5, 0.75, 1.0]
    assert await limit.take() == Turn(False, 1.25)


async def test_a_job_of_many_messages_leaves_a_debt(redis: Redis) -> None:
    clock = FakeClock()
    limit = ProviderLimit("fcm", 10, redis, now_s=clock)
    assert (await limit.take(30)).granted
    turn = await limit.take()
    assert not turn.granted
    clock.advance(turn.wait_s)
    assert (await limit.take()).granted


async def test_many_takes_of_a_moment_are_one_round_trip(redis: Redis) -> None:
    limit = ProviderLimit("smtp.a", 1000, redis, now_s=FakeClock())
    await limit.take()
    before = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    await granted(limit, 200)
    assert (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] - before == 1


async def test_without_redis_the_rate_holds_here() -> None:
    clock = FakeClock()
    async with Redis.from_url("redis://127.0.0.1:1") as away:
        limit = ProviderLimit("smtp.a", 100, away, clock=clock)
        assert len(await granted(limit, 100)) == 25
        clock.advance(0.1)
        assert len(await granted(limit, 100)) == 10


async def _most_in_any_second(url: str, rate: int, steps: list[tuple[int, int]]) -> None:
    clock = FakeClock(1_000_000.0)
    used: list[float] = []
    async with Redis.from_url(url) as redis:
        await redis.flushall()
        limit = ProviderLimit("smtp.a", rate, redis, now_s=clock)
        for count, pause_ms in steps:
            used += [clock.now + wait_s for wait_s in await granted(limit, count, within_s=1.0)]
            clock.advance(pause_ms / 1000)
    used.sort()
    for first in used:
        # the rate, what may be saved up, and one for the rounding of a token's time to microseconds
        assert len([moment for moment in used if first <= moment < first + 1]) <= rate + max(1, rate * 0.25) + 1


@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rate=st.integers(1, 60), steps=st.lists(st.tuples(st.integers(0, 80), st.integers(0, 3000)), max_size=8))
def test_no_second_sees_more_than_the_rate_and_its_burst(valkey_server: ValkeyServer, rate: int, steps: list[tuple[int, int]]) -> None:
    asyncio.run(_most_in_any_second(valkey_server.url(), rate, steps))
