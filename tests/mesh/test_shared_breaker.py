"""Breakers shared through a real Valkey: several replicas behave as one, and go on alone without it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from devstack.valkey import ValkeyServer
from mesh.resilience.breaker import Breaker, BreakerOpen, BreakerState
from mesh.resilience.breaker_store import BreakerStore, Force, Operation, Snapshot
from mesh.resilience.shared_breaker import Permit, SharedBreaker, SharedBreakers
from mesh.testing import FakeClock
from tests.examples import examples
from tests.waiting import until

NAME = "smtp.primary"

MakeReplica = Callable[[], "Replica"]


class Replica:
    """One process's view of the breaker. It looks at Redis when told to."""

    def __init__(self, store: BreakerStore | None, clock: FakeClock, *, lease_s: float = 10) -> None:
        self.shared = SharedBreakers(store, clock=clock, poll_s=3600, lease_s=lease_s)
        self.breaker: SharedBreaker = self.shared.breaker(NAME)

    async def fail(self, times: int = 1) -> None:
        for _ in range(times):
            self.breaker.record_failure(await self.breaker.admit())
            await self.shared.settled()

    async def succeed(self) -> None:
        self.breaker.record_success(await self.breaker.admit())
        await self.shared.settled()

    async def allowed(self) -> bool:
        try:
            self.breaker.release(await self.breaker.admit())
        except BreakerOpen:
            return False
        await self.shared.settled()
        return True


class Fleet:
    """Replicas over one store."""

    def __init__(self, redis: Redis, count: int = 3) -> None:
        self.clock = FakeClock()
        self.store = BreakerStore(redis, now_s=self.clock)
        self.replicas = [Replica(self.store, self.clock) for _ in range(count)]

    async def take_down(self) -> None:
        """Two replicas find out that the provider is down."""
        first, second = self.replicas[:2]
        await first.fail(4)
        await second.fail()
        await self.look()

    async def look(self) -> None:
        """Everybody learns what there is to know."""
        for replica in self.replicas:
            await replica.shared.poll()

    @property
    def states(self) -> set[BreakerState]:
        return {replica.breaker.state for replica in self.replicas}

    async def close(self) -> None:
        for replica in self.replicas:
            await replica.shared.close()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def fleet(redis: Redis) -> AsyncIterator[Fleet]:
    opened = Fleet(redis)
    await opened.look()
    yield opened
    await opened.close()


async def test_failures_of_all_replicas_count_together(fleet: Fleet) -> None:
    a, b, c = fleet.replicas
    await a.fail(2)
    await b.fail(2)
    assert fleet.states == {BreakerState.CLOSED}
    await c.fail()
    assert c.breaker.state is BreakerState.OPEN
    await fleet.look()
    assert fleet.states == {BreakerState.OPEN}
    assert not await a.allowed()
    assert a.breaker.retry_after_s == 60


async def test_a_success_anywhere_starts_the_count_anew(fleet: Fleet) -> None:
    a, b, _ = fleet.replicas
    await a.fail(4)
    await fleet.look()
    await b.succeed()
    await fleet.look()
    await fleet.replicas[2].fail(4)
    assert fleet.states == {BreakerState.CLOSED}


