"""Breakers as operators see and force them: the rules over a fake, the whole way over REST and a real Valkey to a worker's breaker."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from clarion.operations.v1 import breaker_pb2
from clarion.operations.v1 import breaker_service_pb2 as rpc
from clarion.operations.v1.breaker_service_pb2_grpc import BreakerServiceStub
from gateway.breakers.errors import BreakerNotFound, BreakersUnavailable
from gateway.breakers.models import Breaker, Force, State, Wish
from gateway.breakers.repository import BreakerRepository
from gateway.breakers.servicer import BreakerServicer
from gateway.breakers.use_cases import Breakers, BreakerStore
from mesh.errors import InvalidArgument
from mesh.resilience import breaker_store
from mesh.resilience.breaker import BreakerState
from mesh.resilience.shared_breaker import SharedBreakers
from mesh.testing import caller, operator_metadata, serving

OPERATOR = caller("operations:write")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SMTP = Breaker("smtp", State.CLOSED, 0, None, None, Force.AUTO, None, None, "", "", NOW)


class FakeStore:
    """Breakers in a dictionary."""

    def __init__(self, *breakers: Breaker) -> None:
        self.breakers = {breaker.name: breaker for breaker in breakers}
        self.wishes: list[tuple[str, Wish]] = []

    async def list_all(self) -> Sequence[Breaker]:
        return list(self.breakers.values())

    async def find(self, name: str) -> Breaker | None:
        return self.breakers.get(name)

    async def force(self, name: str, wish: Wish) -> None:
        self.wishes.append((name, wish))
        self.breakers[name] = replace(self.breakers[name], force=wish.force, forced_by=wish.by, note=wish.note)


def breakers(store: BreakerStore) -> Breakers:
    return Breakers(store, now=lambda: NOW)


async def test_what_no_worker_asks_for_is_listed_only_while_somebody_holds_it() -> None:
    long_ago = NOW - timedelta(hours=1)
    gone, held = replace(SMTP, name="gone", seen_time=long_ago), replace(SMTP, name="held", force=Force.OPEN, seen_time=long_ago)
    listed = await breakers(FakeStore(SMTP, gone, held)).list_breakers()
    assert [breaker.name for breaker in listed] == ["smtp", "held"]


async def test_who_forces_and_why_is_kept_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    store = FakeStore(SMTP)
    forced = await breakers(store).force(OPERATOR, "smtp", Force.OPEN, duration_s=60, note="maintenance")
    assert (forced.force, forced.forced_by, forced.note) == (Force.OPEN, "api_key:test-key", "maintenance")
    assert store.wishes == [("smtp", Wish(Force.OPEN, 60, "api_key:test-key", "maintenance"))]
    (record,) = [record for record in caplog.records if record.message == "breaker forced"]
    assert record.__dict__["by"] == "api_key:test-key"


@pytest.mark.parametrize(("force", "duration_s"), [(Force.OPEN, 0.0), (Force.CLOSED, -1.0), (Force.OPEN, 31 * 86400.0), (Force.AUTO, 60.0)])
async def test_a_duration_that_makes_no_sense_is_refused(force: Force, duration_s: float) -> None:
    store = FakeStore(SMTP)
    with pytest.raises(InvalidArgument, match="duration"):
        await breakers(store).force(OPERATOR, "smtp", force, duration_s=duration_s, note="")
    assert store.wishes == []


async def test_only_what_a_worker_has_asked_for_can_be_forced() -> None:
    with pytest.raises(BreakerNotFound):
        await breakers(FakeStore()).force(OPERATOR, "smpt", Force.OPEN, duration_s=None, note="")


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


async def test_what_an_operator_wants_a_worker_does(redis: Redis) -> None:
    shared = SharedBreakers(breaker_store.BreakerStore(redis), poll_s=3600)
    breaker = shared.breaker("smtp.primary")
    await shared.start()
    service = (rpc.DESCRIPTOR.services_by_name["BreakerService"], BreakerServicer(Breakers(repository(redis))))
    async with serving(service) as channel:
        stub = BreakerServiceStub(channel)
        request = rpc.ForceBreakerRequest(name="smtp.primary", force=breaker_pb2.BREAKER_FORCE_OPEN, note="maintenance")
        request.duration.FromSeconds(3600)
        forced = (await stub.ForceBreaker(request, metadata=operator_metadata())).breaker
        assert (forced.state, forced.force, forced.note) == (breaker_pb2.BREAKER_STATE_OPEN, breaker_pb2.BREAKER_FORCE_OPEN, "maintenance")
        assert forced.forced_by == "api_key:operator"
        assert abs(forced.force_expire_time.seconds - forced.force_time.seconds) == 3600
        await shared.poll()
        assert breaker.state is BreakerState.OPEN
        request = rpc.ForceBreakerRequest(name="smtp.primary", force=breaker_pb2.BREAKER_FORCE_AUTO)
        await stub.ForceBreaker(request, metadata=operator_metadata())
        await shared.poll()
        assert breaker.state is BreakerState.CLOSED
        (listed,) = (await stub.ListBreakers(rpc.ListBreakersRequest(), metadata=operator_metadata())).breakers
        assert (listed.name, listed.state, listed.force) == (
            "smtp.primary",
            breaker_pb2.BREAKER_STATE_CLOSED,
            breaker_pb2.BREAKER_FORCE_AUTO,
        )
        assert not listed.HasField("force_time")
    await shared.close()


async def test_an_open_breaker_says_when_it_will_probe(redis: Redis) -> None:
    store = breaker_store.BreakerStore(redis)
    await store.run([("look", "fcm", -1, "a", 10_000, 0), ("bad", "fcm", -1, "a", 5, 5, 60_000)])
    (breaker,) = await repository(redis).list_all()
    assert (breaker.state, breaker.failures, breaker.force) == (State.OPEN, 5, Force.AUTO)
    assert breaker.retry_time is not None
    assert breaker.change_time is not None
    assert timedelta(seconds=55) < breaker.retry_time - breaker.change_time < timedelta(seconds=65)


async def test_without_redis_it_is_unavailable() -> None:
    async with Redis.from_url("redis://127.0.0.1:1") as away:
        with pytest.raises(BreakersUnavailable):
            await repository(away).list_all()
        with pytest.raises(BreakersUnavailable):
            await repository(away).force("smtp", Wish(Force.OPEN, None, "", ""))


def repository(redis: Redis) -> BreakerRepository:
    return BreakerRepository(breaker_store.BreakerStore(redis))
