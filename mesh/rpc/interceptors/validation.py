"""The schema's field rules, before the handler."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mesh.rpc.calls import ServerCall
from mesh.rpc.validation import validate


class ValidationInterceptor:
    """Refuses a request that breaks its schema's rules."""

    @asynccontextmanager
    async def around(self, call: ServerCall) -> AsyncIterator[None]:
        """Raises InvalidArgument with every breach."""
        validate(call.request)
        yield
