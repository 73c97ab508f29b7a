"""A limit on processor time for synchronous work in the main thread, kept by a timer of the kernel.

The signal's handler raises inside the work, so that even an endless loop ends, without a thread or a process to hand the work to: arming
and disarming cost half a microsecond together. Two things make that sound. The handler raises only while the work is running, which is
one block without an await. And the timer goes on ticking until the work is over, so that an exception which Python had to swallow (inside
a finaliser, say) is raised again. What it can't stop is one long call into C; whoever uses it has to bound those.
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
    """A context manager: it owns SIGVTALRM of the process for the length of its block. Use it in the main thread only."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._running = False
        self._previous: Any = None

    def __enter__(self) -> Self:
        self._previous = signal.signal(signal.SIGVTALRM, self._on_signal)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, self._previous)

    def run(self, work: Callable[..., T], *args: Any) -> T:
        """The result of `work(*args)`. Raises LimitExceeded when that took more processor time than the limit."""
        try:
            try:
                self._running = True
                # Virtual time is what this process computed: a machine busy with others stops nobody's rendering.
                signal.setitimer(signal.ITIMER_VIRTUAL, self._limit_s, self._limit_s / 4)
                return work(*args)
            finally:
                self._running = False
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        except _Stop:
            self._running = False
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            raise LimitExceeded from None

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._running:
            raise _Stop
