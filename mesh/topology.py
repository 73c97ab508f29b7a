"""The exchanges, queues and bindings of the bus as data: the one place that says what exists. Nothing here talks to a broker.

One ladder serves both lanes of a channel. A delayed message is published to `notifications.delay` under a key that names lane and
delay (`email.urgent.retry.2s`); when the queue's TTL has passed it is dead-lettered to `notifications` under the key that it came
with, and the work queue of its lane is bound to that key. So no queue has to exist twice, and nothing depends on the broker's version.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

EXCHANGE = "notifications"
DELAY_EXCHANGE = "notifications.delay"

OUTCOME_QUEUE = "outcome.queue"
FAILED_QUEUE = "failed.queue"

# A new channel is one word here (and a value of clarion.channel.v1.Channel).
CHANNELS = ("email", "push")

RETRY_DELAYS_S = (2, 4, 8)
PARK_DELAYS_S = (30, 120)

# Deliveries of a work message that end without an answer (a worker died of it, say) before the broker gives it up.
WORK_DELIVERY_LIMIT = 5
# Outcomes and dead letters are never given up. RabbitMQ 4 would drop them after 20 deliveries unless told a number; 3.10 takes no -1.
NO_DELIVERY_LIMIT = 1_000_000
# A delay queue that is full refuses, which holds the workers back instead of filling the broker's memory.
DELAY_MAX_LENGTH = 1_000_000

Argument = str | int


@dataclass(frozen=True, slots=True)
class Route:
    """How a message gets to a queue; `name` is what callers pass to `Broker.publish`."""

    name: str
    exchange: str
    routing_key: str
    queue: str


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable quorum queue. `ttl_ms` makes it a delay queue; `dead_letter_key` None keeps a message's own routing key."""

    name: str
    delivery_limit: int | None = None
    ttl_ms: int | None = None
    max_length: int | None = None
    dead_letter: bool = False
    dead_letter_key: str | None = None

    @property
    def arguments(self) -> dict[str, Argument]:
        """The arguments of queue.declare."""
        arguments: dict[str, Argument] = {"x-queue-type": "quorum"}
        if self.delivery_limit is not None:
            arguments["x-delivery-limit"] = self.delivery_limit
        if self.ttl_ms is not None:
            arguments["x-message-ttl"] = self.ttl_ms
        if self.max_length is not None:
            arguments["x-max-length"] = self.max_length
        if self.dead_letter:
            arguments["x-dead-letter-exchange"] = EXCHANGE
            arguments["x-dead-letter-strategy"] = "at-least-once"
            # Without it RabbitMQ quietly falls back to at-most-once.
            arguments["x-overflow"] = "reject-publish"
            if self.dead_letter_key is not None:
                arguments["x-dead-letter-routing-key"] = self.dead_letter_key
        return arguments


@dataclass(frozen=True, slots=True)
class Binding:
    """Messages of the exchange with the key reach the queue."""

    exchange: str
    routing_key: str
    queue: str


@dataclass(frozen=True, slots=True)
class Delay:
    """A delay queue of one lane: the route that leads into it and the seconds that it really holds a message."""

    route: str
    delay_s: float


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane of a channel: its work queue, the ladder's steps in the order of the attempts, the parks from short to long."""

    queue: str
    retry: tuple[Delay, ...]
    park: tuple[Delay, ...]

    def delay_for(self, wait_s: float, *, step: int | None = None) -> Delay:
        """Where an item that must wait goes next. The sum of such hops never falls short of the wait.

        `step` (from 0) is the ladder's step that is due; it, or a later one, serves when it is long enough. A longer wait is made of
        parks: the longest that fits, until the rest is covered by the shortest park that is not shorter than it. That overshoots by less
        than 30 s.
        """
        if step is not None:
            for delay in self.retry[step:]:
                if delay.delay_s >= wait_s:
                    return delay
        fitting = [park for park in self.park if park.delay_s <= wait_s]
        return fitting[-1] if fitting else self.park[0]


