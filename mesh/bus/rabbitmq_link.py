"""One AMQP connection that comes back by itself, and the tools for living with aio-pika's ways of failing."""

import asyncio
import itertools
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from aio_pika import Connection
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError
from yarl import URL

from mesh.bus.broker import BrokerUnavailable
from mesh.cancellation import cancellations
from mesh.process.hosts import with_each_host

log = logging.getLogger(__name__)

# aio-pika answers a closed channel or connection with any of these; RuntimeError is its ChannelInvalidStateError's base.
CLIENT_ERRORS = (AMQPError, OSError, RuntimeError, TimeoutError)

REPLY_TIMEOUT_S = 10.0
_CONNECT_TIMEOUT_S = 10.0
_PAUSE_MIN_S = 0.2
_PAUSE_MAX_S = 5.0
# aiormq, the protocol layer below aio-pika, gives a silent connection up after three times this; RabbitMQ gives us up after two times.
# What a worker had in hand behind a half-open connection is redelivered only then. RabbitMQ's manual advises against less than 5 s.
_HEARTBEAT_S = 5


class Link:
    """One connection, kept up: it is opened again after jittered, growing pauses, until `close`.

    Where the URL names several hosts it begins with any of them, so that a fleet spreads, and goes on to the next after each end.

    `on_up` prepares each new connection and returns a channel without which the connection is of no use, or None.
    """

    def __init__(self, url: str, name: str, on_up: Callable[[AbstractConnection], Awaitable[AbstractChannel | None]]) -> None:
        urls = [URL(one) for one in with_each_host(url)]
        named = {"name": f"clarion {name}"}
        self._urls = [one.update_query({"heartbeat": str(_HEARTBEAT_S), **one.query, **named}) for one in urls]
        random.shuffle(self._urls)
        self._name = name
        self._on_up = on_up
        self._up = asyncio.Event()
        self._dropped = asyncio.Event()
        self._closed = asyncio.Event()
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
            async with asyncio.timeout(wait_s):
                await self._up.wait()

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
        """Replaces the connection, which was found to be dead. Does nothing when it is not the current one."""
        if self._connection is connection:
            self._dropped.set()

    async def close(self) -> None:
        """Closes the connection and does not open it again."""
        self._closed.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        failures = 0
        turns = itertools.cycle(self._urls)
        # Asked as well as cancelled, since the client library may take a cancellation for its own, and then finish connecting.
        while not self._closed.is_set():
            connection: AbstractConnection | None = None
            try:
                with closed_is_an_error():
                    lost = asyncio.Event()
                    opening = Connection(next(turns))
                    opening.close_callbacks.add(lambda *_, lost=lost: lost.set())
                    async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                        await opening.connect()
                    connection = opening
                    vital = await self._on_up(connection)
                if self._closed.is_set():
                    break
                failures = 0
                await self._stay_up(connection, lost, vital)
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
            # the pause grows when all hosts have failed once more
            await asyncio.sleep(pause_s(failures // len(self._urls)))

    async def _stay_up(self, connection: AbstractConnection, lost: asyncio.Event, vital: AbstractChannel | None) -> None:
        self._connection = connection
        self._dropped.clear()
        self._up.set()
        log.info("broker connected", extra={"connection": self._name})
        await first_of(lost.wait(), self._dropped.wait(), *([vital.closed()] if vital else []))


@contextmanager
def closed_is_an_error() -> Iterator[None]:
    """Turns the cancellation that aio-pika throws at callers whose connection it closes into a ConnectionResetError.

    Taken for one of ours it would end the caller's task without a trace. And the other way round: a cancellation of ours that got lost
    inside is raised here. aiormq uses `asyncio.wait_for`, which before Python 3.12 drops one that arrives together with the answer
    (github.com/python/cpython/issues/86296), so that a task that is cancelled once would go on for ever.
    """
    before = cancellations()
    try:
        yield
    except asyncio.CancelledError:
        if cancellations():
            raise
        raise ConnectionResetError("the broker connection was closed") from None
    except Exception as error:
        if cancellations() > before:
            raise asyncio.CancelledError from error
        raise
    if cancellations() > before:
        raise asyncio.CancelledError


async def open_channel(connection: AbstractConnection, *, publisher_confirms: bool = False) -> AbstractChannel:
    """A channel. With confirms, publishing what the broker can't route raises."""
    channel = connection.channel(publisher_confirms=publisher_confirms, on_return_raises=publisher_confirms)
    async with asyncio.timeout(REPLY_TIMEOUT_S):
        await channel.initialize()
    return channel


async def close_quietly(resource: AbstractConnection | AbstractChannel) -> None:
    """Closes what may be half broken. What goes wrong then says nothing new: it is closed either way."""
    with suppress(*CLIENT_ERRORS), closed_is_an_error():
        async with asyncio.timeout(REPLY_TIMEOUT_S):
            await resource.close()


class QuestionChannel:
    """The channel over which RabbitMQ is asked things, one at a time; apart from others, since the answer "no such queue" closes it.

    It is kept for as long as its connection lives: what aio-pika (10.2, with aiormq 7.2) notes at a connection about each of its channels
    stays there when the channel is closed, some 5 kB, which was 15 MB in 20 minutes of health checks and gauges.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None

    @asynccontextmanager
    async def turn(self, connection: AbstractConnection) -> AsyncIterator[AbstractChannel]:
        """The channel, for one question. One whose question failed is not used again: its answer may still come."""
        async with self._turn:
            channel = self._channel
            if channel is None or channel.is_closed or self._connection is not connection:
                channel = await open_channel(connection)
                self._connection, self._channel = connection, channel
            try:
                yield channel
            except BaseException:
                self._channel = None
                await close_quietly(channel)
                raise


async def first_of(*waiting: Awaitable[object]) -> None:
    """Returns when one of them is done, and cancels the others."""
    tasks = [asyncio.ensure_future(one) for one in waiting]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def pause_s(failures: int) -> float:
    """Seconds until the next try, at random, so that the processes of a fleet do not come back all at the same moment."""
    longest = min(_PAUSE_MAX_S, _PAUSE_MIN_S * 2.0 ** min(failures, 10))
    return random.uniform(longest / 2, longest)  # noqa: S311  spreads load, guards nothing
