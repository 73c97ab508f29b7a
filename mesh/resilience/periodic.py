"""Work that is done again and again in the background, whatever becomes of one run of it."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from mesh.cancellation import cancellations
from mesh.errors import ServiceError
from mesh.process import telemetry

log = logging.getLogger(__name__)

_FAILURES = telemetry.meter().create_counter("clarion.periodic.failures", "1", "Failed runs of periodic background work, by its name.")


class Periodic:
    """Runs `work` every `interval_s` seconds from `start` to `close`, one run at a time; `wake` brings the next run forward.

    Pauses vary by the part `jitter` in either direction, so that replicas that started together do not meet at the database each time
    (Floyd and Jacobson, The Synchronization of Periodic Routing Messages, 1994). A failed run is counted in `clarion.periodic.failures`
    and followed by a pause of `retry_s` that `wake` does not shorten: what has just failed is not called in a tight loop. A row of
    failures is logged at its 1st, 2nd, 4th, 8th ... and when it ends.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[object]],
        *,
        interval_s: float,
        retry_s: float | None = None,
        at_once: bool = True,
        jitter: float = 0.1,
        jitter_source: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.name = name
        self._work = work
        self._interval_s = interval_s
        self._retry_s = interval_s if retry_s is None else retry_s
        self._at_once = at_once
        self._jitter = jitter
        self._jitter_source = jitter_source
        self._awake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failures = 0

    @property
    def running(self) -> bool:
        """Whether it is between `start` and `close`."""
        return self._task is not None

    @property
    def failures(self) -> int:
        """Failed runs since the last one that went well."""
        return self._failures

    def start(self) -> None:
        """The first run begins at once, or after a pause where `at_once` is off."""
        self._task = asyncio.create_task(self._run(), name=self.name)

    def wake(self) -> None:
        """The next run follows as soon as the present one is done; does nothing else while one is under way."""
        self._awake.set()

    async def close(self) -> None:
        """Cancels a run that is under way and returns when it has ended."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        if not self._at_once:
            await self._pause(self._interval_s)
        while True:
            self._awake.clear()
            try:
                await self._work()
            except asyncio.CancelledError as error:
                if cancellations():
                    raise
                # a future that the work waited for was cancelled, not this loop
                self._failed(error)
            except Exception as error:  # noqa: BLE001  whatever it was, the next run is tried
                self._failed(error)
            else:
                self._succeeded()
            if self._failures:
                await asyncio.sleep(self._varied(self._retry_s))
            else:
                await self._pause(self._interval_s)

    async def _pause(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(self._varied(pause_s)):
                await self._awake.wait()
        except TimeoutError:
            return

    def _varied(self, pause_s: float) -> float:
        return pause_s * self._jitter_source(1 - self._jitter, 1 + self._jitter)

    def _failed(self, error: BaseException) -> None:
        self._failures += 1
        _FAILURES.add(1, {"work": self.name})
        if self._failures & (self._failures - 1):  # not a power of two
            return
        expected = isinstance(error, ServiceError)
        reason = error.reason if isinstance(error, ServiceError) else type(error).__name__
        log.log(
            logging.WARNING if expected else logging.ERROR,
            "periodic work failed; trying again",
            exc_info=None if expected else error,
            extra={"work": self.name, "reason": reason, "failures": self._failures},
        )

    def _succeeded(self) -> None:
        if self._failures:
            log.info("periodic work goes well again", extra={"work": self.name, "failures": self._failures})
            self._failures = 0
