"""A stock of render processes of one kind: started ahead, handed out one request at a time, replaced when they end."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from template_svc.models import ContentKey
from template_svc.processes.process import Limits, RenderProcess, StartFailed

log = logging.getLogger(__name__)

RESTART_PAUSE_S = 1.0


class Stock:
    """`size` processes, between `open` and `close`."""

    def __init__(self, limits: Limits, size: int) -> None:
        self._limits = limits
        self.size = size
        self.all: set[RenderProcess] = set()
        self.idle: list[RenderProcess] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._wanted = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Starts the first process and, in the background, the others. A first that does not start shows in `running`."""
        await self._start_one()
        self._wanted.set()
        self._keeper = asyncio.create_task(self._keep(), name="render-stock")

    async def close(self) -> None:
        """Ends all processes; what they worked on has to be over, or given up."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        for process in list(self.all):
            await asyncio.to_thread(process.close)
        self.all.clear()

    def running(self) -> bool:
        """Whether any process lives."""
        return any(process.running() for process in self.all)

    @asynccontextmanager
    async def process(self, key: ContentKey | None) -> AsyncIterator[RenderProcess]:
        """A process for one request: one that knows the content, else the one that was used last."""
        process = await self._take(key)
        try:
            yield process
        finally:
            if process.usable:
                self._put(process)
            else:
                await self._replace(process)

    async def _take(self, key: ContentKey | None) -> RenderProcess:
        while True:
            while not self.idle:
                arrival = asyncio.get_running_loop().create_future()
                self._waiting.append(arrival)
                await arrival
            process = next((idle for idle in reversed(self.idle) if key in idle.known), self.idle[-1])
            self.idle.remove(process)
            if process.running():
                return process
            await self._replace(process)

    def _put(self, process: RenderProcess) -> None:
        self.idle.append(process)
        for arrival in self._waiting:
            if not arrival.done():
                arrival.set_result(None)
        self._waiting.clear()

    async def _replace(self, process: RenderProcess) -> None:
        self.all.discard(process)
        self._wanted.set()
        await asyncio.to_thread(process.close)

    async def _keep(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while len(self.all) < self.size:
                if not await self._start_one():
                    await asyncio.sleep(RESTART_PAUSE_S)

    async def _start_one(self) -> bool:
        try:
            process = await RenderProcess.start(self._limits)
        except (StartFailed, OSError):
            log.exception("a render process did not start")
            return False
        self.all.add(process)
        self._put(process)
        return True
