"""RabbitMQ through aiormq: two connections that come back by themselves, publishing with confirms in a window, consuming with a watchdog.

aio-pika's own recovery is not used: it reconnects after a fixed 5 s without jitter, leaves publishers waiting meanwhile, and has a
history of consumers that stop in silence. aiormq is the protocol layer beneath it and costs a fifth less per publish.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import aiormq
from aiormq.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity, PublishError
from pamqp import commands

from mesh.bus.broker import NO_HEADERS, BrokerUnavailable, MessageHandler, Subscription, Unroutable
from mesh.bus.rabbitmq_consumer import RabbitMQSubscription
from mesh.bus.rabbitmq_link import CLIENT_ERRORS, REPLY_TIMEOUT_S, Link, close_quietly, closed_is_an_error
from mesh.bus.settings import BrokerSettings
from mesh.bus.topology import Route, Topology

log = logging.getLogger(__name__)

_FIRST_CONNECT_WAIT_S = 3.0
# Confirms come in batches of disk writes, so throughput needs many in flight; aiormq's bookkeeping slows down with some hundreds.
_WINDOW = 200
_PERSISTENT = 2
# Twice that is the longest that a consumer which died in silence stays so; liveness promises 60 s.
STALLED_AFTER_S = 20.0


class RabbitMQBroker:
    """The Broker on RabbitMQ: one connection for publishing and one for consuming, so that a blocked publisher still acknowledges."""

    def __init__(self, settings: BrokerSettings, topology: Topology, *, stalled_after_s: float = STALLED_AFTER_S) -> None:
        self._topology = topology
        self._stalled_after_s = stalled_after_s
        self._timeout_s = settings.publish_timeout_s
        self._publishing = Link(settings.url, "publish", self._prepare_publishing)
        self._consuming = Link(settings.url, "consume", self._prepare_consuming)
        self._channel: aiormq.Channel | None = None
        self._window = asyncio.Semaphore(_WINDOW)
        self._unblocked: asyncio.Task[None] | None = None
        self._subscriptions: list[RabbitMQSubscription] = []

    @property
    def topology(self) -> Topology:
        """What is declared."""
        return self._topology

    @property
    def connected(self) -> bool:
        """False while there is no connection or RabbitMQ has blocked it, as it does when it runs out of memory or disk."""
        return self._publishing.connected and (self._unblocked is None or self._unblocked.done())

    async def open(self) -> None:
        """Connects; returns after some seconds even when the broker is down."""
        await asyncio.gather(self._publishing.open(wait_s=_FIRST_CONNECT_WAIT_S), self._consuming.open(wait_s=_FIRST_CONNECT_WAIT_S))
        if not self.connected:
            log.warning("broker is not reachable yet")

    async def publish(
        self, queue: str, body: bytes, *, headers: Mapping[str, str | int] = NO_HEADERS, expiration_s: float | None = None
    ) -> None:
        """See Broker."""
        route = self._topology.route(queue)
        channel = self._channel
        if channel is None or not self.connected:
            raise BrokerUnavailable("the message broker is not connected")
        properties = commands.Basic.Properties(
            delivery_mode=_PERSISTENT,
            # aiormq matches a returned message to its publish by this id alone, so each publish has its own.
            message_id=uuid.uuid4().hex,
            headers=dict(headers) or None,
            expiration=None if expiration_s is None else str(max(0, round(expiration_s * 1000))),
        )
        try:
            async with asyncio.timeout(self._timeout_s), self._window:
                await self._publish(channel, route, body, properties)
        except PublishError as error:
            raise Unroutable(queue) from error
        except TimeoutError as error:
            self._suspect_blocked()
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
        name = self._topology.route(queue).queue
        async with self._asking() as channel:
            try:
                declared = await channel.queue_declare(name, passive=True)
            except ChannelNotFoundEntity as error:
                raise Unroutable(queue) from error
            return declared.message_count or 0

    async def ping(self) -> None:
        """See Broker."""
        async with self._asking():
            return

    async def close(self) -> None:
        """See Broker."""
        await asyncio.gather(*(subscription.stop(timeout_s=0.0) for subscription in self._subscriptions))
        await asyncio.gather(self._publishing.close(), self._consuming.close())
        if self._unblocked is not None:
            self._unblocked.cancel()
            await asyncio.gather(self._unblocked, return_exceptions=True)

    async def _publish(self, channel: aiormq.Channel, route: Route, body: bytes, properties: commands.Basic.Properties) -> None:
        with closed_is_an_error():
            await channel.basic_publish(
                body,
                exchange=route.exchange,
                routing_key=route.routing_key,
                properties=properties,
                mandatory=True,
                # The confirm is what counts; waiting for the socket as well would only cost a turn of the loop.
                wait=False,
            )

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[AbstractChannel]:
        # A channel of its own, since the answer "no such queue" closes it.
        connection = self._publishing.connection_now()
        try:
            with closed_is_an_error():
                async with asyncio.timeout(self._timeout_s):
                    channel = await connection.channel(publisher_confirms=False)
                    try:
                        yield channel
                    finally:
                        await close_quietly(channel)
        except CLIENT_ERRORS as error:
            raise BrokerUnavailable("the message broker does not answer") from error

    async def _prepare_publishing(self, connection: AbstractConnection) -> AbstractChannel:
        await self._declare(connection)
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True, timeout=REPLY_TIMEOUT_S)
        self._channel = cast(aiormq.Channel, channel)
        if self._unblocked is not None:
            # It waited for the connection before this one.
            self._unblocked.cancel()
            self._unblocked = None
        return channel

    async def _prepare_consuming(self, connection: AbstractConnection) -> None:
        """Nothing to prepare: each subscription opens a channel of its own."""

    async def _declare(self, connection: AbstractConnection) -> None:
        channel = await connection.channel(publisher_confirms=False, timeout=REPLY_TIMEOUT_S)
        for exchange in self._topology.exchanges:
            await channel.exchange_declare(exchange, exchange_type="direct", durable=True, timeout=REPLY_TIMEOUT_S)
        for queue in self._topology.queues:
            await channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments), timeout=REPLY_TIMEOUT_S)
        for binding in self._topology.bindings:
            await channel.queue_bind(binding.queue, binding.exchange, binding.routing_key, timeout=REPLY_TIMEOUT_S)
        await channel.close()

    def _suspect_blocked(self) -> None:
        connection = self._publishing.connection_now() if self._publishing.connected else None
        if connection is not None and (self._unblocked is None or self._unblocked.done()):
            self._unblocked = asyncio.create_task(connection.ready(), name="rabbitmq-unblocked")


@asynccontextmanager
async def open_broker(settings: BrokerSettings, topology: Topology) -> AsyncIterator[RabbitMQBroker]:
    """RabbitMQ, with the topology declared. A broker that is down does not fail it: it connects as soon as it can."""
    broker = RabbitMQBroker(settings, topology)
    await broker.open()
    try:
        yield broker
    finally:
        await broker.close()
