"""Turns whatever a handler raises into a ServiceError that says enough and leaks nothing."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mesh.errors import Internal, ServiceError
from mesh.rpc.calls import ServerCall

log = logging.getLogger(__name__)


class ErrorInterceptor:
    """An unknown exception becomes a bare INTERNAL; its details are logged under the correlation id."""

    @asynccontextmanager
    async def around(self, call: ServerCall) -> AsyncIterator[None]:
        """Passes ServiceError and cancellation through."""
        try:
            yield
        except (ServiceError, asyncio.CancelledError, GeneratorExit):
            raise
        except Exception:
            log.exception("call failed unexpectedly", extra={"method": call.method.full_name})
            correlation_id = call.context.correlation_id
            raise Internal(f"internal error; quote correlation id {correlation_id}", metadata={"correlation_id": correlation_id}) from None
