"""grpc.health.v1 itself: the last known status of each service, for checks and watches."""

import asyncio
from collections import defaultdict
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_Status = health_pb2.HealthCheckResponse


class HealthService(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # the generated base has no types
    """The servicer. grpcio-health-checking's own for asyncio forgets every watcher of a service as soon as one of them leaves.

    The others then never hear of a change again: those that know it as NOT_SERVING stay away until their connection ends. Here each
    watcher has an event of its own.
    """

    def __init__(self) -> None:
        self._statuses: dict[str, int] = {}
        self._watchers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._final = False
        self._ended = False

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802  named by the schema
        """NOT_FOUND for a service that was never set."""
        status = self._statuses.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return _Status(status=status)

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802  named by the schema
        """The status now and each that differs from the one before; SERVICE_UNKNOWN for a service that was never set."""
        changed, sent = asyncio.Event(), -1
        watchers = self._watchers[request.service]
        watchers.add(changed)
        try:
            while not self._ended:
                changed.clear()
                status = self._statuses.get(request.service, _Status.SERVICE_UNKNOWN)
                if status != sent:
                    await context.write(_Status(status=status))
                    sent = status
                await changed.wait()
        finally:
            watchers.discard(changed)
            if not watchers:
                self._watchers.pop(request.service, None)

    def end_watches(self) -> None:
        """Ends every watch: an open one would hold up the server's stop for as long as it is allowed to take."""
        self._ended = True
        for watchers in self._watchers.values():
            for changed in watchers:
                changed.set()

    async def set(self, service: str, status: int) -> None:
        """From now on this is its status; ignored after enter_graceful_shutdown."""
        if not self._final:
            self._set(service, status)

    async def enter_graceful_shutdown(self) -> None:
        """NOT_SERVING for good."""
        self._final = True
        for service in tuple(self._statuses):
            self._set(service, _Status.NOT_SERVING)

    def _set(self, service: str, status: int) -> None:
        self._statuses[service] = status
        for changed in self._watchers.get(service, ()):
            changed.set()