async def test_a_replica_that_alone_fails_takes_only_itself_out(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """Though nobody else knew of its failures, and so had nothing to say about them before."""
    sick, healthy, idle = fleet.replicas
    await healthy.succeed()
    await fleet.look()
    await sick.fail(5)
    await fleet.look()
    assert (sick.breaker.isolated, await sick.allowed(), sick.breaker.retry_after_s) == (True, False, 60)
    assert [await healthy.allowed(), await idle.allowed()] == [True, True]
    assert [record.__dict__["breaker"] for record in caplog.records if "takes itself out" in record.getMessage()] == [NAME]
    # its failures stay its own: one of another replica does not make five of them
    await healthy.fail()
    await healthy.succeed()
    assert await healthy.allowed()


async def test_a_replica_that_took_itself_out_probes_for_itself(fleet: Fleet) -> None:
    """It stays out when that fails, and starts with little when it succeeds."""
    sick, healthy, _ = fleet.replicas
    for well in (False, True):
        await healthy.succeed()
        await fleet.look()
        if not sick.breaker.isolated:
            await sick.fail(5)
        fleet.clock.advance(60)
        await healthy.succeed()
        await fleet.look()
        permit = await sick.breaker.admit()
        assert not await sick.allowed(), "one probe at a time"
        (sick.breaker.record_success if well else sick.breaker.record_failure)(permit)
        await sick.shared.settled()
        assert sick.breaker.isolated is not well
        assert await healthy.allowed()
    assert (await sick.allowed(), sick.breaker.recovered_s) == (True, 0)


async def test_when_the_others_fail_too_the_provider_is_down(fleet: Fleet) -> None:
    """What a replica believed to be its own fault turns out to be the provider's: all wait together."""
    first, second, _ = fleet.replicas
    await second.succeed()
    await fleet.look()
    await first.fail(5)
    assert first.breaker.isolated
    await second.fail(5)
    await fleet.look()
    assert (fleet.states, first.breaker.isolated) == ({BreakerState.OPEN}, False)


async def test_two_of_five_do_not_open_it_three_do(redis: Redis) -> None:
    """Several, and more than those that succeed."""
    fleet = Fleet(redis, 5)
    await fleet.look()
    for replica in fleet.replicas:
        await replica.succeed()
    await fleet.look()
    for replica in fleet.replicas[:2]:
        await replica.fail(5)
    assert fleet.replicas[4].breaker.state is BreakerState.CLOSED
    await fleet.replicas[2].fail(5)
    await fleet.look()
    assert fleet.states == {BreakerState.OPEN}
    await fleet.close()


async def test_a_healthy_provider_costs_no_word_to_redis(fleet: Fleet, redis: Redis) -> None:
    before = (await redis.info("stats"))["total_commands_processed"]
    for _ in range(100):
        await fleet.replicas[0].succeed()
    # the second INFO itself is one
    assert (await redis.info("stats"))["total_commands_processed"] - before <= 2


async def test_half_open_one_replica_probes_and_its_success_frees_all(fleet: Fleet) -> None:
    a, b, c = fleet.replicas
    await fleet.take_down()
    fleet.clock.advance(60)
    permit = await b.breaker.admit()
    assert [await a.allowed(), await c.allowed()] == [False, False]
    b.breaker.record_success(permit)
    await b.shared.settled()
    await fleet.look()
    assert fleet.states == {BreakerState.CLOSED}
    assert await a.allowed()


async def test_of_many_that_ask_at_once_one_probes(fleet: Fleet) -> None:
    await fleet.take_down()
    fleet.clock.advance(60)
    asked = [replica.breaker.admit() for replica in fleet.replicas for _ in range(10)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert len([answer for answer in answers if isinstance(answer, Permit)]) == 1
    assert all(isinstance(answer, Permit | BreakerOpen) for answer in answers)


async def test_two_failed_probes_open_it_for_all_again(fleet: Fleet) -> None:
    """The second one is another replica's, a second later: the first may be the one that can't reach the provider."""
    a, b, _ = fleet.replicas
    await fleet.take_down()
    fleet.clock.advance(60)
    await fleet.look()
    await b.fail()
    await fleet.look()
    assert (fleet.states, a.breaker.retry_after_s) == ({BreakerState.OPEN}, 1)
    fleet.clock.advance(1)
    await fleet.look()
    assert not await b.allowed(), "it has tried"
    await a.fail()
    await fleet.look()
    assert (fleet.states, a.breaker.retry_after_s) == ({BreakerState.OPEN}, 60)


async def test_the_next_probe_is_another_replicas_and_closes_it(fleet: Fleet) -> None:
    """The sick one that won the first probe costs the channel a second, not a minute."""
    sick, healthy, _ = fleet.replicas
    await fleet.take_down()
    fleet.clock.advance(60)
    await fleet.look()
    await sick.fail()
    fleet.clock.advance(1)
    await fleet.look()
    await healthy.succeed()
    await fleet.look()
    assert fleet.states == {BreakerState.CLOSED}


async def test_the_last_replica_probes_again(redis: Redis) -> None:
    """Where the others are gone, or do not ask, it does not wait for them."""
    fleet = Fleet(redis, 2)
    await fleet.look()
    a, _ = fleet.replicas
    await fleet.take_down()
    fleet.clock.advance(60)
    await fleet.look()
    await a.fail()
    fleet.clock.advance(1)
    await a.shared.poll()
    assert not await a.allowed()
    fleet.clock.advance(3)
    await a.shared.poll()
    assert await a.allowed()
    await fleet.close()


async def test_a_replica_that_dies_while_it_probes_gives_way_after_its_lease(fleet: Fleet) -> None:
    a, b, _ = fleet.replicas
    await fleet.take_down()
    fleet.clock.advance(60)
    await b.shared.poll()
    died = await b.breaker.admit()
    fleet.clock.advance(9)
    await a.shared.poll()
    assert not await a.allowed()
    fleet.clock.advance(1)
    await a.shared.poll()
    await a.succeed()
    assert a.breaker.state is BreakerState.CLOSED
    # what it says from the grave belongs to a probe that is no more
    b.breaker.record_failure(died)
    await b.shared.settled()
    await fleet.look()
    assert fleet.states == {BreakerState.CLOSED}


async def test_a_probe_that_takes_long_keeps_its_lease(fleet: Fleet) -> None:
    a, b, _ = fleet.replicas
    await fleet.take_down()
    fleet.clock.advance(60)
    await b.shared.poll()
    await b.breaker.admit()
    for _ in range(10):
        fleet.clock.advance(5)
        await b.shared.poll()
        await a.shared.poll()
        assert not await a.allowed()


async def test_a_straggler_of_before_changes_nothing(fleet: Fleet) -> None:
    a, b, _ = fleet.replicas
    straggler = await b.breaker.admit()
    await fleet.take_down()
    fleet.clock.advance(60)
    await a.succeed()
    for _ in range(9):
        b.breaker.record_failure(straggler)
    await b.shared.settled()
    await fleet.look()
    assert fleet.states == {BreakerState.CLOSED}
    assert a.breaker.recovered_s == 0


async def test_an_operator_opens_it_for_all_and_gives_it_back(fleet: Fleet) -> None:
    a, b, _ = fleet.replicas
    await fleet.store.force(NAME, Force.OPEN, duration_s=None, by="user:1", note="maintenance")
    await fleet.look()
    fleet.clock.advance(3600)
    await fleet.look()
    assert [await replica.allowed() for replica in fleet.replicas] == [False] * 3
    await fleet.store.force(NAME, Force.AUTO, duration_s=None, by="user:1", note="")
    await fleet.look()
    assert [await a.allowed(), await b.allowed()] == [True, True]
    assert a.breaker.recovered_s == 0


async def test_a_forced_breaker_returns_to_itself_in_time(fleet: Fleet) -> None:
    await fleet.store.force(NAME, Force.OPEN, duration_s=30, by="user:1", note="")
    await fleet.look()
    assert fleet.replicas[0].breaker.retry_after_s == 30
    fleet.clock.advance(30)
    await fleet.look()
    assert fleet.states == {BreakerState.CLOSED}
    (snapshot,) = await fleet.store.peek([NAME])
    assert snapshot.forced is None


async def test_held_closed_it_lets_everything_through(fleet: Fleet) -> None:
    a, _, _ = fleet.replicas
    await fleet.take_down()
    await fleet.store.force(NAME, Force.CLOSED, duration_s=None, by="user:1", note="the provider says it is well")
    await fleet.look()
    await a.fail(20)
    await fleet.look()
    assert fleet.states == {BreakerState.CLOSED}
    assert a.breaker.recovered_s is None
    (snapshot,) = await fleet.store.peek([NAME])
    assert snapshot.forced is not None
    assert (snapshot.forced.by, snapshot.forced.note) == ("user:1", "the provider says it is well")


async def test_without_redis_each_replica_goes_on_alone_and_tells_later(valkey_server: ValkeyServer, redis: Redis, redis_url: str) -> None:
    away = Redis.from_url("redis://127.0.0.1:1")
    clock = FakeClock()
    alone, other = Replica(BreakerStore(away, now_s=clock), clock), Replica(BreakerStore(redis, now_s=clock), clock)
    await alone.shared.poll()
    await other.shared.poll()
    assert (alone.shared.connected, other.shared.connected) == (False, True)
    await alone.fail(5)
    assert alone.breaker.state is BreakerState.OPEN
    assert await other.allowed()
    clock.advance(20)
    alone.shared._store = BreakerStore(redis, now_s=clock)  # Redis is back
    await alone.shared.poll()
    await other.shared.poll()
    assert not await other.allowed()
    assert other.breaker.retry_after_s == 40
    await away.aclose()
    await alone.shared.close()
    await other.shared.close()


async def test_an_emptied_redis_does_no_harm(fleet: Fleet, redis: Redis) -> None:
    a, b, _ = fleet.replicas
    await a.fail(3)
    await redis.flushall()
    await fleet.look()
    await a.fail(4)
    await b.fail()
    await fleet.look()
    assert fleet.states == {BreakerState.OPEN}


STEPS = st.one_of(
    st.tuples(st.just("begin"), st.just(0)),
    st.tuples(st.sampled_from(["good", "bad", "bad", "bad", "drop"]), st.integers(0, 20)),
    st.tuples(st.just("wait"), st.sampled_from([1, 30, 60])),
)


async def _against_the_model(url: str, steps: list[tuple[str, int]]) -> None:
    async with Redis.from_url(url) as redis:
        await redis.flushall()
        fleet = Fleet(redis, 1)
        model = Breaker("model", clock=fleet.clock)
        under_way: list[tuple[Replica, Permit, int]] = []
        await fleet.look()
        for what, number in steps:
            if what == "wait":
                fleet.clock.advance(number)
            elif what == "begin":
                replica = fleet.replicas[number]
                answers = await asyncio.gather(replica.breaker.admit(), _check(model), return_exceptions=True)
                assert isinstance(answers[0], BreakerOpen) is isinstance(answers[1], BreakerOpen), answers
                if isinstance(answers[0], Permit) and isinstance(answers[1], int):
                    under_way.append((replica, answers[0], answers[1]))
            elif under_way:
                replica, permit, token = under_way.pop(number % len(under_way))
                {"good": replica.breaker.record_success, "bad": replica.breaker.record_failure, "drop": replica.breaker.release}[what](
                    permit
                )
                {"good": model.record_success, "bad": model.record_failure, "drop": model.release_probe}[what](token)
                await replica.shared.settled()
            await fleet.look()
            assert fleet.states == {model.state}
            assert {replica.breaker.failures for replica in fleet.replicas} == {model.failures}
        await fleet.close()


async def _check(breaker: Breaker) -> int:
    return breaker.check()


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=40))
def test_for_one_replica_the_shared_breaker_is_the_breaker_of_the_seed(valkey_server: ValkeyServer, steps: list[tuple[str, int]]) -> None:
    asyncio.run(_against_the_model(valkey_server.url(), steps))


