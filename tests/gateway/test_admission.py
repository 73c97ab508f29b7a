"""Admission against a real Valkey, and without one."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from gateway.accepting.admission import Admission
from gateway.accepting.limits import Answer, Ask, Claim, LocalLimiter, RateLimit
from mesh.stores.cache import open_cache
from mesh.stores.settings import CacheSettings
from mesh.testing import free_port

CALLER = RateLimit("caller", 100, 60)
RECIPIENT = RateLimit("recipient", 50, 60)


def claim(key: bytes = b"k", fingerprint: bytes = b"f", token: bytes = b"t") -> Claim:
    return Claim(key * 32, fingerprint * 32, token * 16)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with open_cache(CacheSettings(redis_url, 1.0)) as client:
        yield client


@pytest.fixture
async def admission(redis: Redis) -> AsyncIterator[Admission]:
    opened = Admission(redis, caller=CALLER, recipient=RECIPIENT)
    yield opened
    await opened.close()


async def test_one_of_fifty_with_the_same_key_goes_on(admission: Admission) -> None:
    verdicts = await asyncio.gather(*(admission.admit(Ask("c", "r", claim(token=bytes([n])))) for n in range(50)))
    answers = [verdict.answer for verdict in verdicts]
    assert answers.count(Answer.ADMITTED) == 1
    assert answers.count(Answer.IN_PROGRESS) == 49


async def test_a_completed_claim_is_replayed_and_takes_no_turn(admission: Admission) -> None:
    first = await admission.admit(Ask("c", "r", claim()))
    admission.complete([(claim(), b"answer")])
    await asyncio.wait(set(admission._background))
    again = await admission.admit(Ask("c", "r", claim(token=b"u")))
    assert (again.answer, again.response) == (Answer.REPLAY, b"answer")
    third = await admission.admit(Ask("c", "r"))
    assert (first.remaining, third.remaining) == (99, 98)


async def test_another_request_under_the_key_is_a_mismatch(admission: Admission) -> None:
    await admission.admit(Ask("c", "r", claim()))
    other = await admission.admit(Ask("c", "r", claim(fingerprint=b"g")))
    assert other.answer is Answer.MISMATCH


async def test_a_released_claim_is_free_and_only_its_owner_can_release_it(admission: Admission) -> None:
    await admission.admit(Ask("c", "r", claim()))
    await admission.release(Ask("c", "r", claim(token=b"x")))
    assert (await admission.admit(Ask("c", "r", claim()))).answer is Answer.IN_PROGRESS
    await admission.release(Ask("c", "r", claim()))
    assert (await admission.admit(Ask("c", "r", claim()))).answer is Answer.ADMITTED


async def test_what_came_to_nothing_leaves_the_recipients_limit_as_it_was(admission: Admission) -> None:
    """Or what is repeated while a part is away uses the limit up, and is refused when all is well again."""
    full = [Ask("c", "r", claim(key=bytes([n]))) for n in range(50)]
    await asyncio.gather(*map(admission.admit, full))
    assert (await admission.admit(Ask("c", "r"))).answer is Answer.RECIPIENT_LIMITED
    await asyncio.gather(*map(admission.release, full[:10]), admission.release(Ask("c", "unheard of")))
    again = await asyncio.gather(*(admission.admit(one) for one in full[:10]))
    assert [one.answer for one in again] == [Answer.ADMITTED] * 10
    refused = await admission.admit(Ask("c", "r"))
    assert refused.answer is Answer.RECIPIENT_LIMITED
    used = await admission.admit(Ask("c", "s"))
    assert used.remaining <= 100 - 61 + 2, "the caller's turns stay used"


async def test_the_recipient_limit_says_when_to_come_back_and_spares_the_caller_limit(admission: Admission) -> None:
    verdicts = await asyncio.gather(*(admission.admit(Ask("c", "r")) for _ in range(51)))
    refused = [verdict for verdict in verdicts if verdict.answer is not Answer.ADMITTED]
    assert [verdict.answer for verdict in refused] == [Answer.RECIPIENT_LIMITED]
    assert refused[0].limit is RECIPIENT
    assert 0 < refused[0].retry_after_us <= RECIPIENT.interval_us
    other = await admission.admit(Ask("c", "s"))
    assert other.answer is Answer.ADMITTED
    assert 48 <= other.remaining <= 49 + 1  # a little of the limit may have come back meanwhile


async def test_the_caller_limit_holds_over_all_recipients(admission: Admission) -> None:
    verdicts = await asyncio.gather(*(admission.admit(Ask("c", f"r{n}")) for n in range(101)))
    assert [verdict.answer for verdict in verdicts].count(Answer.CALLER_LIMITED) == 1


async def test_a_refused_request_leaves_no_claim(admission: Admission) -> None:
    await asyncio.gather(*(admission.admit(Ask("c", "r")) for _ in range(50)))
    refused = await admission.admit(Ask("c", "r", claim()))
    assert refused.answer is Answer.RECIPIENT_LIMITED
    assert (await admission.admit(Ask("c", "s", claim()))).answer is Answer.ADMITTED


async def test_admission_goes_on_under_local_limits_while_redis_is_away() -> None:
    async with open_cache(CacheSettings(f"redis://127.0.0.1:{free_port()}/0", 0.2)) as redis:
        admission = Admission(redis, caller=CALLER, recipient=RECIPIENT)
        verdicts = await asyncio.gather(*(admission.admit(Ask("c", "r", claim())) for _ in range(51)))
        assert admission.degraded
        assert [verdict.answer for verdict in verdicts] == [Answer.ADMITTED] * 50 + [Answer.RECIPIENT_LIMITED]
        await admission.release(Ask("c", "r", claim()))
        assert [(await admission.admit(Ask("c", "r"))).answer for _ in range(2)] == [Answer.ADMITTED, Answer.RECIPIENT_LIMITED]
        await admission.close()


def test_local_limiter_gives_back_with_time() -> None:
    limiter, limit = LocalLimiter(), RateLimit("caller", 2, 1)
    assert limiter.take([("a", limit)], 0) is None
    assert limiter.take([("a", limit)], 0) is None
    assert limiter.take([("a", limit)], 0) == (limit, 500_000)
    assert limiter.take([("a", limit)], 500_000) is None
    assert limiter.left("a", limit, 500_000) == (0, 1_000_000)


def test_headers_follow_the_draft() -> None:
    """RateLimit headers are structured-field items with whole seconds, rounded up."""
    assert CALLER.policy == '"caller";q=100;w=60'
    assert CALLER.report(99, 600_000) == '"caller";r=99;t=1'
    assert CALLER.report(100, 0) == '"caller";r=100;t=0'


@given(st.integers(1, 50), st.integers(1, 100), st.lists(st.integers(0, 3_000_000), min_size=1, max_size=80))
def test_the_header_tells_when_there_is_more(limit: int, window_s: int, gaps: list[int]) -> None:
    """After `t` seconds one more request is left than now, and of a refused one `t` is the time that Retry-After tells."""
    rate, limiter, now_us = RateLimit("caller", limit, window_s), LocalLimiter(), 0
    for gap in gaps:
        now_us += gap
        refused = limiter.take([("a", rate)], now_us)
        remaining, ahead_us = limiter.left("a", rate, now_us)
        more_s = int(rate.report(remaining, ahead_us).rpartition("t=")[2])
        assert limiter.left("a", rate, now_us + more_s * 1_000_000)[0] > remaining
        if refused is not None:
            assert more_s == -(-refused[1] // 1_000_000)
