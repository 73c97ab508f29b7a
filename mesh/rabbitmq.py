"""RabbitMQ through aiormq: two connections that come back by themselves, publishing with confirms in a window, consuming with a watchdog.

aio-pika's own recovery is not used: it reconnects after a fixed 5 s without jitter, leaves publishers waiting meanwhile, and has a
history of consumers that stop in silence. aiormq is the protocol layer beneath it and costs a fifth less per publish.
"""

import asyncio
import logging
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import cast

import aiormq
from aiormq.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import AMQPError, ChannelNotFoundEntity, PublishError
from pamqp import commands
from yarl import URL

from mesh.broker import NO_HEADERS, BrokerUnavailable, MessageHandler, Subscription, Unroutable
from mesh.rabbitmq_consumer import RabbitMQSubscription, first_of
from mesh.settings import BrokerSettings
from mesh.topology import Route, Topology

log = logging.getLogger(__name__)

# aiormq answers a closed channel or connection with any of these; RuntimeError is its ChannelInvalidStateError's base.
CLIENT_ERRORS = (AMQPError, OSError, RuntimeError, TimeoutError)

_CONNECT_TIMEOUT_S = 10.0
_REPLY_TIMEOUT_S = 10.0
_FIRST_CONNECT_WAIT_S = 3.0
_PAUSE_MIN_S = 0.2
_PAUSE_MAX_S = 5.0
# aiormq gives a silent connection up after three times this; RabbitMQ gives us up after two times.
_HEARTBEAT_S = 10
# Confirms come in batches of disk writes, so throughput needs many in flight; aiormq's bookkeeping slows down with some hundreds.
_WINDOW = 200
_PERSISTENT = 2
# Twice that is the longest that a consumer which died in silence stays so; liveness promises 60 s.
STALLED_AFTER_S = 20.0


class Link:
    """One connection, kept up: it is opened again after jittered, growing pauses, until `close`.

    `on_up` prepares each new connection and returns a channel without which the connection is of no use, or None.
    """

    def __init__(self, url: str, name: str, on_up: Callable[[AbstractConnection], Awaitable[AbstractChannel | None]]) -> None:
        self._url = URL(url).update_query({"name": f"clarion {name}", "heartbeat": URL(url).query.get("heartbeat", str(_HEARTBEAT_S))})
        self._name = name
        self._on_up = on_up
        self._up = asyncio.Event()
        self._dropped = asyncio.Event()
        self._connection: AbstractConnection | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._up.is_set()

    async def open(self, *, wait_s: float) -> None:
        """Starts connecting; returns when connected or after `wait_s`."""
        self._task = asyncio.create_task(self._run(), name=f"rabbitmq-{self._name}")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._up.wait(), wait_s)

    async def connection(self) -> AbstractConnection:
        """The connection, as soon as there is one."""
        while self._connection is None:
            await self._up.wait()
        return self._connection

    def connection_now(self) -> AbstractConnection:
        """The connection. Raises BrokerUnavailable when there is none."""
        if self._connection is None:
            raise BrokerUnavailable("the message broker is not connected")
        return self._connection

    def drop(self, connection: AbstractConnection) -> None:
        """Replaces the connection, which somebody found to be dead in silence. Does nothing when it is not the current one."""
        if self._connection is connection:
            self._dropped.set()

    async def close(self) -> None:
        """Closes the connection and does not open it again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        failures = 0
        while True:
            connection: AbstractConnection | None = None
            try:
                opening = aiormq.Connection(self._url)
                await asyncio.wait_for(opening.connect(), _CONNECT_TIMEOUT_S)
                connection = opening
                vital = await self._on_up(connection)
                failures = 0
                await self._stay_up(connection, vital)
                log.warning("broker connection lost", extra={"connection": self._name})
            except CLIENT_ERRORS as error:
                failures += 1
                what = {"connection": self._name, "error": type(error).__name__, "failures": failures}
                log.warning("broker connection failed", extra=what)
            finally:
                self._up.clear()
                self._connection = None
                if connection is not None:
                    await close_quietly(connection)
            await asyncio.sleep(pause_s(failures))

    async def _stay_up(self, connection: AbstractConnection, vital: AbstractChannel | None) -> None:
        self._connection = connection
        self._dropped.clear()
        self._up.set()
        log.info("broker connected", extra={"connection": self._name})
        await first_of(connection.closing, self._dropped.wait(), *([vital.closing] if vital else []))


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
        try:
            await channel.basic_publish(
                body,
                exchange=route.exchange,
                routing_key=route.routing_key,
                properties=properties,
                mandatory=True,
                # The confirm is what counts; waiting for the socket as well would only cost a turn of the loop.
                wait=False,
            )
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Nobody cancelled us: this is how aiormq tells what was in flight that it closed the channel.
            raise BrokerUnavailable("the message broker did not confirm") from None

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[AbstractChannel]:
        # A channel of its own, since the answer "no such queue" closes it.
        connection = self._publishing.connection_now()
        try:
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
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True, timeout=_REPLY_TIMEOUT_S)
        self._channel = cast(aiormq.Channel, channel)
        if self._unblocked is not None:
            # It waited for the connection before this one.
            self._unblocked.cancel()
            self._unblocked = None
        return channel

    async def _prepare_consuming(self, connection: AbstractConnection) -> None:
        """Nothing to prepare: each subscription opens a channel of its own."""

    async def _declare(self, connection: AbstractConnection) -> None:
        channel = await connection.channel(publisher_confirms=False, timeout=_REPLY_TIMEOUT_S)
        for exchange in self._topology.exchanges:
            await channel.exchange_declare(exchange, exchange_type="direct", durable=True, timeout=_REPLY_TIMEOUT_S)
        for queue in self._topology.queues:
            await channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments), timeout=_REPLY_TIMEOUT_S)
        for binding in self._topology.bindings:
            await channel.queue_bind(binding.queue, binding.exchange, binding.routing_key, timeout=_REPLY_TIMEOUT_S)
        await channel.close()

    def _suspect_blocked(self) -> None:
        connection = self._publishing.connection_now() if self._publishing.connected else None
        if connection is not None and (self._unblocked is None or self._unblocked.done()):
            self._unblocked = asyncio.create_task(connection.ready(), name="rabbitmq-unblocked")


async def close_quietly(resource: AbstractConnection | AbstractChannel) -> None:
    """Closes what may be half broken. What goes wrong then says nothing new: it is closed either way."""
    with suppress(*CLIENT_ERRORS, asyncio.TimeoutError):
        await asyncio.wait_for(resource.close(), _REPLY_TIMEOUT_S)


def pause_s(failures: int) -> float:
    """Seconds until the next try, at random, so that the processes of a fleet do not come back all at the same moment."""
    longest = min(_PAUSE_MAX_S, _PAUSE_MIN_S * 2.0 ** min(failures, 10))
    return random.uniform(longest / 2, longest)  # noqa: S311  spreads load, guards nothing
