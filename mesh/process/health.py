"""Dependency checks into grpc.health.v1: overall, per service and per dependency (`dependency.<name>`)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from grpc_health.v1 import health_pb2

from mesh.process.health_service import HealthService

log = logging.getLogger(__name__)

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

# Answers SERVING as long as the event loop runs and what the process itself keeps going is not stuck, whatever is down: restarting a
# process doesn't bring its database back.
LIVENESS = "liveness"


@dataclass(frozen=True, slots=True)
class Check:
    """A dependency. `probe` raises when it is down; only a `required` one makes the process NOT_SERVING."""

    name: str
    probe: Callable[[], Awaitable[object]]
    required: bool = True


class HealthMonitor:
    """Probes every dependency each `interval_s` seconds and publishes what it finds. NOT_SERVING until the first round.

    `alive` returns whether the process is sound apart from its dependencies; when it is not, only a restart may help.
    """

    def __init__(
        self,
        checks: Iterable[Check],
        *,
        services: Iterable[str] = (),
        alive: Callable[[], bool] = lambda: True,
        interval_s: float = 2.0,
        timeout_s: float = 2.0,
    ) -> None:
        self.servicer = HealthService()
        self._checks = tuple(checks)
        self._services = ("", *services)
        self._alive = alive
        self._was_alive = True
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._up: dict[str, bool] = {}
        self._task: asyncio.Task[None] | None = None
        self._draining = False

    @property
    def ready(self) -> bool:
        """Whether the process wants traffic."""
        return not self._draining and all(self._up.get(check.name, False) for check in self._checks if check.required)

    @property
    def alive(self) -> bool:
        """Whether the process is sound."""
        return self._alive()

    def report(self) -> dict[str, bool]:
        """Each dependency and whether it was up at the last probe."""
        return {check.name: self._up.get(check.name, False) for check in self._checks}

    async def start(self) -> None:
        """Probes once, then goes on in the background."""
        for service in self._services:
            await self.servicer.set(service, NOT_SERVING)
        await self.probe()
        self._task = asyncio.create_task(self._run(), name="health")

    async def probe(self) -> None:
        """One round of probes."""
        await self._tell_liveness()
        results = await asyncio.gather(*(self._probe(check) for check in self._checks))
        for check, up in zip(self._checks, results, strict=True):
            if self._up.get(check.name) is not up:
                level = logging.INFO if up else logging.WARNING
                log.log(level, "dependency is %s", "up" if up else "down", extra={"dependency": check.name})
            self._up[check.name] = up
            await self.servicer.set(f"dependency.{check.name}", SERVING if up else NOT_SERVING)
        for service in self._services:
            await self.servicer.set(service, SERVING if self.ready else NOT_SERVING)

    async def drain(self) -> None:
        """NOT_SERVING for good: traffic is to go elsewhere."""
        self._draining = True
        await self._stop()
        await self.servicer.enter_graceful_shutdown()

    async def close(self) -> None:
        """Stops probing."""
        await self._stop()

    async def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            await self.probe()

    async def _tell_liveness(self) -> None:
        alive = self.alive
        if alive is not self._was_alive:
            log.log(logging.INFO if alive else logging.ERROR, "process is %s", "alive again" if alive else "stuck")
            self._was_alive = alive
        await self.servicer.set(LIVENESS, SERVING if alive else NOT_SERVING)

    async def _probe(self, check: Check) -> bool:
        try:
            async with asyncio.timeout(self._timeout_s):
                await check.probe()
        except Exception as error:  # noqa: BLE001  it is the answer to this row's sender
            log.debug("probe failed", extra={"dependency": check.name, "error": type(error).__name__})
            return False
        return True
