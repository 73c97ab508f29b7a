"""A limit on processor time for synchronous work in the main thread, kept by two timers of the kernel.

The first timer's signal raises inside the work, so that even an endless loop ends, and goes on ticking until the work is over, so that an
exception which Python had to swallow (inside a finaliser, say) is raised again. One long call into C sees no exception; the second timer
ends the process, which is why the work belongs into one of its own. Arming and disarming cost a microsecond together.
"""

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")


class LimitExceeded(Exception):
    """The work used up its processor time and was stopped."""


class _Stop(BaseException):
    """Raised inside the work. Not an Exception, because code in between may catch those and go on."""


class CpuLimit:
    """A context manager: it owns SIGVTALRM and SIGPROF of the process for the length of its block. Use it in the main thread only.

    Work that goes on for `kill_factor` times its limit ends the process with SIGPROF; with 0 nothing does.
    """

    def __init__(self, kill_factor: float = 0.0) -> None:
        self._kill_factor = kill_factor
        self._running = False
        self._previous: list[Any] = []

    def __enter__(self) -> Self:
        self._previous = [signal.signal(signal.SIGVTALRM, self._on_signal), signal.signal(signal.SIGPROF, signal.SIG_DFL)]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._disarm()
        signal.signal(signal.SIGVTALRM, self._previous[0])
        signal.signal(signal.SIGPROF, self._previous[1])

    def run(self, limit_s: float, work: Callable[..., T], *args: Any) -> T:
        """The result of `work(*args)`. Raises LimitExceeded when that took more processor time than `limit_s`."""
        try:
            try:
                self._running = True
                # The timers count what this process computes: a machine that is busy with others stops no rendering.
                signal.setitimer(signal.ITIMER_VIRTUAL, limit_s, limit_s / 4)
                if self._kill_factor:
                    signal.setitimer(signal.ITIMER_PROF, limit_s * self._kill_factor)
                return work(*args)
            finally:
                self._running = False
                self._disarm()
        except _Stop:
            self._running = False
            self._disarm()
            raise LimitExceeded from None

    def _disarm(self) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._running:
            raise _Stop
