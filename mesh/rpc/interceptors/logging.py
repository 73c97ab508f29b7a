"""One line per call. Never the request: it may hold personal data."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mesh.errors import Code, ServiceError
from mesh.rpc.calls import ServerCall

log = logging.getLogger("clarion.access")

_OURS = {Code.UNAVAILABLE, Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS, Code.DEADLINE_EXCEEDED}


class LoggingInterceptor:
    """Logs method, status, duration and caller; failures of ours as warnings, refusals as information."""

    @asynccontextmanager
    async def around(self, call: ServerCall) -> AsyncIterator[None]:
        """Logs when the call is over, however it ends."""
        begun = time.perf_counter()
        code, reason = Code.OK, ""
        try:
            yield
        except ServiceError as error:
            code, reason = error.code, error.reason
            raise
        except asyncio.CancelledError:
            code = Code.CANCELLED
            raise
        except Exception:
            code = Code.INTERNAL
            raise
        finally:
            level = logging.WARNING if code in _OURS else logging.INFO
            if log.isEnabledFor(level):
                log.log(level, "call", extra=self._fields(call, code, reason, begun))

    @staticmethod
    def _fields(call: ServerCall, code: Code, reason: str, begun: float) -> dict[str, object]:
        fields: dict[str, object] = {
            "method": call.method.full_name,
            "code": code.name,
            "ms": round((time.perf_counter() - begun) * 1000, 2),
            "caller": f"{call.context.caller.kind}:{call.context.caller.id}",
            "correlation_id": call.context.correlation_id,
        }
        if reason:
            fields["reason"] = reason
        return fields
