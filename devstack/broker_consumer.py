"""The consumers of the in-process broker."""

import asyncio
import contextvars
from collections.abc import Mapping
from typing import Protocol

from mesh.bus.broker import Message, MessageHandler, handle_message


class Delivering(Protocol):
    """What a consumer needs of its broker. A token stands for one delivery of a message."""

    @property
    def connected(self) -> bool: ...

    def deliver(self, name: str) -> None: ...

    def settle(self, name: str, token: object, *, ack: bool, requeue: bool) -> None: ...

    def holds(self, name: str, token: object) -> bool: ...

    def forget(self, subscription: "MemorySubscription") -> None: ...


class MemorySubscription:
    """See mesh.bus.broker.Subscription."""

    def __init__(self, broker: Delivering, queue: str, handler: MessageHandler, prefetch: int) -> None:
        self._broker = broker
        self._queue = queue
        self._handler = handler
        self._prefetch = prefetch
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def queue(self) -> str:
        """The queue's name."""
        return self._queue

    @property
    def consuming(self) -> bool:
        """Whether the broker delivers to it now."""
        return self._broker.connected and not self._stopping

    @property
    def healthy(self) -> bool:
        """Always true: nothing can get lost on the way."""
        return True

    @property
    def in_flight(self) -> int:
        """Messages that are being handled."""
        return len(self._tasks)

    @property
    def has_room(self) -> bool:
        """Whether it takes another message."""
        return not self._stopping and len(self._tasks) < self._prefetch

    async def stop(self, *, timeout_s: float) -> None:
        """See Subscription."""
        self._stopping = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._broker.forget(self)

    def take(self, body: bytes, headers: Mapping[str, object], delivery_count: int, token: object, *, kind: str = "") -> None:
        """Starts to handle a message; `token` stands for it in `settle`."""

        async def settle(ack: bool, requeue: bool) -> None:
            # Settled from a task that counts as in flight: the room that it leaves is offered when the task ends.
            await asyncio.sleep(0)
            self._broker.settle(self._queue, token, ack=ack, requeue=requeue)

        message = Message(
            body,
            dict(headers),
            queue=self._queue,
            redelivered=delivery_count > 0,
            delivery_count=delivery_count,
            settle=settle,
            kind=kind,
            is_lost=lambda: not self._broker.holds(self._queue, token),
        )
        # a context of its own: on a real bus nothing of the publisher's call reaches the consumer but the message
        handling = handle_message(self._handler, message)
        task = asyncio.create_task(handling, name=f"handle-{self._queue}", context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._handled)

    def _handled(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._broker.deliver(self._queue)
