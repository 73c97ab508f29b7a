"""How much waits in the queues of the bus, since when, and who works on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, Protocol

from delivery.lanes import FAILED_QUEUE, OUTCOME_QUEUE, work_queue
from gateway.breakers.models import Worker
from gateway.notifications.models import Channel
from mesh.bus.broker import Broker, QueueSize


class Kind(IntEnum):
    """What a queue is for. The numbers are those of the schema."""

    WORK = 1
    DELAY = 2
    OUTCOMES = 3
    FAILED = 4


class Lane(NamedTuple):
    """Whose work waits in a work queue."""

    channel: Channel
    urgent: bool


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue now. `oldest_s` is None where nothing waits, or where that is not known."""

    name: str
    kind: Kind
    channel: Channel | None
    urgent: bool
    size: QueueSize
    oldest_s: float | None = None


class AgeStore(Protocol):
    """Where it is kept what is on the bus."""

    async def on_the_bus(self) -> Mapping[Lane, float]:
        """Seconds since the oldest notification of each lane was put on the bus, of those of which no worker has reported."""


class WorkerList(Protocol):
    """Where workers report themselves."""

    async def workers(self) -> Sequence[Worker]:
        """Those that are there, by provider. Raises ServiceError."""


class QueueDesk:
    """Looks at the bus. Raises ServiceError while it, Redis or the database does not answer."""

    def __init__(self, broker: Broker, ages: AgeStore, workers: WorkerList) -> None:
        self._broker = broker
        self._ages = ages
        self._workers = workers

    async def queues(self) -> list[QueueState]:
        """All queues, those of work first."""
        ages = await self._ages.on_the_bus()
        routes = {route.queue: name for name, route in self._broker.topology.routes.items()}
        lanes = {work_queue(channel.key, urgent=urgent): Lane(channel, urgent) for channel in Channel for urgent in (False, True)}
        found = [
            QueueState(
                queue,
                _kind(queue, lanes),
                lanes[queue].channel if queue in lanes else _channel(queue),
                queue in lanes and lanes[queue].urgent,
                await self._broker.size(name),
                ages.get(lanes[queue]) if queue in lanes else None,
            )
            for queue, name in routes.items()
        ]
        return sorted(found, key=lambda queue: (queue.kind, queue.name))

    async def without_worker(self) -> list[QueueState]:
        """Work queues in which something waits that no worker takes."""
        return [queue for queue in await self.queues() if queue.kind is Kind.WORK and queue.size.messages and not queue.size.consumers]

    async def workers(self) -> Sequence[Worker]:
        """See WorkerList."""
        return await self._workers.workers()


def _kind(queue: str, lanes: Mapping[str, Lane]) -> Kind:
    if queue in lanes:
        return Kind.WORK
    return {OUTCOME_QUEUE: Kind.OUTCOMES, FAILED_QUEUE: Kind.FAILED}.get(queue, Kind.DELAY)


def _channel(queue: str) -> Channel | None:
    """Of a delay queue, which is named after its channel."""
    key = queue.partition(".")[0]
    return next((channel for channel in Channel if channel.key == key), None)
