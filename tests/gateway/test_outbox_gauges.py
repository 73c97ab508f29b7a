"""What operators see of the outbox and the bus."""

from collections.abc import AsyncIterator

import pytest

from devstack.broker import MemoryBroker
from gateway.dispatch.gauges import OutboxGauges
from gateway.dispatch.outbox import Waiting
from mesh.bus.broker import BrokerUnavailable
from mesh.stores.database import DatabaseUnavailable
from tests.waiting import until


class FakeBacklog:
    """Answers what it was given, or that the database is away."""

    def __init__(self) -> None:
        self.waiting: Waiting | None = Waiting(7, 90.0)

    async def measure(self) -> Waiting:
        if self.waiting is None:
            raise DatabaseUnavailable
        return self.waiting


@pytest.fixture
async def broker() -> AsyncIterator[MemoryBroker]:
    made = MemoryBroker()
    yield made
    await made.close()


async def test_size_age_and_the_depth_of_every_queue_are_measured(broker: MemoryBroker) -> None:
    """Delayed messages of both lanes wait in the same queues."""
    gauges = OutboxGauges(FakeBacklog(), broker, lambda: 0.0)
    for route in ("email.queue", "email.queue", "failed.queue", "push.park.30s", "push.urgent.park.30s", "push.park.120s", "push.retry.2s"):
        await broker.publish(route, b"x")
    await gauges.refresh()
    assert gauges.waiting is not None
    assert (gauges.waiting.size, gauges.oldest_age_s()) == (7, 90.0)
    assert gauges.depths.keys() == {queue.name for queue in broker.topology.queues}
    assert {queue: depth for queue, depth in gauges.depths.items() if depth} == {
        "email.queue": 2, "failed.queue": 1, "push.park.30s": 2, "push.park.120s": 1, "push.retry.2s": 1,
    }  # fmt: skip
    assert gauges.deferred() == {"email": 0, "push": 3}


async def test_an_empty_backlog_is_of_age_zero(broker: MemoryBroker) -> None:
    backlog = FakeBacklog()
    backlog.waiting = Waiting(0, 0.0)
    gauges = OutboxGauges(backlog, broker, lambda: 0.0)
    await gauges.refresh()
    assert gauges.oldest_age_s() == 0.0


async def test_what_can_not_be_measured_is_not_told(broker: MemoryBroker) -> None:
    """An old figure would look like a good one."""
    backlog = FakeBacklog()
    gauges = OutboxGauges(backlog, broker, lambda: 0.0)
    await gauges.refresh()
    broker.disconnect()
    with pytest.raises(BrokerUnavailable):
        await gauges.refresh()
    assert (gauges.depths, gauges.deferred()) == ({}, {})
    assert gauges.oldest_age_s() is not None
    backlog.waiting = None
    with pytest.raises(DatabaseUnavailable):
        await gauges.refresh()
    assert gauges.oldest_age_s() is None


async def test_it_measures_from_start_to_close(broker: MemoryBroker) -> None:
    gauges = OutboxGauges(FakeBacklog(), broker, lambda: 0.0, interval_s=0.01)
    gauges.start()
    await until(lambda: bool(gauges.depths))
    await gauges.close()
    assert (gauges.waiting, gauges.depths) == (None, {})
