"""A second and a third try of a call that takes unusually long, beside the first (Dean and Barroso, The Tail at Scale, CACM 2013).

gRPC's core has no hedging (gRFC A6 is not implemented there). Which replica serves a try is the balancer's choice, so a call that hangs
on one replica is answered by another.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from clarion.options.v1 import options_pb2
from mesh.errors import Code, ServiceError
from mesh.process import telemetry
from mesh.rpc.methods import Method

_TRIES = 3
_SAMPLES = 200
# Before there are that many, the delay is a part of the deadline.
_ENOUGH = 20
_PART_OF_DEADLINE = 0.1
_LEAST_S = 0.05
_LOOK_EVERY = 10
# A call earns a part of a hedge: when everything has become slow, hedging must not double the load.
_EARNED, _MOST_SAVED = 0.05, 20.0
# Answers that another try may better
_WORTH_WAITING = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED})

_HEDGES = telemetry.meter().create_counter("clarion.rpc.client.hedges", "1", "Further tries of reads that took longer than their p99.")

T = TypeVar("T")


def may_hedge(method: Method) -> bool:
    """Whether it is a call between our own services that may be made twice: cheap, and the same at once as one after the other."""
    return method.idempotent and not method.server_streaming and method.access == options_pb2.ACCESS_INTERNAL


class Hedge:
    """The hedging of one method on one channel."""

    def __init__(self, method: Method, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._name = method.full_name[1:]
        self._clock = clock
        self._taken: deque[float] = deque(maxlen=_SAMPLES)
        self._since_look = 0
        self._saved = _MOST_SAVED
        self._delay_s = max(_LEAST_S, method.deadline_s * _PART_OF_DEADLINE)

    @property
    def delay_s(self) -> float:
        """How long a try is alone: the 99th percentile of what the tries that were answered took, and at least 50 ms."""
        return self._delay_s

    async def call(self, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The first answer of up to three tries. Raises what the last of them raised; the others are cancelled."""
        self._saved = min(_MOST_SAVED, self._saved + _EARNED)
        began: dict[asyncio.Task[T], float] = {}
        tries: set[asyncio.Task[T]] = set()
        started = 0
        try:
            while True:
                if started < _TRIES and (not started or self._spend()):
                    task = asyncio.create_task(attempt())
                    # one that fails at the moment at which another is taken, or at which the caller gives up, is no one's to report
                    task.add_done_callback(_worth_waiting)
                    tries.add(task)
                    began[task] = self._clock()
                    started += 1
                timeout_s = self._delay_s * started if started < _TRIES and self._saved >= 1 else None
                done, tries = await asyncio.wait(tries, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
                best = next((task for task in done if not _worth_waiting(task)), None)
                if best is None and done and not tries:
                    best = done.pop()
                if best is not None:
                    result = best.result()
                    # without the time that went by before its turn: else each call that met a hung replica would put hedging off
                    self._note(self._clock() - began[best])
                    return result
        finally:
            for task in tries:
                task.cancel()

    def _spend(self) -> bool:
        if self._saved < 1:
            return False
        self._saved -= 1
        _HEDGES.add(1, {"method": self._name})
        return True

    def _note(self, seconds: float) -> None:
        self._taken.append(seconds)
        self._since_look += 1
        if len(self._taken) >= _ENOUGH and self._since_look >= _LOOK_EVERY:
            self._since_look = 0
            self._delay_s = max(_LEAST_S, sorted(self._taken)[int(len(self._taken) * 0.99)])


def _worth_waiting(task: "asyncio.Task[Any]") -> bool:
    """Whether another try may still give a better answer than this one."""
    error = None if task.cancelled() else task.exception()
    return isinstance(error, ServiceError) and error.code in _WORTH_WAITING
