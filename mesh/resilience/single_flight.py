"""Many callers, one call: who asks for what is being asked already waits for that answer."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Calls `ask` once per key at a time. Every caller gets its result or its error; one that is cancelled cancels no other."""

    def __init__(self, ask: Callable[[K], Awaitable[V]]) -> None:
        self._ask = ask
        self._flying: dict[K, asyncio.Future[V]] = {}

    async def __call__(self, key: K) -> V:
        """The answer for `key`. The call runs outside of every caller's context: the first one's deadline is not the others'."""
        flight = self._flying.get(key)
        if flight is None:
            flight = asyncio.create_task(self._run(key), context=contextvars.Context())
            self._flying[key] = flight
            flight.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(flight)

    async def _run(self, key: K) -> V:
        return await self._ask(key)

    def _landed(self, key: K, done: "asyncio.Future[V]") -> None:
        del self._flying[key]
        if not done.cancelled():
            done.exception()  # looked at, so that an error that all callers have left is not reported as unhandled
