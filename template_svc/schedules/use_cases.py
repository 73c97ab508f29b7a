"""What can be done with scheduled publications, and carrying them out.

One clock decides: that of the database, which all replicas share. A plan names the version that it takes the place of, so that it undoes
nothing that was published after it was made; one that can't be carried out stays, with its reason.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from mesh.errors import InvalidArgument
from mesh.ids import new_uuid
from mesh.ids import parse as parse_id
from mesh.resilience.periodic import Periodic
from mesh.rpc.paging import Cursor, Page, page_size
from template_svc.errors import ScheduleNotFound, ScheduleOver, TemplateNotFound
from template_svc.models import Mark, VersionKey
from template_svc.schedules.models import DuePlan, NewPlan, Plan, PlanFilters, PlanKey, State

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0
_MOST_AT_ONCE = 50
_MOST_FAILED = 10

_PLANS = Cursor("scheduled-publications", int)


class PlanStore(Protocol):
    """Where plans live, beside the versions that they are about."""

    async def now(self) -> datetime:
        """The clock that decides."""
        ...

    async def add(self, new: NewPlan) -> Plan | None:
        """None where there is no such template. Raises VersionNotFound, VersionArchived, SenderMissing, TemplateArchived,
        PublishedMeanwhile, PublicationScheduled where another plan waits, and ScheduleOver where the plan that it replaces does not wait.
        """
        ...

    async def find(self, key: PlanKey) -> Plan | None: ...

    async def list(self, filters: PlanFilters, before: int | None, limit: int) -> Sequence[Plan]:
        """Those with a lower seq than `before`, the last made first."""
        ...

    async def failed(self, project: str, limit: int) -> Sequence[Plan]:
        """Those that failed within the last week and wait for a decision: of templates in use, of which no version was published and no
        plan made since. The last made first.
        """
        ...

    async def cancel(self, key: PlanKey, by: str) -> Plan | None:
        """The plan afterwards, whatever its state; None when there is none."""
        ...

    async def due(self, limit: int) -> Sequence[DuePlan]:
        """Those that wait and whose time has come, the oldest first."""
        ...

    async def carry_out(self, due: DuePlan) -> Plan | None:
        """Publishes, or keeps why it can't be, in one transaction; None where another replica did so."""
        ...


class CompleteVersions(Protocol):
    """The rules of publishing."""

    async def check_publishable(self, key: VersionKey) -> None:
        """Raises TemplateNotFound, VersionNotFound, IncompleteLocale."""
        ...


class Schedules:
    """Plans, lists and cancels."""

    def __init__(self, store: PlanStore, versions: CompleteVersions) -> None:
        self._store = store
        self._versions = versions

    async def schedule(self, key: VersionKey, publish_at: datetime, mark: Mark, *, previous_version: int, replaces: str) -> Plan:
        """Raises InvalidArgument for a time that is past, ScheduleNotFound for a plan to replace that there is not, and what
        `PlanStore.add` and a publication raise.
        """
        await self._versions.check_publishable(key)
        now = await self._store.now()
        if publish_at <= now:
            way_out = f"POST /v1/templates/{key.template}/versions/{key.version}:publish publishes at once"
            raise InvalidArgument.of("publish_at", f"must be in the future; {way_out}")
        replaced = await self._replaced(key, replaces) if replaces else None
        plan = await self._store.add(NewPlan(PlanKey(key.project, new_uuid()), key, publish_at, mark, previous_version, replaced))
        if plan is None:
            raise TemplateNotFound(key.template)
        return plan

    async def get(self, project: str, identifier: str) -> Plan:
        """Raises ScheduleNotFound."""
        parsed = parse_id(identifier)
        plan = await self._store.find(PlanKey(project, parsed)) if parsed is not None else None
        if plan is None:
            raise ScheduleNotFound
        return plan

    async def list(self, filters: PlanFilters, size: int, token: str) -> Page[Plan]:
        """Those that were made last first. Raises InvalidArgument for a token that does not fit."""
        given = {"project": filters.project, "template": filters.template or "", "state": filters.state or ""}
        position = _PLANS.position(token, given)
        size = page_size(size)
        plans = await self._store.list(filters, int(str(position[0])) if position else None, size + 1)
        return _PLANS.page([((plan.seq,), plan) for plan in plans], size, given)

    async def failed(self, project: str) -> Sequence[Plan]:
        """Those that wait for a decision (`PlanStore.failed`), the last made first; at most ten."""
        return await self._store.failed(project, _MOST_FAILED)

    async def cancel(self, project: str, identifier: str, by: str) -> Plan:
        """Raises ScheduleNotFound, ScheduleOver."""
        found = await self.get(project, identifier)
        plan = await self._store.cancel(found.key, by)
        if plan is None:
            raise ScheduleNotFound
        if plan.state is not State.CANCELLED:
            raise ScheduleOver(plan.state)
        return plan

    async def _replaced(self, key: VersionKey, identifier: str) -> UUID:
        plan = await self.get(key.project, identifier)
        if plan.version.template != key.template:
            raise InvalidArgument.of("replaces", f"is a plan of the template {plan.version.template!r}")
        return plan.key.id


class Publisher:
    """Carries plans out when their time has come, between `start` and `close`. Any number of replicas may do so."""

    def __init__(self, store: PlanStore, *, interval_s: float = _LOOK_EVERY_S) -> None:
        self._store = store
        self._looking = Periodic("scheduled-publications", self.publish_due, interval_s=interval_s)

    def start(self) -> None:
        """Begins to look, at once: what came due while no replica ran is published now."""
        self._looking.start()

    async def close(self) -> None:
        """Ends it."""
        await self._looking.close()

    async def publish_due(self) -> None:
        """Carries out what is due by now."""
        for due in await self._store.due(_MOST_AT_ONCE):
            plan = await self._store.carry_out(due)
            if plan is None:
                continue
            about = {"template": plan.version.template, "version": plan.version.version, "schedule": str(plan.key.id)}
            if plan.state is State.PUBLISHED:
                log.info("published as scheduled", extra=about)
            else:
                log.warning("a scheduled publication could not be carried out", extra={**about, "reason": plan.reason})
