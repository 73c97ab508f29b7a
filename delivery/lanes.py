"""The lanes of the bus as data: the one place that says which exchanges and queues exist. Nothing here talks to a broker.

One ladder serves both lanes of a channel. A delayed message is published to `notifications.delay` under a key that names lane and
delay (`email.urgent.retry.2s`); when the queue's TTL has passed it is dead-lettered to `notifications` under the key that it came
with, and the work queue of its lane is bound to that key. So no queue has to exist twice, and nothing depends on the broker's version.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mesh.bus.topology import Binding, Queue, Topology

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
# Outcomes and dead letters are never given up. RabbitMQ 4 would drop them after 20 deliveries unless given a number; 3.10 takes no -1.
NO_DELIVERY_LIMIT = 1_000_000
# What rounding a wait up to a delay queue may add to it, against the cost of another hop.
_MOST_ADDED_S = 15.0
# A delay queue that is full refuses, which holds the workers back instead of filling the broker's memory.
DELAY_MAX_LENGTH = 1_000_000


# The route of a step that is longer than every delay queue: the delivery waits in the gateway's database, like a scheduled send.
DATABASE = ""


@dataclass(frozen=True, slots=True)
class Delay:
    """A delay queue of one lane: the route that leads into it (or DATABASE) and the seconds that it really holds a message."""

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

        `step` (from 0) is the ladder's step that is due; it, or a later one, serves when it is long enough. Any other wait is made of
        all delays: the shortest that is long enough where that adds at most half of the wait and 15 s, else the longest that is not too
        long.
        """
        if step is not None:
            if self.retry[step].route == DATABASE:
                return self.retry[step]
            for delay in self.retry[step:]:
                if delay.route != DATABASE and delay.delay_s >= wait_s:
                    return delay
        delays = (*self.retry, *self.park)
        fitting = [delay for delay in delays if delay.delay_s <= wait_s]
        enough = next((delay for delay in delays if delay.delay_s >= wait_s), None)
        if enough is not None and (not fitting or enough.delay_s <= wait_s + min(wait_s / 2, _MOST_ADDED_S)):
            return enough
        return fitting[-1]


def build_topology(channels: Sequence[str] = CHANNELS, *, delay_scale: float = 1.0) -> Topology:
    """The whole topology. `delay_scale` shrinks every delay for tests and drills; the names stay."""
    queues = [
        Queue(OUTCOME_QUEUE, delivery_limit=NO_DELIVERY_LIMIT, dead_letter_exchange=EXCHANGE, dead_letter_key="failed"),
        Queue(FAILED_QUEUE, delivery_limit=NO_DELIVERY_LIMIT),
    ]
    bindings = [Binding(EXCHANGE, "outcome", OUTCOME_QUEUE), Binding(EXCHANGE, "failed", FAILED_QUEUE)]
    for channel in channels:
        steps = [(f"retry.{seconds}s", seconds * delay_scale) for seconds in RETRY_DELAYS_S]
        parks = [(f"park.{seconds}s", seconds * delay_scale) for seconds in PARK_DELAYS_S]
        queues += [_delay_queue(f"{channel}.{name}", delay_s) for name, delay_s in steps + parks]
        for key in _keys(channel):
            work = work_queue(channel, urgent=key != channel)
            queues.append(Queue(work, delivery_limit=WORK_DELIVERY_LIMIT, dead_letter_exchange=EXCHANGE, dead_letter_key="failed"))
            bindings.append(Binding(EXCHANGE, key, work))
            for name, _ in steps + parks:
                bindings.append(Binding(DELAY_EXCHANGE, f"{key}.{name}", f"{channel}.{name}"))
                bindings.append(Binding(EXCHANGE, f"{key}.{name}", work))
    return Topology(queues=tuple(queues), bindings=tuple(bindings), exchanges=(EXCHANGE, DELAY_EXCHANGE))


def work_queue(channel: str, *, urgent: bool = False) -> str:
    """The route name of a lane's work queue."""
    return f"{_keys(channel)[urgent]}.queue"


def lane_of(
    topology: Topology, channel: str, *, urgent: bool, retries_s: Sequence[float] = RETRY_DELAYS_S, delay_scale: float = 1.0
) -> Lane:
    """A lane with the delays that the topology really has. Raises KeyError for a channel that it does not have.

    `retries_s` are the ladder's steps: each waits in the shortest delay queue that is not shorter, or in the database; the latter are
    scaled by `delay_scale`.
    """
    held_ms = {queue.name: queue.ttl_ms or 0 for queue in topology.queues}
    key = _keys(channel)[urgent]

    def delays(kind: str, seconds: Sequence[int]) -> tuple[Delay, ...]:
        return tuple(Delay(f"{key}.{kind}.{one}s", held_ms[f"{channel}.{kind}.{one}s"] / 1000) for one in seconds)

    short, parks = delays("retry", RETRY_DELAYS_S), delays("park", PARK_DELAYS_S)
    named = tuple(zip((*RETRY_DELAYS_S, *PARK_DELAYS_S), (*short, *parks), strict=True))

    def step(wait_s: float) -> Delay:
        return next((delay for seconds, delay in named if seconds >= wait_s), Delay(DATABASE, wait_s * delay_scale))

    return Lane(topology.route(work_queue(channel, urgent=urgent)).name, tuple(map(step, retries_s)), parks)


def _keys(channel: str) -> tuple[str, str]:
    """The routing keys of a channel's normal and urgent lane."""
    return channel, f"{channel}.urgent"


def _delay_queue(name: str, delay_s: float) -> Queue:
    # At least 1 ms: a TTL of 0 means "deliver at once or drop".
    return Queue(name, ttl_ms=max(1, round(delay_s * 1000)), max_length=DELAY_MAX_LENGTH, dead_letter_exchange=EXCHANGE)
