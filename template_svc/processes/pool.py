"""Render processes in stock: every lane has its own share of them, one more is ready to step in, and what ends is replaced."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import orjson

from mesh.errors import FieldViolation, ServiceError, Unavailable
from template_svc.errors import InvalidContents, OutputTooLarge, RenderCrashed, RenderTooSlow
from template_svc.models import Checked, ContentKey, Rendered, RenderJob, VersionDraft
from template_svc.processes.frames import CHECKED, REFUSED, RENDERED, Answer, check_request, parts_of, render_request, unpack_error
from template_svc.processes.process import MAX_COMPILED, Cause, Death, Limits, RenderProcess
from template_svc.processes.stock import Stock
from template_svc.scheduling import Lane, Outcome

log = logging.getLogger(__name__)

SPARES = 1
# Two fifths of what others get of a processor that all want. With 10 a bomb takes more than a second until its processor time is up, and
# authors wait for longer than their deadline on a machine that is very busy.
NICE = 4

T = TypeVar("T")


class ProcessPool:
    """Implements `scheduling.Processes` and `use_cases.Checker`. `shares` says how many processes each lane may have busy at once.

    Sends of proven contents have a stock of their own. What is unproven, and what authors try, is done by processes that stand back behind
    those wherever the machine is short of processor time, one more of which is ready to step in.
    """

    def __init__(self, limits: Limits, shares: Mapping[Lane, int]) -> None:
        sends = shares[Lane.SHARED]
        self._sends, self._trials = Stock(limits, sends), Stock(replace(limits, nice=NICE), sum(shares.values()) - sends + SPARES)
        self._lanes = {lane: asyncio.Semaphore(share) for lane, share in shares.items()}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Starts the first processes and, in the background, the others. First ones that do not start show in `ping`."""
        await asyncio.gather(self._sends.open(), self._trials.open())

    async def close(self) -> None:
        """Ends all processes and what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stock in (self._sends, self._trials):
            await stock.close()

    async def ping(self) -> None:
        """Raises Unavailable while no process is there that could render a send."""
        if not self._sends.running():
            raise Unavailable("no render process is running")

    async def render(self, jobs: Sequence[RenderJob], lane: Lane) -> list[Outcome]:
        """One outcome per job, in order. A job that ends its process costs the others a moment, and nothing else."""
        # A caller that leaves does not take along a process that is at work: it would have to be killed.
        return await asyncio.shield(self._spawn(self._render(jobs, lane)))

    async def check(self, draft: VersionDraft) -> Checked:
        """Raises InvalidContents."""
        request = check_request(draft)
        answers, death = await asyncio.shield(self._spawn(self._ask(request)))
        if death is not None and death.cause in {Cause.CRASH, Cause.SILENCE}:  # which may have been the machine's doing
            answers, death = await asyncio.shield(self._spawn(self._ask(request)))
        if death is not None:
            what = "are too large to compile" if death.cause is Cause.CPU else "can't be compiled"
            raise InvalidContents.because([FieldViolation("contents", f"{what}; simplify them, or split the template")])
        if answers[0].kind != CHECKED:
            raise _error_of(answers[0])
        return Checked(**orjson.loads(answers[0].payload))

    async def _ask(self, request: bytes) -> tuple[list[Answer], Death | None]:
        async with self._lanes[Lane.AUTHORING], self._trials.process(None) as process:
            return await process.ask(request, 1)

    async def _render(self, jobs: Sequence[RenderJob], lane: Lane) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        blamed: set[int] = set()
        idle_deaths = 0
        stock = self._sends if lane is Lane.SHARED else self._trials
        async with self._lanes[lane]:
            while len(outcomes) < len(jobs):
                chunk = _next_chunk(jobs, outcomes, blamed)
                asked = [jobs[index] for index in chunk]
                async with stock.process(asked[0].key) as process:
                    answers, death = await process.ask(_request(process, asked), len(asked))
                for index, answer in zip(chunk, answers, strict=False):
                    outcomes[index] = _outcome(jobs[index], answer)
                if death is not None and not death.begun and idle_deaths <= stock.size:
                    idle_deaths += 1  # it was on its way out, such as by the kernel's choice for want of memory
                elif death is not None:
                    culprit = chunk[death.index]
                    if culprit in blamed or death.cause in {Cause.CPU, Cause.OUTPUT}:
                        outcomes[culprit] = Outcome(_fault(jobs[culprit], death.cause), stopped=True)
                    blamed.add(culprit)
        return [outcomes[index] for index in range(len(jobs))]

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name="render")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _next_chunk(jobs: Sequence[RenderJob], outcomes: Mapping[int, Outcome], blamed: set[int]) -> list[int]:
    """The jobs to ask for next, as many as a process has room for the sources of.

    Who is suspected of having ended a process goes last and alone: it may have been the machine's doing.
    """
    chunk: list[int] = []
    room, keys = MAX_COMPILED, set[ContentKey]()
    for index, job in enumerate(jobs):
        if index in outcomes or index in blamed:
            continue
        if job.key not in keys:
            room -= job.source.size
            keys.add(job.key)
        if room < 0 and chunk:
            break
        chunk.append(index)
    return chunk or sorted(blamed - outcomes.keys())[:1]


def _request(process: RenderProcess, jobs: Sequence[RenderJob]) -> bytes:
    sources: dict[ContentKey, tuple[ContentKey, str, dict[str, Any]]] = {}
    forget: list[ContentKey] = []
    for job in {job.key: job for job in jobs}.values():
        if process.known.find(job.key) is None:
            forget += process.known.put(job.key, True, job.source.size)
            sources[job.key] = (job.key, job.channel.value, parts_of(job.source))
    forget = [key for key in forget if key not in process.known]
    return render_request(sources.values(), forget, [(job.key, job.variables, job.formats, job.timezone) for job in jobs])


def _outcome(job: RenderJob, answer: Answer) -> Outcome:
    if answer.kind == RENDERED:
        return Outcome(Rendered(answer.payload, job.key.locale, job.key.version, job.chain), answer.cpu_s)
    error = _error_of(answer)
    return Outcome(error, answer.cpu_s, stopped=isinstance(error, RenderTooSlow))


def _error_of(answer: Answer) -> ServiceError:
    try:
        if answer.kind == REFUSED:
            return unpack_error(answer.payload)
    except (ValueError, KeyError, TypeError):  # it was not our program that wrote this
        log.warning("a render process wrote nonsense")
    return RenderCrashed("the template broke the process that rendered it")


def _fault(job: RenderJob, cause: Cause) -> ServiceError:
    place = f"contents.{job.key.locale}"
    if cause is Cause.OUTPUT:
        return OutputTooLarge.at(place, None, "makes too much text with these values")
    if cause is Cause.CRASH:
        return RenderCrashed.at(place, None, "ended the process that rendered it with these values, and again when it was alone")
    return RenderTooSlow.at(place, None, "takes too much processor time with these values")
