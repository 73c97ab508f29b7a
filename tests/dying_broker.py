"""An in-process broker whose consumers can die in silence, which the real one's have been seen to do."""

from devstack.broker import MemoryBroker
from mesh.bus.broker import MessageHandler, Subscription


class _Dying:
    """A subscription that tells it is stuck once its broker is told so."""

    def __init__(self, inner: Subscription, broker: "DyingBroker") -> None:
        self._inner = inner
        self._broker = broker

    @property
    def queue(self) -> str:
        return self._inner.queue

    @property
    def consuming(self) -> bool:
        return self._inner.consuming

    @property
    def healthy(self) -> bool:
        return self._inner.healthy and self.queue != self._broker.dead

    @property
    def in_flight(self) -> int:
        return self._inner.in_flight

    async def stop(self, *, timeout_s: float) -> None:
        await self._inner.stop(timeout_s=timeout_s)


class DyingBroker(MemoryBroker):
    """`dead` names the queue whose consumers are stuck."""

    dead = ""

    async def consume(self, queue: str, handler: MessageHandler, *, prefetch: int) -> Subscription:
        return _Dying(await super().consume(queue, handler, prefetch=prefetch), self)
