"""The circuit breaker around outgoing calls, one per target."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from mesh.errors import Code, ServiceError
from mesh.resilience.breaker import Breaker
from mesh.rpc.calls import ClientCall
from mesh.rpc.status import Unanswered

# Answers that say that the target is broken inside; every other one, a caller's mistake above all, says that it works.
_BROKEN = frozenset({Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS})
# An UNAVAILABLE that took longer holds its caller up like no answer at all.
_QUICK_S = 1.0


class BreakerInterceptor:
    """Rejects at once while the breaker is open. It opens on a target that does not answer.

    A quick UNAVAILABLE with a retry hint is an answer: the target knows what it lacks (its database, say) and says when to ask again, and
    holding calls back would only add to its outage.
    """

    def __init__(self, breaker: Breaker, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._breaker = breaker
        self._clock = clock

    @asynccontextmanager
    async def around(self, call: ClientCall) -> AsyncIterator[None]:
        """Raises BreakerOpen, with the time until the next probe."""
        began = self._clock()

        def is_failure(error: Exception) -> bool:
            if not isinstance(error, ServiceError) or isinstance(error, Unanswered):
                return True
            if error.code is Code.DEADLINE_EXCEEDED:
                # a caller in a hurry proves nothing: only a call that had the method's whole time counts
                return call.timeout_s is not None and call.timeout_s >= call.method.deadline_s
            if error.code is Code.UNAVAILABLE:
                return error.retry_after_s is None or self._clock() - began > _QUICK_S
            return error.code in _BROKEN

        async with self._breaker.guard(is_failure=is_failure):
            yield
