"""Which provider gets a job: shares, open breakers, spent rates, places, and what happens to those that wait."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from delivery.errors import TransientDeliveryError
from delivery.models import OutcomeUnknown, ProviderUnavailable
from delivery.provider_limit import ProviderLimit
from delivery.routing import NoProviderAvailable, Route, Routing, SendPermit, may_try_another, pick, ramp
from mesh.resilience.shared_breaker import SharedBreakers
from mesh.testing import FakeClock
from tests.delivery.fakes import FakeSender

DOWN = ProviderUnavailable("SMTP_CONNECT", "can't connect")


class Bench:
    """Providers `a` and `b` with breakers of one process."""

    def __init__(self, *, weights: tuple[float, ...] = (1, 1), capacity: int = 100) -> None:
        self.clock = FakeClock()
        self.breakers = SharedBreakers(clock=self.clock)
        self.routes = [
            Route(name, FakeSender(), self.breakers.breaker(name), capacity, weight=weight)
            for name, weight in zip("abc", weights, strict=False)
        ]
        self.routing = Routing(self.routes, clock=self.clock)

    async def names(self, count: int) -> Counter[str]:
        """Who gets that many jobs, one after the other."""
        found: Counter[str] = Counter()
        for _ in range(count):
            permit = await self.routing.admit()
            found[permit.route.name] += 1
            permit.settle(None)
        return found

    async def fail(self, name: str, times: int = 5) -> None:
        """The provider fails, as seen by jobs that others would not take."""
        others = [route for route in self.routes if route.name != name]
        for _ in range(times):
            (await self.routing.admit(tried=others)).settle(DOWN)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


@given(weights=st.lists(st.integers(0, 20), min_size=1, max_size=6).filter(any), rounds=st.integers(1, 3))
def test_over_a_round_each_gets_exactly_its_weight(weights: list[int], rounds: int) -> None:
    credit: dict[int, float] = {}
    shares = dict(enumerate(weights))
    got = Counter(pick(credit, shares) for _ in range(sum(weights) * rounds))
    assert {key: got[key] for key in shares} == {key: weight * rounds for key, weight in shares.items()}


@given(
    steps=st.lists(st.dictionaries(st.sampled_from("abc"), st.floats(0, 100), min_size=1), min_size=1, max_size=50),
)
def test_whatever_the_weights_do_somebody_present_with_a_share_is_picked(steps: list[dict[str, float]]) -> None:
    credit: dict[str, float] = {}
    for weights in steps:
        chosen = pick(credit, weights)
        assert chosen in weights
        assert weights[chosen] > 0 or not any(weights.values())
        # nobody saves up more than a few turns, so none is flooded when it returns
        assert all(-len(credit) <= value <= len(credit) for value in credit.values())


@given(age=st.floats(0, 1000), later=st.floats(0, 1000), ramp_s=st.floats(0, 600))
def test_a_share_comes_back_from_a_tenth_to_all_and_never_falls(age: float, later: float, ramp_s: float) -> None:
    assert 0.1 <= ramp(age, ramp_s) <= ramp(age + later, ramp_s) <= 1
    assert ramp(ramp_s, ramp_s) == ramp(None, ramp_s) == 1


async def test_jobs_are_spread_by_weight() -> None:
    assert await Bench(weights=(3, 1)).names(100) == {"a": 75, "b": 25}


async def test_a_provider_without_weight_only_stands_in() -> None:
    bench = Bench(weights=(1, 0))
    assert await bench.names(20) == {"a": 20}
    await bench.fail("a")
    assert await bench.names(20) == {"b": 20}


async def test_an_open_breaker_gives_its_share_away_at_once_and_gets_it_back_bit_by_bit() -> None:
    bench = Bench()
    await bench.fail("a")
    assert await bench.names(100) == {"b": 100}
    bench.clock.advance(60)
    # the first of its jobs is the probe; its success closes the breaker
    assert (await bench.names(2))["a"] == 1
    assert 5 <= (await bench.names(100))["a"] <= 15
    bench.clock.advance(30)
    assert 30 <= (await bench.names(100))["a"] <= 40
    bench.clock.advance(30)
    assert (await bench.names(100))["a"] == 50


async def test_when_all_are_open_the_job_is_held_until_the_first_may_be_probed() -> None:
    bench = Bench()
    await bench.fail("a")
    bench.clock.advance(10)
    await bench.fail("b")
    assert bench.routing.held_s == 50
    with pytest.raises(NoProviderAvailable) as caught:
        await bench.routing.admit()
    assert (caught.value.reason, caught.value.wait_s) == ("BREAKER_OPEN", 50)


async def test_a_full_provider_leaves_its_jobs_to_the_other_and_then_they_wait_in_turn() -> None:
    bench = Bench(capacity=2)
    held = [await bench.routing.admit() for _ in range(4)]
    assert Counter(permit.route.name for permit in held) == {"a": 2, "b": 2}
    order: list[int] = []

    async def wait(number: int) -> None:
        permit = await bench.routing.admit()
        order.append(number)
        permit.settle(None)

    waiting = [asyncio.create_task(wait(number)) for number in range(5)]
    await asyncio.sleep(0)
    held[0].settle(None)
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2, 3, 4]


async def test_who_gives_up_waiting_takes_nobodys_place_away() -> None:
    bench = Bench(weights=(1,), capacity=1)
    permit = await bench.routing.admit()
    first, second = (asyncio.create_task(bench.routing.admit()) for _ in range(2))
    await asyncio.sleep(0)
    permit.settle(None)
    first.cancel()
    assert isinstance(await second, SendPermit)
    await asyncio.gather(first, return_exceptions=True)


async def test_those_who_wait_hear_of_a_breaker_that_opens() -> None:
    bench = Bench(weights=(1,), capacity=1)
    await bench.fail("a", 4)
    permit = await bench.routing.admit()
    waiting = [asyncio.create_task(bench.routing.admit()) for _ in range(5)]
    await asyncio.sleep(0)
    permit.settle(DOWN)
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [NoProviderAvailable] * 5


async def test_a_passage_that_ended_does_nothing_more() -> None:
    bench = Bench(weights=(1,), capacity=1)
    permit = await bench.routing.admit()
    permit.settle(None)
    permit.abandon()
    permit.settle(DOWN)
    assert bench.breakers.breaker("a").failures == 0
    assert isinstance(await bench.routing.admit(), SendPermit)
    assert bench.routing._room[bench.routes[0]] == 0


async def test_spent_tokens_send_the_job_to_the_other_provider(redis: Redis) -> None:
    bench = Bench()
    now = FakeClock()
    bench.routes[0].limit = ProviderLimit("a", 4, redis, now_s=now)
    assert await bench.names(20) == {"a": 1, "b": 19}
    now.advance(1)
    assert (await bench.names(2))["a"] == 1


async def test_where_all_tokens_are_spent_the_job_waits_briefly_or_is_held(redis: Redis) -> None:
    bench = Bench(weights=(1,))
    bench.routes[0].limit = ProviderLimit("a", 10, redis, now_s=FakeClock())
    answers = await asyncio.gather(*(bench.routing.admit() for _ in range(20)), return_exceptions=True)
    held = [answer for answer in answers if isinstance(answer, NoProviderAvailable)]
    # two at once (a quarter of a second's worth), and those whose turn comes within the second
    assert 11 <= 20 - len(held) <= 13
    assert {answer.reason for answer in held} == {"PROVIDER_RATE_LIMITED"}
    assert all(answer.wait_s > 1 for answer in held)
    assert bench.routing._room[bench.routes[0]] == 100 - (20 - len(held))


def test_only_a_provider_that_surely_has_it_not_is_passed_by() -> None:
    assert may_try_another(DOWN)
    assert not may_try_another(OutcomeUnknown("SMTP_TIMEOUT", "no answer"))
    assert not may_try_another(TransientDeliveryError("SMTP_451", "later"))
    assert not may_try_another(None)
