"""RabbitMQ through aio-pika: two connections that reconnect, publishing with confirms in a window, consuming with a watchdog.

aio-pika's plain connection, channel, exchange and queue are used, not the robust ones: those reconnect after a fixed 5 s without jitter,
leave publishers waiting meanwhile, and have a history of consumers that stop unnoticed (docs/decisions/0004-aio-pika.md).
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from aio_pika.exceptions import ChannelNotFoundEntity, PublishError

from mesh.bus.broker import NO_HEADERS, BrokerUnavailable, MessageHandler, QueueSize, Subscription, Unroutable
from mesh.bus.rabbitmq_consumer import RabbitMQSubscription
from mesh.bus.rabbitmq_link import CLIENT_ERRORS, REPLY_TIMEOUT_S, Link, QuestionChannel, close_quietly, closed_is_an_error, open_channel
from mesh.bus.settings import BrokerSettings
from mesh.bus.topology import Topology

log = logging.getLogger(__name__)

_FIRST_CONNECT_WAIT_S = 3.0
# Confirms come in batches of disk writes, so throughput needs many in flight; the client's bookkeeping slows down with some hundreds.
_WINDOW = 200
# Twice that is the longest that a consumer which died unnoticed stays so; liveness promises 60 s.
STALLED_AFTER_S = 20.0


class RabbitMQBroker:
    """The Broker on RabbitMQ: one connection for publishing and one for consuming, so that a blocked publisher still acknowledges."""

    def __init__(self, settings: BrokerSettings, topology: Topology, *, stalled_after_s: float = STALLED_AFTER_S) -> None:
        self._topology = topology
        self._stalled_after_s = stalled_after_s
        self._timeout_s = settings.publish_timeout_s
        self._publishing = Link(settings.url, "publish", self._prepare_publishing)
        self._consuming = Link(settings.url, "consume", self._prepare_consuming)
        self._exchanges: Mapping[str, AbstractExchange] = {}
        self._window = asyncio.Semaphore(_WINDOW)
        self._unblocked: asyncio.Future[None] | None = None
        self._questions = QuestionChannel()
        self._subscriptions: list[RabbitMQSubscription] = []

    @property
    def topology(self) -> Topology:
        """What is declared."""
        return self._topology

    @property
    def connected(self) -> bool:
        """False while there is no connection, or RabbitMQ has blocked it, as it does when it runs out of memory or disk, or a publish timed
        out over it and nothing was answered since.
        """
        return self._publishing.connected and (self._unblocked is None or self._unblocked.done())

    async def open(self) -> None:
        """Connects; returns after some seconds even when the broker is down."""
        await asyncio.gather(self._publishing.open(wait_s=_FIRST_CONNECT_WAIT_S), self._consuming.open(wait_s=_FIRST_CONNECT_WAIT_S))
        if not self.connected:
            log.warning("broker is not reachable yet")

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
        exchange = self._exchanges.get(route.exchange)
        if exchange is None or not self.connected:
            raise BrokerUnavailable("the message broker is not connected")
        message = Message(
            body,
            delivery_mode=DeliveryMode.PERSISTENT,
            # a returned message is matched to its publish by this id alone, so each publish has its own
            message_id=uuid.uuid4().hex,
            headers=dict(headers) or None,
            type=kind or None,
            expiration=None if expiration_s is None else max(0.0, expiration_s),
        )
        try:
            async with asyncio.timeout(self._timeout_s), self._window:
                with closed_is_an_error():
                    await exchange.publish(message, route.routing_key, mandatory=True)
        except PublishError as error:
            raise Unroutable(queue) from error
        except TimeoutError as error:
            self._suspect()
            raise BrokerUnavailable(f"the message broker did not confirm within {self._timeout_s:g} s") from error
        except CLIENT_ERRORS as error:
            raise BrokerUnavailable("the message broker did not confirm") from error

    async def consume(self, queue: str, handler: MessageHandler, *, prefetch: int) -> Subscription:
        """See Broker."""
        name = self._topology.route(queue).queue
        subscription = RabbitMQSubscription(
            name,
            handler,
            prefetch=prefetch,
            link=self._consuming,
            depth=lambda: self.depth(queue),
            redeclare=self._declare,
            stalled_after_s=self._stalled_after_s,
        )
        self._subscriptions = [known for known in self._subscriptions if not known.stopped] + [subscription]
        subscription.start()
        return subscription

    async def depth(self, queue: str) -> int:
        """See Broker."""
        return (await self.size(queue)).messages

    async def size(self, queue: str) -> QueueSize:
        """See Broker."""
        name = self._topology.route(queue).queue
        async with self._asking() as channel:
            try:
                declared = await channel.declare_queue(name, passive=True)
            except ChannelNotFoundEntity as error:
                raise Unroutable(queue) from error
            result = declared.declaration_result
            return QueueSize(result.message_count or 0, result.consumer_count or 0)

    async def ping(self) -> None:
        """See Broker."""
        async with self._asking() as channel:
            await channel.set_qos(prefetch_count=1)  # nothing is consumed here: it is the smallest thing that RabbitMQ answers

    async def close(self) -> None:
        """See Broker."""
        await asyncio.gather(*(subscription.stop(timeout_s=0.0) for subscription in self._subscriptions))
        await asyncio.gather(self._publishing.close(), self._consuming.close())
        if self._unblocked is not None:
            self._unblocked.cancel()
            await asyncio.gather(self._unblocked, return_exceptions=True)

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[AbstractChannel]:
        connection = self._publishing.connection_now()
        try:
            with closed_is_an_error():
                async with asyncio.timeout(self._timeout_s), self._questions.turn(connection) as channel:
                    yield channel
        except CLIENT_ERRORS as error:
            raise BrokerUnavailable("the message broker does not answer") from error

    async def _prepare_publishing(self, connection: AbstractConnection) -> AbstractChannel:
        await self._declare(connection)
        channel = await open_channel(connection, publisher_confirms=True)
        self._exchanges = {name: await channel.get_exchange(name, ensure=False) for name in self._topology.exchanges}
        if self._unblocked is not None:
            # It waited for the connection before this one.
            self._unblocked.cancel()
            self._unblocked = None
        return channel

    async def _prepare_consuming(self, connection: AbstractConnection) -> None:
        """Nothing to prepare: each subscription opens a channel of its own."""

    async def _declare(self, connection: AbstractConnection) -> None:
        channel = await open_channel(connection)
        for exchange in self._topology.exchanges:
            await channel.declare_exchange(exchange, durable=True, timeout=REPLY_TIMEOUT_S)
        queues = {
            queue.name: await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments), timeout=REPLY_TIMEOUT_S)
            for queue in self._topology.queues
        }
        for binding in self._topology.bindings:
            await queues[binding.queue].bind(binding.exchange, binding.routing_key, timeout=REPLY_TIMEOUT_S)
        await channel.close()

    def _suspect(self) -> None:
        """A confirm did not come in time: the connection does not count as one until RabbitMQ has answered something over it."""
        connection = self._publishing.connection_now() if self._publishing.connected else None
        if connection is not None and connection.transport is not None and (self._unblocked is None or self._unblocked.done()):
            self._unblocked = asyncio.create_task(self._prove(connection), name="rabbitmq-prove")

    async def _prove(self, connection: AbstractConnection) -> None:
        """Waits while RabbitMQ has blocked the connection, then for an answer. One that gets none is replaced."""
        try:
            with closed_is_an_error():
                if connection.transport is not None:
                    await connection.transport.ready()
                async with asyncio.timeout(self._timeout_s):
                    channel = await open_channel(connection)
                    await close_quietly(channel)
        except CLIENT_ERRORS as error:
            log.warning("broker connection does not answer: replacing it", extra={"error": type(error).__name__})
            self._publishing.drop(connection)


@asynccontextmanager
async def open_broker(settings: BrokerSettings, topology: Topology) -> AsyncIterator[RabbitMQBroker]:
    """RabbitMQ, with the topology declared. A broker that is down does not fail it: it connects as soon as it can."""
    broker = RabbitMQBroker(settings, topology)
    await broker.open()
    try:
        yield broker
    finally:
        await broker.close()
