"""Deadlines that shrink at each hop. grpc.aio propagates none by itself (grpc.io/docs/guides/deadlines: Java and Go do)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mesh import context
from mesh.errors import DeadlineExceeded
from mesh.rpc.calls import ClientCall, ServerCall


class DeadlineInterceptor:
    """Ends a handler whose time is over: the caller's deadline or the method's own, whichever is earlier."""

    @asynccontextmanager
    async def around(self, call: ServerCall) -> AsyncIterator[None]:
        """Raises DeadlineExceeded."""
        deadline = call.context.deadline
        if deadline is None:
            yield
            return
        timeout = asyncio.timeout(deadline.remaining_s())
        try:
            async with timeout:
                yield
        except TimeoutError:
            if not timeout.expired():
                raise
            raise DeadlineExceeded("the deadline passed before the call was done") from None


class ClientDeadlineInterceptor:
    """Gives an outgoing call the least of its own time-out, the method's default and what is left of the call being served."""

    @asynccontextmanager
    async def around(self, call: ClientCall) -> AsyncIterator[None]:
        """Raises DeadlineExceeded when no time is left."""
        limits = [limit for limit in (call.timeout_s, call.method.deadline_s or None) if limit is not None]
        served = context.current_or_none()
        if served is not None and served.deadline is not None:
            limits.append(served.deadline.remaining_s())
        if limits:
            call.timeout_s = min(limits)
            if call.timeout_s <= 0:
                raise DeadlineExceeded("the deadline passed before the call was made")
        yield
