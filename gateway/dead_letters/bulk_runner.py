"""Works jobs off in the background: each by one replica, under a lease, at its rate."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

from gateway.dead_letters.bulk_models import Claimed, Step
from gateway.dead_letters.use_cases import Publisher
from mesh.errors import ServiceError
from mesh.ids import new_uuid
from mesh.resilience.periodic import Periodic

log = logging.getLogger(__name__)

_MOST_JOBS = 8  # at a time in this process
_TICK_S = 0.1
_PAUSE_S = 1.0


class JobQueue(Protocol):
    """The jobs that run."""

    async def claim(self, owner: UUID, *, most: int, lease_s: float) -> Sequence[Claimed]:
        """Takes operations that no replica works on."""

    async def renew(self, job: Claimed, owner: UUID, *, lease_s: float) -> bool:
        """Keeps a job; False when it is another replica's by now, or has ended."""

    async def release(self, job: Claimed, owner: UUID) -> None:
        """Leaves an operation to the next replica."""

    async def step(self, job: Claimed, owner: UUID, *, most: int, lease_s: float, dispatch_lease_s: float) -> Step:
        """Decides the job's next letters in one transaction."""


class BulkRunner:
    """`start` begins, `close` finishes the step in hand and leaves the rest to another replica.

    While `ready` says no (the broker is away) jobs wait, so that they don't pile up what would go out all at once later.
    """

    def __init__(
        self,
        queue: JobQueue,
        publisher: Publisher,
        ready: Callable[[], bool],
        *,
        dispatch_lease_s: float,
        lease_s: float = 10.0,
        poll_s: float = 2.0,
    ) -> None:
        self._queue = queue
        self._publisher = publisher
        self._ready = ready
        self._dispatch_lease_s = dispatch_lease_s
        self._lease_s = lease_s
        self._owner = new_uuid()
        self._closing = asyncio.Event()
        self._poller = Periodic("dead-letter-jobs", self._poll, interval_s=poll_s)
        self._working: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begins to look for jobs."""
        self._poller.start()

    def wake(self) -> None:
        """There is a new job: looks at once."""
        self._poller.wake()

    async def close(self) -> None:
        """Ends it."""
        self._closing.set()
        await self._poller.close()
        if self._working:
            await asyncio.wait(self._working)

    async def _poll(self) -> None:
        for job in await self._queue.claim(self._owner, most=_MOST_JOBS - len(self._working), lease_s=self._lease_s):
            task = asyncio.create_task(self._work_off(job), name=f"dead-letter-job-{job.id}")
            self._working.add(task)
            task.add_done_callback(self._working.discard)

    async def _work_off(self, job: Claimed) -> None:
        most = max(1, int(job.rate_per_s * _TICK_S))
        tick_s = most / job.rate_per_s
        clock = asyncio.get_running_loop().time
        due = clock()
        more = True
        while more and not self._closing.is_set():
            # behind its time it goes on at once, but does not run to catch up
            due = max(due + tick_s, clock())
            more = await self._step(job, most)
            if more:
                await _wait(self._closing, due - clock())
        if more:
            await self._leave(job)

    async def _step(self, job: Claimed, most: int) -> bool:
        """Whether more is left for this process. What can't be done now is tried again."""
        try:
            if not self._ready():
                await _wait(self._closing, _PAUSE_S)
                return await self._queue.renew(job, self._owner, lease_s=self._lease_s)
            step = await self._queue.step(job, self._owner, most=most, lease_s=self._lease_s, dispatch_lease_s=self._dispatch_lease_s)
        except ServiceError as error:
            log.warning("a step of a job failed; trying again", extra={"job": str(job.id), "reason": error.reason})
        except Exception:
            log.exception("a step of a job failed; trying again", extra={"job": str(job.id)})
        else:
            if step.jobs:
                self._publisher.offer(list(step.jobs))
            return step.more
        await _wait(self._closing, _PAUSE_S)
        return True

    async def _leave(self, job: Claimed) -> None:
        try:
            await self._queue.release(job, self._owner)
        except ServiceError as error:
            log.warning("a job stays ours until its lease is over", extra={"job": str(job.id), "reason": error.reason})


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, timeout_s)):
            await event.wait()
    except TimeoutError:
        return
