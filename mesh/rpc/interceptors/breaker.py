"""The circuit breaker around outgoing calls, one per target."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mesh.errors import Code, ServiceError
from mesh.resilience.breaker import Breaker
from mesh.rpc.calls import ClientCall

# answers that say the target is ill; every other one, a caller's mistake above all, says that it works
_FAILURES = {Code.UNAVAILABLE, Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS}


class BreakerInterceptor:
    """Rejects at once while the breaker is open."""

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker

    @asynccontextmanager
    async def around(self, call: ClientCall) -> AsyncIterator[None]:
        """Raises BreakerOpen, with the time until the next probe."""

        def is_failure(error: Exception) -> bool:
            if not isinstance(error, ServiceError):
                return True
            if error.code is Code.DEADLINE_EXCEEDED:
                # a caller in a hurry proves nothing: only a call that had the method's whole time counts
                return call.timeout_s is not None and call.timeout_s >= call.method.deadline_s
            return error.code in _FAILURES

        async with self._breaker.guard(is_failure=is_failure):
            yield
