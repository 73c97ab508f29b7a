"""The message bus as the rest of the code sees it: publish with a confirm, consume with acknowledgements, and what can go wrong."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

from mesh.bus.topology import Topology
from mesh.errors import Unavailable

log = logging.getLogger(__name__)

# Before the next delivery of a message whose handler failed, so that a defect does not keep the processor busy.
_REQUEUE_PAUSE_S = 1.0

NO_HEADERS: Mapping[str, str | int] = MappingProxyType({})


class BrokerUnavailable(Unavailable):
    """The broker did not confirm. After a timeout it may still have taken the message: publishing again may duplicate it."""

    reason = "BROKER_UNAVAILABLE"

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_after_s=1.0)


class Unroutable(Unavailable):
    """The broker has no queue for the message, which it handed back. It was deleted; the next connection declares it anew."""

    reason = "QUEUE_MISSING"

    def __init__(self, queue: str) -> None:
        super().__init__(f"the queue {queue} does not exist on the broker", retry_after_s=1.0)


Settle = Callable[[bool, bool], Awaitable[None]]


class Message:
    """One delivery. It is settled once, by `ack` or `reject`; on a channel that is gone both do nothing, since it is redelivered.

    `kind` is what its publisher says that the body is. `delivery_count` counts the deliveries before this one that ended without an ack.
    """

    __slots__ = ("_is_lost", "_settle", "body", "delivery_count", "headers", "kind", "queue", "redelivered", "settled")

    def __init__(
        self,
        body: bytes,
        headers: Mapping[str, object],
        *,
        queue: str,
        redelivered: bool,
        delivery_count: int,
        settle: Settle,
        is_lost: Callable[[], bool],
        kind: str = "",
    ) -> None:
        self.body = body
        self.kind = kind
        self.headers = headers
        self.queue = queue
        self.redelivered = redelivered
        self.delivery_count = delivery_count
        self.settled = False
        self._settle = settle
        self._is_lost = is_lost

    @property
    def lost(self) -> bool:
        """True when the channel that it came over is gone: the broker delivers it again, to whomever."""
        return self._is_lost()

    async def ack(self) -> None:
        """The message is done with. Raises RuntimeError when it was settled before."""
        await self._settle_once(ack=True, requeue=False)

    async def reject(self, *, requeue: bool) -> None:
        """Back into the queue, which counts toward the delivery limit, or to the dead letters. Raises RuntimeError like `ack`."""
        await self._settle_once(ack=False, requeue=requeue)

    async def _settle_once(self, *, ack: bool, requeue: bool) -> None:
        if self.settled:
            raise RuntimeError("the message was settled before")
        self.settled = True
        await self._settle(ack, requeue)


MessageHandler = Callable[[Message], Awaitable[None]]


async def handle_message(handler: MessageHandler, message: Message) -> None:
    """Calls the handler; when it raises or forgets to settle, the message is requeued after a pause. For Broker implementations."""
    try:
        await handler(message)
    except Exception:
        log.exception("message handler failed", extra={"queue": message.queue})
    if not message.settled:
        await asyncio.sleep(_REQUEUE_PAUSE_S)
        await message.reject(requeue=True)


class Subscription(Protocol):
    """A running consumer of one queue. It survives the loss of its channel and of the connection."""

    @property
    def queue(self) -> str:
        """The queue's name."""
        ...

    @property
    def consuming(self) -> bool:
        """Whether the broker delivers to it now."""
        ...

    @property
    def healthy(self) -> bool:
        """False when messages wait in the queue and none arrives although there is room for one: a restart may help.

        A broker that is down does not make it unhealthy, since a restart would not help.
        """
        ...

    @property
    def in_flight(self) -> int:
        """Messages that are being handled."""
        ...

    async def stop(self, *, timeout_s: float) -> None:
        """Takes no more messages and waits for those in flight; what is not done in time is cancelled and delivered again."""
        ...


class QueueSize(NamedTuple):
    """Messages that wait in a queue, those in flight not counted, and its consumers."""

    messages: int
    consumers: int


class Broker(Protocol):
    """The bus. Every name is one of the topology's; another one is a KeyError."""

    @property
    def topology(self) -> Topology:
        """What is declared on it."""
        ...

    @property
    def connected(self) -> bool:
        """False while publishing would fail at once."""
        ...

    async def publish(
        self,
        queue: str,
        body: bytes,
        *,
        headers: Mapping[str, str | int] = NO_HEADERS,
        expiration_s: float | None = None,
        kind: str = "",
    ) -> None:
        """Returns when the broker has the message on disk. Many may be in flight at once.

        `kind` says what the body is (AMQP's `type` property); it stays when the broker moves the message to the dead letters.
        `expiration_s` lets the message expire in the queue. Raises BrokerUnavailable, at once when there is no connection and after the
        publish timeout at the latest, or Unroutable.
        """
        ...

    async def consume(self, queue: str, handler: MessageHandler, *, prefetch: int) -> Subscription:
        """Calls the handler for each message, up to `prefetch` at a time. Returns at once, also while the broker is down.

        The handler settles the message before it returns. When it raises or forgets, that is logged and the message is requeued after
        a pause.
        """
        ...

    async def depth(self, queue: str) -> int:
        """Messages that wait in the queue, those in flight not counted. Raises BrokerUnavailable or Unroutable."""
        ...

    async def size(self, queue: str) -> QueueSize:
        """What waits in the queue, and who takes it. Raises BrokerUnavailable or Unroutable."""
        ...

    async def ping(self) -> None:
        """Raises BrokerUnavailable unless the broker answers."""
        ...

    async def close(self) -> None:
        """Stops the subscriptions without waiting for what is in flight, and closes the connections."""
        ...
