"""How long notifications wait for the bus and how much waits on it, as metrics."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from opentelemetry.metrics import CallbackOptions, Observation

from delivery.lanes import CHANNELS, lane_of
from gateway.dispatch.outbox import Waiting
from mesh.bus.broker import Broker
from mesh.errors import ServiceError
from mesh.process.telemetry import meter
from mesh.resilience.periodic import Periodic


class Backlog(Protocol):
    """What is not on the bus."""

    async def measure(self) -> Waiting:
        """How much waits, and for how long."""


class OutboxGauges:
    """Measures every `interval_s`. Each replica reports the same figures but for its own sweeper's lag: take maxima, not sums.

    What can't be measured is not reported, rather than reported as it was.
    """

    def __init__(
        self,
        backlog: Backlog,
        broker: Broker,
        lag_s: Callable[[], float],
        *,
        interval_s: float = 15.0,
    ) -> None:
        self._backlog = backlog
        self._broker = broker
        self._lag_s = lag_s
        self._measuring = Periodic("outbox-gauges", self.refresh, interval_s=interval_s)
        topology = broker.topology
        self._routes = {route.queue: name for name, route in topology.routes.items()}
        self._parks = {
            topology.route(park.route).queue: channel for channel in CHANNELS for park in lane_of(topology, channel, urgent=False).park
        }
        self.waiting: Waiting | None = None
        self.depths: Mapping[str, int] = {}
        gauge = meter().create_observable_gauge
        gauge("clarion.outbox.size", [self._size], description="Notifications that are due and not on the bus; 100,000 stands for more.")
        gauge("clarion.outbox.oldest_age", [self._age], "s", "Age of the oldest of them.")
        gauge("clarion.outbox.sweep_lag", [self._lag], "s", "How long the oldest that the last sweep took was overdue.")
        gauge("clarion.queue.depth", [self._depth], description="Messages (envelopes of up to 50 deliveries) that wait in each queue.")
        gauge(
            "clarion.queue.deferred",
            [self._observe_deferred],
            description="Messages that wait for an open breaker or a Retry-After, by channel.",
        )

    def start(self) -> None:
        """Begins to measure."""
        self._measuring.start()

    async def close(self) -> None:
        """Ends it; the figures are reported no longer."""
        await self._measuring.close()
        self.waiting, self.depths = None, {}

    async def refresh(self) -> None:
        """Measures once. Raises ServiceError when the database or the broker does not answer."""
        try:
            self.waiting = await self._backlog.measure()
        except ServiceError:
            self.waiting = None
            raise
        try:
            self.depths = {queue: await self._broker.depth(route) for queue, route in self._routes.items()}
        except ServiceError:
            self.depths = {}
            raise

    def oldest_age_s(self) -> float | None:
        """Seconds that the oldest had waited when that was measured, by the database's clock; None when that is not known."""
        return None if self.waiting is None else self.waiting.oldest_s

    def deferred(self) -> dict[str, int]:
        """Deferred messages by channel."""
        found: dict[str, int] = {}
        for queue, channel in self._parks.items():
            if queue in self.depths:
                found[channel] = found.get(channel, 0) + self.depths[queue]
        return found

    def _size(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [] if self.waiting is None else [Observation(self.waiting.size)]

    def _age(self, _options: CallbackOptions) -> Iterable[Observation]:
        age_s = self.oldest_age_s()
        return [] if age_s is None else [Observation(age_s)]

    def _lag(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(self._lag_s())] if self._measuring.running else []

    def _depth(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(depth, {"queue": queue}) for queue, depth in self.depths.items()]

    def _observe_deferred(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(depth, {"channel": channel}) for channel, depth in self.deferred().items()]
