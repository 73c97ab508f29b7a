"""The schema's field rules, before the handler."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mesh.calls import ServerCall
from mesh.validation import validate


class ValidationInterceptor:
    """Refuses a request that breaks its schema's rules."""

    @asynccontextmanager
    async def around(self, call: ServerCall) -> AsyncIterator[None]:
        """Raises InvalidArgument with every breach."""
        validate(call.request)
        yield
