"""RabbitMQ's semantics as far as Clarion uses them, in this process and without a server; the broker contract tests hold it to them."""

import asyncio
import base64
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from delivery.lanes import build_topology
from devstack.broker_consumer import MemorySubscription
from mesh.bus.broker import NO_HEADERS, BrokerUnavailable, MessageHandler, QueueSize, Subscription, Unroutable
from mesh.bus.topology import Queue, Topology

# The event loop may fire a timer a little early; a delay must never come out shorter than it says.
_TIMER_SLACK_S = 0.002


@dataclass(slots=True, eq=False)
class _Stored:
    body: bytes
    headers: dict[str, object]
    routing_key: str
    kind: str = ""
    expires_at: float | None = None
    delivery_count: int = 0


@dataclass(slots=True, eq=False)
class _State:
    """What one queue holds. `unacked` maps each delivered message to its consumer."""

    spec: Queue
    ready: deque[_Stored] = field(default_factory=deque)
    unacked: dict[_Stored, MemorySubscription] = field(default_factory=dict)
    consumers: deque[MemorySubscription] = field(default_factory=deque)
    timer: asyncio.TimerHandle | None = None


class MemoryBroker:
    """A Broker over the topology's queues. `disconnect` and `connect` play an outage; `save` and `load` keep messages over a restart."""

    def __init__(self, topology: Topology | None = None) -> None:
        self._topology = topology or build_topology()
        self._states = {queue.name: _State(queue) for queue in self._topology.queues}
        self._bound: dict[tuple[str, str], list[str]] = {}
        for binding in self._topology.bindings:
            self._bound.setdefault((binding.exchange, binding.routing_key), []).append(binding.queue)
        self._connected = True

    @property
    def topology(self) -> Topology:
        """What is declared."""
        return self._topology

    @property
    def connected(self) -> bool:
        """False between `disconnect` and `connect`, and after `close`."""
        return self._connected

    async def publish(
        self,
        queue: str,
        body: bytes,
        *,
        headers: Mapping[str, str | int] = NO_HEADERS,
        expiration_s: float | None = None,
        kind: str = "",
    ) -> None:
        """See Broker."""
        route = self._topology.route(queue)
        self._require_connection()
        # The real one takes a round trip, during which other things happen.
        await asyncio.sleep(0)
        self._require_connection()
        if not self._store(route.exchange, _Stored(bytes(body), dict(headers), route.routing_key, kind), expiration_s):
            raise Unroutable(queue)

    async def consume(self, queue: str, handler: MessageHandler, *, prefetch: int) -> Subscription:
        """See Broker."""
        state = self._state(queue)
        subscription = MemorySubscription(self, state.spec.name, handler, prefetch)
        state.consumers.append(subscription)
        self.deliver(state.spec.name)
        return subscription

    async def depth(self, queue: str) -> int:
        """See Broker."""
        return (await self.size(queue)).messages

    async def size(self, queue: str) -> QueueSize:
        """See Broker."""
        self._require_connection()
        state = self._state(queue)
        return QueueSize(len(state.ready), len(state.consumers))

    async def ping(self) -> None:
        """See Broker."""
        self._require_connection()

    async def close(self) -> None:
        """See Broker."""
        self.disconnect()
        for state in self._states.values():
            await asyncio.gather(*(consumer.stop(timeout_s=0.0) for consumer in tuple(state.consumers)))
            if state.timer is not None:
                state.timer.cancel()

    def disconnect(self) -> None:
        """As when the connection breaks: publishing fails, what was not acknowledged is to be delivered again."""
        self._connected = False
        for state in self._states.values():
            for stored in reversed(tuple(state.unacked)):
                self._give_back(state, stored)

    def connect(self) -> None:
        """The end of an outage."""
        self._connected = True
        for name in self._states:
            self.deliver(name)

    def delete(self, queue: str) -> None:
        """Deletes the queue with all it holds, as an operator might."""
        del self._states[self._topology.route(queue).queue]

    def save(self, path: Path) -> None:
        """Writes all messages to the file, delivered but unacknowledged ones too."""
        now = asyncio.get_running_loop().time()
        rows = [
            {
                "queue": name,
                "body": base64.b64encode(stored.body).decode(),
                "headers": stored.headers,
                "routing_key": stored.routing_key,
                "kind": stored.kind,
                "expires_in_s": None if stored.expires_at is None else max(0.0, stored.expires_at - now),
                "delivery_count": stored.delivery_count,
            }
            for name, state in self._states.items()
            for stored in (*state.unacked, *state.ready)
        ]
        path.write_text(json.dumps(rows))

    def load(self, path: Path) -> None:
        """Takes over what `save` wrote. A queue that the topology does not have any more loses its messages."""
        now = asyncio.get_running_loop().time()
        for row in json.loads(path.read_text()):
            state = self._states.get(row["queue"])
            if state is not None:
                left_s = row["expires_in_s"]
                stored = _Stored(base64.b64decode(row["body"]), row["headers"], row["routing_key"], row.get("kind", ""))
                stored.delivery_count = row["delivery_count"]
                stored.expires_at = None if left_s is None else now + left_s
                state.ready.append(stored)
        for name in tuple(self._states):
            self._expire(name)
            self.deliver(name)

    def deliver(self, name: str) -> None:
        """Hands waiting messages to the consumers that have room, in turn."""
        state = self._states.get(name)
        while self._connected and state is not None and state.ready and (consumer := _next_with_room(state.consumers)) is not None:
            stored = state.ready.popleft()
            state.unacked[stored] = consumer
            consumer.take(stored.body, stored.headers, stored.delivery_count, stored, kind=stored.kind)

    def settle(self, name: str, token: object, *, ack: bool, requeue: bool) -> None:
        """Ends a delivery. One that was given back before is ignored."""
        state = self._states.get(name)
        if state is None or not isinstance(token, _Stored) or token not in state.unacked:
            return
        if requeue and not ack:
            self._give_back(state, token)
        else:
            del state.unacked[token]
            if not ack:
                self._dead_letter(state, token, "rejected")
        self.deliver(name)

    def _give_back(self, state: _State, stored: _Stored) -> None:
        """To the head of the queue, or to the dead letters once the delivery limit is exceeded."""
        del state.unacked[stored]
        limit = state.spec.delivery_limit
        again = replace(stored, delivery_count=stored.delivery_count + 1)
        if limit is not None and again.delivery_count > limit:
            self._dead_letter(state, again, "delivery_limit")
        else:
            state.ready.appendleft(again)

    def forget(self, subscription: MemorySubscription) -> None:
        """The consumer is gone: what it had not settled goes back."""
        state = self._states.get(subscription.queue)
        if state is None:
            return
        if subscription in state.consumers:
            state.consumers.remove(subscription)
        for stored, owner in reversed(tuple(state.unacked.items())):
            if owner is subscription:
                self._give_back(state, stored)
        self.deliver(subscription.queue)

    def holds(self, name: str, token: object) -> bool:
        """Whether the delivery is still the broker's current one of that message."""
        state = self._states.get(name)
        return state is not None and token in state.unacked

    def _store(self, exchange: str, stored: _Stored, expiration_s: float | None = None) -> bool:
        """False when no queue is bound. Raises BrokerUnavailable when a queue is full."""
        states = [self._states[name] for name in self._bound.get((exchange, stored.routing_key), []) if name in self._states]
        for state in states:
            if state.spec.max_length is not None and len(state.ready) >= state.spec.max_length:
                raise BrokerUnavailable("the message broker did not confirm")
        for state in states:
            limits = [seconds for seconds in (expiration_s, _ttl_s(state.spec)) if seconds is not None]
            expires_at = asyncio.get_running_loop().time() + min(limits) + _TIMER_SLACK_S if limits else None
            state.ready.append(_Stored(stored.body, stored.headers, stored.routing_key, stored.kind, expires_at))
            self.deliver(state.spec.name)
            self._expire(state.spec.name)
        return bool(states)

    def _expire(self, name: str) -> None:
        """Like a quorum queue it looks at the head only; that is why each delay has a queue of its own."""
        state = self._states.get(name)
        if state is None:
            return
        if state.timer is not None:
            state.timer.cancel()
            state.timer = None
        loop = asyncio.get_running_loop()
        while state.ready and (expires_at := state.ready[0].expires_at) is not None:
            if expires_at > loop.time():
                state.timer = loop.call_at(expires_at, self._expire, name)
                return
            self._dead_letter(state, state.ready.popleft(), "expired")

    def _dead_letter(self, state: _State, stored: _Stored, reason: str) -> None:
        exchange = state.spec.dead_letter_exchange
        if exchange is None:
            return
        key = stored.routing_key if state.spec.dead_letter_key is None else state.spec.dead_letter_key
        headers = {"x-first-death-queue": state.spec.name, "x-first-death-reason": reason, **stored.headers}
        self._store(exchange, _Stored(stored.body, headers, key, stored.kind))

    def _state(self, queue: str) -> _State:
        state = self._states.get(self._topology.route(queue).queue)
        if state is None:
            raise Unroutable(queue)
        return state

    def _require_connection(self) -> None:
        if not self._connected:
            raise BrokerUnavailable("the message broker is not connected")


def _ttl_s(queue: Queue) -> float | None:
    return None if queue.ttl_ms is None else queue.ttl_ms / 1000


def _next_with_room(consumers: deque[MemorySubscription]) -> MemorySubscription | None:
    for _ in range(len(consumers)):
        consumers.rotate(-1)
        if consumers[-1].has_room:
            return consumers[-1]
    return None
