"""The consumer of one queue on RabbitMQ: a channel of its own, opened again after every loss, with a watchdog."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity

from mesh.bus.broker import Message, MessageHandler, handle_message
from mesh.bus.rabbitmq_link import CLIENT_ERRORS, REPLY_TIMEOUT_S, close_quietly, closed_is_an_error, first_of, open_channel
from mesh.errors import ServiceError

log = logging.getLogger(__name__)

_REOPEN_PAUSE_S = 0.2


class Connecting(Protocol):
    """What a subscription needs of the link."""

    @property
    def connected(self) -> bool: ...

    async def connection(self) -> AbstractConnection: ...

    def drop(self, connection: AbstractConnection) -> None: ...


class RabbitMQSubscription:
    """See mesh.bus.broker.Subscription. `start` begins it."""

    def __init__(
        self,
        queue: str,
        handler: MessageHandler,
        *,
        prefetch: int,
        link: Connecting,
        depth: Callable[[], Awaitable[int]],
        redeclare: Callable[[AbstractConnection], Awaitable[None]],
        stalled_after_s: float,
    ) -> None:
        self._queue = queue
        self._handler = handler
        self._prefetch = prefetch
        self._link = link
        self._depth = depth
        self._redeclare = redeclare
        self._stalled_after_s = stalled_after_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._run_task: asyncio.Task[None] | None = None
        self._watch_task: asyncio.Task[None] | None = None
        self._consuming = False
        self._stalled = False
        self._abandoning = False
        self._stopping = asyncio.Event()
        self._idle = asyncio.Event()
        self._reopen = asyncio.Event()
        self._last_sign_of_life = 0.0
        self._idle.set()

    @property
    def queue(self) -> str:
        """The queue's name."""
        return self._queue

    @property
    def consuming(self) -> bool:
        """Whether the broker delivers to it now."""
        return self._consuming

    @property
    def healthy(self) -> bool:
        """See Subscription."""
        running = self._run_task is not None and not self._run_task.done()
        return (running or self._stopping.is_set()) and not self._stalled

    @property
    def in_flight(self) -> int:
        """Messages that are being handled."""
        return len(self._tasks)

    @property
    def stopped(self) -> bool:
        """True after `stop`."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Begins to consume as soon as there is a connection."""
        self._run_task = asyncio.create_task(self._run(), name=f"consume-{self._queue}")
        self._watch_task = asyncio.create_task(self._watch(), name=f"watch-{self._queue}")

    async def stop(self, *, timeout_s: float) -> None:
        """See Subscription."""
        self._stopping.set()
        if self._run_task is None or self._watch_task is None:
            return
        self._watch_task.cancel()
        if not self._consuming:
            # It waits for a connection that may never come.
            self._run_task.cancel()
        await asyncio.wait({self._run_task, *self._tasks}, timeout=timeout_s)
        self._abandoning = True
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(self._run_task, self._watch_task, *self._tasks, return_exceptions=True)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            connection = await self._link.connection()
            try:
                with closed_is_an_error():
                    await self._consume(connection)
            except ChannelNotFoundEntity:
                log.warning("queue is missing: declaring the topology anew", extra={"queue": self._queue})
                with suppress(*CLIENT_ERRORS), closed_is_an_error():
                    await self._redeclare(connection)
            except CLIENT_ERRORS as error:
                log.warning("consumer could not be opened", extra={"queue": self._queue, "error": type(error).__name__})
            if not self._stopping.is_set():
                log.warning("consumer lost: opening it again", extra={"queue": self._queue})
                await asyncio.sleep(_REOPEN_PAUSE_S)

    async def _consume(self, connection: AbstractConnection) -> None:
        channel = await open_channel(connection)
        cancelled = asyncio.Event()
        # aio-pika's plain channel does not report that the broker has cancelled a consumer; the one below it does
        (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(lambda _: cancelled.set())
        try:
            await channel.set_qos(prefetch_count=self._prefetch, timeout=REPLY_TIMEOUT_S)
            queue = await channel.get_queue(self._queue, ensure=False)
            tag = await queue.consume(self._deliver, timeout=REPLY_TIMEOUT_S)
            self._reopen.clear()
            self._touch()
            self._consuming = True
            await first_of(channel.closed(), cancelled.wait(), self._reopen.wait(), self._stopping.wait())
            if self._reopen.is_set():
                # it is unknown what died; a new connection replaces everything that may have
                self._link.drop(connection)
            if self._stopping.is_set() and not channel.is_closed:
                await queue.cancel(tag, timeout=REPLY_TIMEOUT_S)
                # Acknowledgements go over this channel, so it outlives what is in flight; `stop` bounds the wait.
                await self._idle.wait()
        finally:
            self._consuming = False
            await close_quietly(channel)

    async def _deliver(self, delivered: AbstractIncomingMessage) -> None:
        # A task of our own: aio-pika cancels those that it started when the channel goes, in the middle of a delivery to a person.
        self._touch()
        self._stalled = False
        if self._abandoning:
            return
        handling = handle_message(self._handler, _message(self._queue, delivered))
        task = asyncio.create_task(handling, name=f"handle-{self._queue}")
        self._tasks.add(task)
        self._idle.clear()
        task.add_done_callback(self._handled)

    def _handled(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._touch()
        if not self._tasks:
            self._idle.set()

    def _touch(self) -> None:
        self._last_sign_of_life = asyncio.get_running_loop().time()

    async def _watch(self) -> None:
        """Consumers of this protocol have stopped unnoticed before; only the queue's depth distinguishes that from a quiet hour."""
        while not self._stopping.is_set():
            await asyncio.sleep(self._stalled_after_s / 4)
            self._stalled = await self._look()
            if self._stalled and self._consuming:
                log.error("consumer is stalled: connecting anew", extra={"queue": self._queue})
                self._reopen.set()

    async def _look(self) -> bool:
        if not self._link.connected or self.in_flight >= self._prefetch:
            self._touch()
            return False
        if asyncio.get_running_loop().time() - self._last_sign_of_life < self._stalled_after_s:
            return self._stalled
        if not self._consuming:
            return True
        try:
            return await self._depth() > 0
        except ServiceError:
            return self._stalled


def _message(queue: str, delivered: AbstractIncomingMessage) -> Message:
    channel = delivered.channel
    count = delivered.headers.get("x-delivery-count", 0)

    async def settle(ack: bool, requeue: bool) -> None:
        if channel.is_closed:
            return
        try:
            if ack:
                await delivered.ack()
            else:
                await delivered.reject(requeue=requeue)
        except CLIENT_ERRORS as error:
            log.info("settling failed: the broker will redeliver the message", extra={"queue": queue, "error": type(error).__name__})

    return Message(
        delivered.body,
        delivered.headers,
        queue=queue,
        redelivered=bool(delivered.redelivered),
        delivery_count=count if isinstance(count, int) else 0,
        settle=settle,
        is_lost=lambda: channel.is_closed,
        kind=delivered.type or "",
    )