async def test_an_answer_that_can_not_be_read_does_not_end_the_polling(redis: Redis) -> None:
    """Later answers are taken over; a replica that has stopped to look would go on alone unseen."""

    class Garbled(BreakerStore):
        broken = 0

        async def run(self, operations: Sequence[Operation]) -> list[Snapshot]:
            if self.broken:
                self.broken -= 1
                raise ValueError("not what was expected")
            return await super().run(operations)

    store = Garbled(redis)
    shared = SharedBreakers(store, poll_s=0.01)
    breaker = shared.breaker(NAME)
    await shared.start()
    other = BreakerStore(redis)
    store.broken = 2
    await other.force(NAME, Force.OPEN, duration_s=None, by="test", note="")
    await until(lambda: breaker.state is BreakerState.OPEN)
    await shared.close()


async def test_who_asks_for_a_breaker_is_known_for_a_while(fleet: Fleet) -> None:
    await fleet.look()
    [seen] = await fleet.store.replicas([NAME])
    assert seen.keys() == {replica.shared.replica for replica in fleet.replicas}
    assert all(age_s == 0 for age_s in seen.values())
    fleet.clock.advance(11)
    await fleet.replicas[0].shared.poll()
    assert [one.keys() for one in await fleet.store.replicas([NAME, "unknown"])] == [{fleet.replicas[0].shared.replica}, set()]