@dataclass(frozen=True)
class Topology:
    """Everything that is declared. Build it with `build_topology`."""

    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]
    exchanges: tuple[str, ...] = (EXCHANGE, DELAY_EXCHANGE)
    lanes: Mapping[str, tuple[Lane, Lane]] = field(default_factory=dict)

    @cached_property
    def routes(self) -> Mapping[str, Route]:
        """By name. A queue that is not a delay queue is reached under its own name, a delay queue under its key."""
        routes: dict[str, Route] = {}
        primary: set[str] = set()
        for binding in self.bindings:
            if binding.exchange == DELAY_EXCHANGE:
                routes[binding.routing_key] = Route(binding.routing_key, DELAY_EXCHANGE, binding.routing_key, binding.queue)
            elif binding.queue not in primary:
                # The first key that a queue is bound under is its own; the others are those that delayed messages come back with.
                primary.add(binding.queue)
                routes[binding.queue] = Route(binding.queue, EXCHANGE, binding.routing_key, binding.queue)
        return MappingProxyType(routes)

    def route(self, name: str) -> Route:
        """Raises KeyError for a name that the topology does not have."""
        return self.routes[name]

    def lane(self, channel: str, *, urgent: bool) -> Lane:
        """Raises KeyError for an unknown channel."""
        return self.lanes[channel][urgent]

    def work_queue(self, channel: str, *, urgent: bool = False) -> str:
        """The route name of a channel's work queue. Raises KeyError for an unknown channel."""
        return self.lane(channel, urgent=urgent).queue


def build_topology(channels: Sequence[str] = CHANNELS, *, delay_scale: float = 1.0) -> Topology:
    """The whole topology. `delay_scale` shrinks every delay for tests and drills; the names stay."""
    queues = [
        Queue(OUTCOME_QUEUE, delivery_limit=NO_DELIVERY_LIMIT, dead_letter=True, dead_letter_key="failed"),
        Queue(FAILED_QUEUE, delivery_limit=NO_DELIVERY_LIMIT),
    ]
    bindings = [Binding(EXCHANGE, "outcome", OUTCOME_QUEUE), Binding(EXCHANGE, "failed", FAILED_QUEUE)]
    lanes: dict[str, tuple[Lane, Lane]] = {}
    for channel in channels:
        steps = [(f"retry.{seconds}s", seconds * delay_scale) for seconds in RETRY_DELAYS_S]
        parks = [(f"park.{seconds}s", seconds * delay_scale) for seconds in PARK_DELAYS_S]
        queues += [_delay_queue(f"{channel}.{name}", delay_s) for name, delay_s in steps + parks]
        pair = [_lane(key, steps, parks) for key in (channel, f"{channel}.urgent")]
        for key, lane in zip((channel, f"{channel}.urgent"), pair, strict=True):
            queues.append(Queue(lane.queue, delivery_limit=WORK_DELIVERY_LIMIT, dead_letter=True, dead_letter_key="failed"))
            bindings.append(Binding(EXCHANGE, key, lane.queue))
            for name, _ in steps + parks:
                bindings.append(Binding(DELAY_EXCHANGE, f"{key}.{name}", f"{channel}.{name}"))
                bindings.append(Binding(EXCHANGE, f"{key}.{name}", lane.queue))
        lanes[channel] = (pair[0], pair[1])
    return Topology(queues=tuple(queues), bindings=tuple(bindings), lanes=MappingProxyType(lanes))


def _lane(key: str, steps: Sequence[tuple[str, float]], parks: Sequence[tuple[str, float]]) -> Lane:
    return Lane(
        queue=f"{key}.queue",
        retry=tuple(Delay(f"{key}.{name}", delay_s) for name, delay_s in steps),
        park=tuple(Delay(f"{key}.{name}", delay_s) for name, delay_s in parks),
    )


def _delay_queue(name: str, delay_s: float) -> Queue:
    # At least 1 ms: a TTL of 0 means "deliver at once or drop".
    return Queue(name, ttl_ms=max(1, round(delay_s * 1000)), max_length=DELAY_MAX_LENGTH, dead_letter=True)
