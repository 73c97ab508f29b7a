"""How a process learns that a service is back: by its health, before any real call has to try.

A service that does not answer opens its breaker. From then on this asks for its health, at first after half a second, then with growing
pauses up to the breaker's longest; a connection that comes up ends a pause early. The answer SERVING closes the breaker.
"""

import asyncio

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2

from mesh.resilience.breaker import Breaker, BreakerChange, BreakerState

_FIRST_OPEN_S = 0.5
_CHECK_TIMEOUT_S = 1.0
# A service that answers NOT_SERVING is asked often, whatever its history: asking costs it nothing, and it may be back at any moment.
_NOT_SERVING_PAUSE_S = 1.0
# Between two looks that a connection has caused: one that is made and lost again must not make this a tight loop.
_LEAST_PAUSE_S = 0.1


class Recovery:
    """The breaker of one service and its way back to closed. `close` before the channel."""

    def __init__(self, name: str, channel: grpc.aio.Channel, *, failures: int, open_s: float) -> None:
        self.breaker = Breaker(name, failures=failures, open_s=open_s, first_open_s=_FIRST_OPEN_S, on_change=self._changed)
        self._channel = channel
        self._check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        self._task: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Ends the looks."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _changed(self, change: BreakerChange) -> None:
        if change.after is BreakerState.OPEN and self._task is None:
            self._task = asyncio.create_task(self._watch(), name=f"recovery-{change.name}")

    async def _watch(self) -> None:
        try:
            pause_s = self.breaker.retry_after_s
            while self.breaker.state is not BreakerState.CLOSED:
                await self._wait(max(_LEAST_PAUSE_S, pause_s))
                permit = self.breaker.begin_probe()
                answer = None
                if permit is not None:
                    answer = await self._ask()
                    if answer == health_pb2.HealthCheckResponse.SERVING:
                        self.breaker.record_success(permit)
                    else:
                        self.breaker.record_failure(permit)
                pause_s = self.breaker.retry_after_s if answer is None else min(_NOT_SERVING_PAUSE_S, self.breaker.retry_after_s)
        finally:
            self._task = None

    async def _ask(self) -> int | None:
        """The overall status; None when the service does not answer."""
        try:
            answer = await self._check(health_pb2.HealthCheckRequest(), timeout=_CHECK_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return None
        return int(answer.status)

    async def _wait(self, pause_s: float) -> None:
        """The pause, or less where a connection comes up in it."""
        await asyncio.sleep(_LEAST_PAUSE_S)
        state = self._channel.get_state(try_to_connect=True)
        try:
            async with asyncio.timeout(max(0.0, pause_s - _LEAST_PAUSE_S)):
                while True:
                    await self._channel.wait_for_state_change(state)
                    state = self._channel.get_state(try_to_connect=True)
                    if state is grpc.ChannelConnectivity.READY:
                        return
        except TimeoutError:
            return
