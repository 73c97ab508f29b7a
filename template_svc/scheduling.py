"""Which rendering happens where: only contents that have proved quick share a process with other people's messages.

A new content is tried on one message apart from the others, and one that had to be stopped stays apart for a minute. What is rendered apart
may take longer than the batch can wait; then its item is held, which means that the caller asks again later, and meanwhile it is finished.
Nothing fails because of what others of its template did, and previews take nothing that sends need.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from enum import Enum, auto
from typing import NamedTuple, Protocol, TypeVar

from mesh.errors import ServiceError
from mesh.resilience.lru_cache import LruCache
from template_svc.errors import RenderHeld, TooManyPreviews
from template_svc.models import Checked, ContentKey, Rendered, RenderJob, VersionDraft

# Processor seconds below which a rendering is quick: 200 of them may share a process without harm.
QUICK_S = 0.04
SUSPECT_S = 60.0
# How long a batch waits for a new content, and for one that was stopped before.
PATIENCE_NEW_S = 2.0
PATIENCE_SUSPECT_S = 0.15
RETRY_S = 5.0
MAX_APART = 64
# Bytes of results that are kept for callers that will repeat the call.
MAX_LATE = 8_000_000
MAX_PLACES = 10_000
# With the limit on one rendering these take less than the deadline of a preview, one by one.
MAX_PER_CALLER = 6
MAX_AUTHORING = 100

T = TypeVar("T")


class Lane(Enum):
    """Each has render processes of its own."""

    SHARED = auto()
    APART = auto()
    AUTHORING = auto()


class Outcome(NamedTuple):
    """What came of one job, and the processor time that it took. `stopped`: it ended its process, or would not have ended."""

    result: Rendered | ServiceError
    cpu_s: float = 0.0
    stopped: bool = False


class Processes(Protocol):
    """Where jobs are carried out."""

    async def render(self, jobs: Sequence[RenderJob], lane: Lane) -> list[Outcome]:
        """One outcome per job, in order."""
        ...

    async def check(self, draft: VersionDraft) -> Checked:
        """Raises InvalidContents."""
        ...


class Standing:
    """What is known of contents: which have proved quick, and which were stopped within the last minute. `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._quick: LruCache[ContentKey, bool] = LruCache(MAX_PLACES, min_weight=1)
        self._suspects: LruCache[ContentKey, float] = LruCache(MAX_PLACES, min_weight=1)

    def quick(self, key: ContentKey) -> bool:
        """Whether it may share a process with others."""
        return self._quick.find(key) is not None

    def suspect(self, key: ContentKey) -> bool:
        """Whether it was stopped within the last minute."""
        until = self._suspects.find(key)
        return until is not None and self._clock() < until

    def learn(self, key: ContentKey, outcome: Outcome) -> None:
        """From the rendering of a send; previews prove nothing, neither good nor bad."""
        if outcome.stopped:
            self._quick.drop(key)
            self._suspects.put(key, self._clock() + SUSPECT_S, 1)
        elif outcome.cpu_s <= QUICK_S and not self.suspect(key) and not self.quick(key):
            self._quick.put(key, True, 1)


class Scheduler:
    """Renders sends in batches, and previews and checks one by one."""

    def __init__(self, processes: Processes, standing: Standing) -> None:
        self._processes = processes
        self._standing = standing
        self._apart: dict[bytes, asyncio.Task[Outcome]] = {}
        self._late: LruCache[bytes, Outcome] = LruCache(MAX_LATE)
        self._authoring: Counter[str] = Counter()
        self._turns: dict[str, asyncio.Lock] = {}

    async def render_batch(self, jobs: Sequence[RenderJob]) -> list[Rendered | ServiceError]:
        """One result per job, in order. RenderHeld for what is not finished yet."""
        if not self._late and all(self._standing.quick(key) for key in {job.key for job in jobs}):
            return [outcome.result for outcome in await self._shared(jobs)]
        results: list[Rendered | ServiceError | None] = [None] * len(jobs)
        groups: dict[ContentKey | None, list[int]] = {}
        for index, job in enumerate(jobs):
            late = self._late.drop(_digest(job)) if self._late else None
            if late is not None:
                results[index] = late.result
            else:
                groups.setdefault(None if self._standing.quick(job.key) else job.key, []).append(index)

        async def finish(indexes: Sequence[int], render: Callable[[Sequence[RenderJob]], Awaitable[Sequence[Outcome]]]) -> None:
            for index, outcome in zip(indexes, await render([jobs[index] for index in indexes]), strict=True):
                results[index] = outcome.result

        await asyncio.gather(*(finish(indexes, self._shared if key is None else self._unproven) for key, indexes in groups.items()))
        return [result for result in results if result is not None]

    async def preview(self, job: RenderJob, caller: str) -> Rendered:
        """Raises what a rendering raises, and TooManyPreviews. Leaves the content's standing alone."""
        outcome = (await self._author(caller, lambda: self._processes.render([job], Lane.AUTHORING)))[0]
        if isinstance(outcome.result, ServiceError):
            raise outcome.result
        return outcome.result

    async def check(self, draft: VersionDraft, caller: str) -> Checked:
        """Raises InvalidContents and TooManyPreviews."""
        return await self._author(caller, lambda: self._processes.check(draft))

    async def _shared(self, jobs: Sequence[RenderJob]) -> list[Outcome]:
        outcomes = await self._processes.render(jobs, Lane.SHARED)
        for job, outcome in zip(jobs, outcomes, strict=True):
            if outcome.stopped:
                self._standing.learn(job.key, outcome)
        return outcomes

    async def _unproven(self, jobs: Sequence[RenderJob]) -> list[Outcome]:
        """Jobs of one content: the first shows where the others belong."""
        key = jobs[0].key
        first = await self._alone(jobs[0], PATIENCE_SUSPECT_S if self._standing.suspect(key) else PATIENCE_NEW_S)
        if self._standing.quick(key) and len(jobs) > 1:
            return [first, *await self._shared(jobs[1:])]
        return [first, *await asyncio.gather(*(self._alone(job, PATIENCE_SUSPECT_S) for job in jobs[1:]))]

    async def _alone(self, job: RenderJob, patience_s: float) -> Outcome:
        digest = _digest(job)
        task = self._apart.get(digest)
        if task is None and len(self._apart) < MAX_APART:
            task = self._apart[digest] = asyncio.create_task(self._judge(digest, job), name="render-apart")
        if task is not None and (await asyncio.wait({task}, timeout=patience_s))[0]:
            self._late.drop(digest)
            return task.result()
        return Outcome(RenderHeld.at(f"contents.{job.key.locale}", RETRY_S))

    async def _judge(self, digest: bytes, job: RenderJob) -> Outcome:
        try:
            outcome = (await self._processes.render([job], Lane.APART))[0]
        finally:
            del self._apart[digest]
        self._standing.learn(job.key, outcome)
        self._late.put(digest, outcome, len(outcome.result.content) if isinstance(outcome.result, Rendered) else 0)
        return outcome

    async def _author(self, caller: str, work: Callable[[], Coroutine[None, None, T]]) -> T:
        if self._authoring[caller] >= MAX_PER_CALLER or self._authoring.total() >= MAX_AUTHORING:
            raise TooManyPreviews(
                f"at most {MAX_PER_CALLER} previews and new versions of a caller are worked on at once", retry_after_s=1.0
            )
        self._authoring[caller] += 1
        # The place is taken until the work is done: who leaves early and asks again gets no second one.
        task = asyncio.create_task(self._in_turn(caller, work), name="authoring")
        # a caller that left gets no answer, and its template's faults are no defect of ours to be logged
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    async def _in_turn(self, caller: str, work: Callable[[], Coroutine[None, None, T]]) -> T:
        """One at a time for each caller, so that everybody waits for at most one of every other caller's."""
        try:
            async with self._turns.setdefault(caller, asyncio.Lock()):
                return await work()
        finally:
            self._authoring[caller] -= 1
            if not self._authoring[caller]:
                del self._authoring[caller], self._turns[caller]


def _digest(job: RenderJob) -> bytes:
    return hashlib.sha256(repr((job.key, job.formats, job.timezone)).encode() + job.variables).digest()
