"""Erasing a project, as a saga over the gateway, user_svc and template_svc: each person by a saga of their own, then what no one is behind.

What is left are ids: notifications, timelines and changes hold nothing personal once their person is erased, and go in their time. A sweep
looks again once no process can believe a credential of the project any more, for what was written meanwhile.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from gateway.sagas.erasure import OpenSagas, Sagas
from gateway.sagas.errors import MoreToErase, StillErasing
from gateway.sagas.models import Kind
from mesh.context import FIRST_PROJECT, Caller
from mesh.sagas.state import Definition, Saga, SagaState, Step

# A step has 15 s: people are erased for so long at a time, so many side by side.
_TURN_S = 8.0
# One who takes longer is erased meanwhile all the same, and is looked for again.
_EACH_S = 2.0
_SIDE_BY_SIDE = 8


class Projects(Protocol):
    """user_svc. Every method may be repeated, and raises ServiceError."""

    async def close_project(self, project: str) -> None:
        """Ends the way back. Raises NotFound, or FailedPrecondition for one that is in use."""

    async def list_people(self, project: str) -> Sequence[str]:
        """Ids of some who are left; none where no one is."""

    async def erase_project(self, project: str, asked_by: str) -> None:
        """Removes what is left."""


class Templates(Protocol):
    """template_svc. May be repeated, and raises ServiceError."""

    async def erase_project(self, project: str) -> None:
        """Removes templates, senders and files."""


class OwnRows(Protocol):
    """What the gateway keeps of a project beside what its people were sent."""

    async def delete_all(self, project: str) -> None:
        """Removes it."""


class ProjectErasure:
    """The steps. The saga's key is the project's id; it belongs to the project whose credentials look after all others.

    `sagas` gives the orchestrator, which is made with these steps. `endpoints` are where changes are posted to, with what was posted, and
    `jobs` those of dead letters, with their notes. `sweep` opens the saga that looks again.
    """

    def __init__(
        self,
        sagas: Callable[[], Sagas],
        projects: Projects,
        templates: Templates,
        *,
        endpoints: OwnRows,
        jobs: OwnRows,
        sweep: Callable[[Saga], Awaitable[None]],
    ) -> None:
        self._sagas = sagas
        self._projects = projects
        self._templates = templates
        self._endpoints = endpoints
        self._jobs = jobs
        self._sweep = sweep

    def definitions(self) -> tuple[Definition, Definition]:
        """Erasing a project, from the first step of which on there is no way back, and the sweep that follows."""
        steps = (
            Step("erase_people", self.erase_people),
            Step("erase_templates", self.erase_templates),
            Step("delete_endpoints", self.delete_endpoints),
            Step("delete_jobs", self.delete_jobs),
            Step("erase_project", self.erase_project),
        )
        erasure = (Step("close_project", self.close, pivot=True), *steps, Step("plan_sweep", self.plan_sweep))
        return Definition(Kind.PROJECT_ERASURE, erasure), Definition(Kind.PROJECT_ERASURE_SWEEP, steps)

    async def close(self, saga: Saga) -> None:
        await self._projects.close_project(saga.key)

    async def erase_people(self, saga: Saga) -> None:
        """Raises StillErasing while some can't be erased now, MoreToErase where others were, or where one turn is not enough for all."""
        until, erased, all_are = time.monotonic() + _TURN_S, 0, True
        while all_are and (left := await self._projects.list_people(saga.key)):
            for first in range(0, len(left), _SIDE_BY_SIDE):
                if (time_left := until - time.monotonic()) <= 0:
                    all_are = False
                    break
                some = left[first : first + _SIDE_BY_SIDE]
                ended = await asyncio.gather(*(self._erase(saga, person, min(time_left, _EACH_S)) for person in some))
                erased += sum(ended)
                # one who is waited for keeps no one else
                all_are = all_are and all(ended)
        if not all_are:
            raise MoreToErase if erased else StillErasing

    async def _erase(self, saga: Saga, person: str, timeout_s: float) -> bool:
        data = {"project": saga.key, "asked_by": saga.data.get("asked_by", "")}
        sagas = self._sagas()
        started = await sagas.start(Kind.ERASURE, person, data)
        if started.state is SagaState.SUSPENDED:
            # one from before: it belongs to the project, where there is no credential left that could resume it
            started = await sagas.resume(started)
        settled = await sagas.wait(started.id, timeout_s=timeout_s)
        return settled is not None and settled.state is SagaState.COMPLETED

    async def erase_templates(self, saga: Saga) -> None:
        await self._templates.erase_project(saga.key)

    async def delete_endpoints(self, saga: Saga) -> None:
        await self._endpoints.delete_all(saga.key)

    async def delete_jobs(self, saga: Saga) -> None:
        await self._jobs.delete_all(saga.key)

    async def erase_project(self, saga: Saga) -> None:
        """People first, since one who was added after their step would be waited for in vain."""
        await self.erase_people(saga)
        await self._projects.erase_project(saga.key, str(saga.data.get("asked_by", "")))

    async def plan_sweep(self, saga: Saga) -> None:
        await self._sweep(saga)


class ProjectErasures:
    """Erases projects on request."""

    def __init__(self, sagas: Sagas, store: OpenSagas, projects: Projects) -> None:
        self._sagas = sagas
        self._store = store
        self._projects = projects

    async def erase(self, caller: Caller, project: str, *, timeout_s: float) -> Saga:
        """The saga that erases the project, once it is over or suspended, or as it is when the time is up.

        While one is open, asking again answers that one, and lets it go on when it was suspended. Raises what closing the project raises.
        """
        saga = await self._store.find_open(Kind.PROJECT_ERASURE, project)
        if saga is None:
            await self._projects.close_project(project)
            saga = await self._sagas.start(Kind.PROJECT_ERASURE, project, {"project": FIRST_PROJECT, "asked_by": caller.label})
        elif saga.state is SagaState.SUSPENDED:
            saga = await self._sagas.resume(saga)
        return await self._sagas.wait(saga.id, timeout_s=timeout_s) or saga
