"""The exchanges, queues and bindings of a bus as data. Nothing here talks to a broker."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

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
    """A durable quorum queue. `ttl_ms` makes it a delay queue; `dead_letter_key` None keeps a message's own routing key
    when it moves on to `dead_letter_exchange`.
    """

    name: str
    delivery_limit: int | None = None
    ttl_ms: int | None = None
    max_length: int | None = None
    dead_letter_exchange: str | None = None
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
        if self.dead_letter_exchange is not None:
            arguments["x-dead-letter-exchange"] = self.dead_letter_exchange
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


@dataclass(frozen=True)
class Topology:
    """Everything that is declared on the broker."""

    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]
    exchanges: tuple[str, ...]

    @cached_property
    def routes(self) -> Mapping[str, Route]:
        """By name. A queue that is not a delay queue is reached under its own name, a delay queue under its key."""
        routes: dict[str, Route] = {}
        primary: set[str] = set()
        delayed = {queue.name for queue in self.queues if queue.ttl_ms is not None}
        for binding in self.bindings:
            if binding.queue in delayed:
                routes[binding.routing_key] = Route(binding.routing_key, binding.exchange, binding.routing_key, binding.queue)
            elif binding.queue not in primary:
                # The first key that a queue is bound under is its own; the others are those that delayed messages come back with.
                primary.add(binding.queue)
                routes[binding.queue] = Route(binding.queue, binding.exchange, binding.routing_key, binding.queue)
        return MappingProxyType(routes)

    def route(self, name: str) -> Route:
        """Raises KeyError for a name that the topology does not have."""
        return self.routes[name]
