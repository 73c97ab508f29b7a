"""How the process itself fares: how late its event loop is and how many tasks it has. The rest comes with prometheus_client."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from opentelemetry.metrics import CallbackOptions, Observation

from mesh.process import telemetry

_EVERY_S = 0.25
_LAG = telemetry.meter().create_histogram(
    "clarion.loop.lag", "s", "How much later than asked a timer of the event loop ran: what all calls of the process wait for one of them."
)


@contextmanager
def observed() -> Iterator[None]:
    """Measures the running event loop until the end of the block."""
    loop = asyncio.get_running_loop()

    def tasks(_options: CallbackOptions) -> Iterable[Observation]:
        return [] if loop.is_closed() else [Observation(len(asyncio.all_tasks(loop)))]

    telemetry.meter().create_observable_gauge("clarion.loop.tasks", [tasks], "1", "Tasks of the event loop.")
    ticks = _Ticks(loop)
    try:
        yield
    finally:
        ticks.timer.cancel()


class _Ticks:
    """A timer that records how late it ran, and sets itself again."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due = loop.time() + _EVERY_S
        self.timer = loop.call_at(self._due, self._run)

    def _run(self) -> None:
        now = self._loop.time()
        _LAG.record(max(0.0, now - self._due))
        self._due = now + _EVERY_S
        self.timer = self._loop.call_at(self._due, self._run)
