"""A span and a duration per call, on both sides of the wire (OpenTelemetry RPC conventions)."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from opentelemetry import trace
from opentelemetry.trace import SpanKind

from mesh.errors import Code, ServiceError
from mesh.process import telemetry
from mesh.rpc.calls import ClientCall, ServerCall

_SERVER_DURATION = telemetry.meter().create_histogram("clarion.rpc.server.duration", "s", "Time from a call's arrival to its answer.")
_CLIENT_DURATION = telemetry.meter().create_histogram("clarion.rpc.client.duration", "s", "Time from a call's start to its answer.")


def _code_of(error: BaseException) -> Code:
    if isinstance(error, ServiceError):
        return error.code
    return Code.CANCELLED if isinstance(error, asyncio.CancelledError | GeneratorExit) else Code.INTERNAL


class TelemetryInterceptor:
    """Continues the caller's trace and measures the call."""

    @asynccontextmanager
    async def around(self, call: ServerCall) -> AsyncIterator[None]:
        """A SERVER span named after the method."""
        begun = time.perf_counter()
        code = Code.OK
        name = call.method.full_name[1:]
        try:
            with telemetry.span(name, SpanKind.SERVER, call.metadata) as span:
                if span.is_recording():
                    span.set_attribute("rpc.system", "grpc")
                    span.set_attribute("clarion.correlation_id", call.context.correlation_id)
                yield
        except BaseException as error:
            code = _code_of(error)
            raise
        finally:
            _SERVER_DURATION.record(time.perf_counter() - begun, {"method": name, "code": code.name})


class ClientTelemetryInterceptor:
    """Carries the trace and the correlation id to the callee and measures the call."""

    @asynccontextmanager
    async def around(self, call: ClientCall) -> AsyncIterator[None]:
        """A CLIENT span named after the method."""
        begun = time.perf_counter()
        code = Code.OK
        name = call.method.full_name[1:]
        try:
            with telemetry.span(name, SpanKind.CLIENT):
                if trace.get_current_span().get_span_context().is_valid:
                    telemetry.inject(call.metadata)
                yield
        except BaseException as error:
            code = _code_of(error)
            raise
        finally:
            _CLIENT_DURATION.record(time.perf_counter() - begun, {"method": name, "code": code.name, "target": call.target})
