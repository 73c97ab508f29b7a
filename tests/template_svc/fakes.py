"""The in-memory stand-ins for PostgreSQL and for the render processes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from mesh.context import FIRST_PROJECT
from mesh.errors import ServiceError
from mesh.etag import check_etag
from template_svc.canaries.models import Canary, Share
from template_svc.canaries.models import State as CanaryState
from template_svc.contents import check_draft
from template_svc.errors import (
    CanaryRunning,
    NothingPublished,
    PublicationScheduled,
    PublishedMeanwhile,
    RenderTooSlow,
    ScheduleOver,
    TemplateArchived,
    VersionArchived,
    VersionInUse,
    VersionNotFound,
)
from template_svc.messages import content_to_bytes, variables_from_bytes
from template_svc.models import (
    NO_MARK,
    Channel,
    Checked,
    Content,
    Mark,
    NewTemplate,
    NewVersion,
    Partial,
    PartialKey,
    PartialUse,
    Person,
    Publication,
    Rendered,
    RenderJob,
    StoredVersion,
    Template,
    TemplateChange,
    TemplateKey,
    TemplateSummary,
    TemplateVersion,
    VersionDraft,
    VersionKey,
)
from template_svc.processes.cpu_limit import CpuLimit, LimitExceeded
from template_svc.reader import Reader, reader_of
from template_svc.renderer import CompiledContent, Renderer
from template_svc.schedules.models import WAITS_FOR, DuePlan, NewPlan, Plan, PlanFilters, PlanKey, State
from template_svc.scheduling import Lane, Outcome
from tests.template_svc.factories import START


class LimitedRenderer(Renderer):
    """A renderer with a quarter of a second of processor time: nothing but an endless template needs that."""

    def __init__(self, limit: CpuLimit, limit_s: float = 0.25) -> None:
        super().__init__()
        self._limit, self._limit_s = limit, limit_s

    def render(self, compiled: CompiledContent, variables: dict[str, Any], place: str, reader: Reader) -> Content:
        """Raises what a render process answers."""
        try:
            return self._limit.run(self._limit_s, super().render, compiled, variables, place, reader)
        except LimitExceeded:
            raise RenderTooSlow.at(place, None, "takes too much processor time with these values") from None


class InlineProcesses:
    """Implements `scheduling.Processes` in this process. `asked` holds the lanes and the jobs of each call."""

    def __init__(self, renderer: LimitedRenderer) -> None:
        self._renderer = renderer
        self.asked: list[tuple[Lane, int]] = []

    async def render(self, jobs: Sequence[RenderJob], lane: Lane) -> list[Outcome]:
        """As slow as it says for whoever is stopped, and quick for all others."""
        self.asked.append((lane, len(jobs)))
        return [self._render(job) for job in jobs]

    async def check(self, draft: VersionDraft) -> Checked:
        return check_draft(draft, self._renderer)

    def _render(self, job: RenderJob) -> Outcome:
        try:
            compiled = self._renderer.compile(job.source, job.channel, job.key.locale)
            reader = reader_of(job.formats, job.timezone, START)
            content = self._renderer.render(compiled, variables_from_bytes(job.variables), f"contents.{job.key.locale}", reader)
        except ServiceError as error:
            return Outcome(error, stopped=isinstance(error, RenderTooSlow))
        return Outcome(Rendered(content_to_bytes(content), job.key.locale, job.key.version, job.chain))


class MemoryPartials:
    """Implements `partial_use_cases.PartialStore`, without uses."""

    def __init__(self) -> None:
        self._partials: dict[PartialKey, Partial] = {}

    async def put(self, key: PartialKey, source: str, now: datetime) -> Partial:
        known = self._partials.get(key)
        if known is None or known.source != source:
            self._partials[key] = Partial(key.name, source, known.revision + 1 if known else 1, now)
        return self._partials[key]

    async def find(self, project: str, names: Collection[str]) -> Mapping[str, Partial]:
        return {key.name: partial for key, partial in self._partials.items() if key.project == project and key.name in names}

    async def list(self, project: str, after: str | None, limit: int) -> Sequence[Partial]:
        found = [
            partial for key, partial in sorted(self._partials.items()) if key.project == project and (after is None or key.name > after)
        ]
        return found[:limit]

    async def delete(self, key: PartialKey, now: datetime) -> bool:
        return self._partials.pop(key, None) is not None

    async def uses(self, key: PartialKey, *, below: int | None, limit: int) -> Sequence[PartialUse]:
        return []


class MemoryPeople:
    """Implements `people.use_cases.People`: Ada, by either of her ids."""

    async def find(self, project: str, reference: str) -> Person | None:
        known = project == FIRST_PROJECT and reference in {"01890000-0000-7000-8000-000000000001", "crm-17"}
        return Person("pt-BR", "Europe/Lisbon", "Ada", {"plan": "gold", "name": "not this one"}) if known else None


class MemoryPlans:
    """Implements `schedules.use_cases.PlanStore` for templates in memory. `clock` stands in for the database's."""

    def __init__(self, templates: "MemoryTemplates", clock: Callable[[], datetime]) -> None:
        self._templates = templates
        self._clock = clock
        self._plans: dict[PlanKey, Plan] = {}
        self._last_publications: dict[PlanKey, int] = {}

    async def now(self) -> datetime:
        return self._clock()

    async def add(self, new: NewPlan) -> Plan | None:
        template = await self._templates.find(new.version.of)
        if template is None:
            return None
        self._templates.check_publishable(new.version)
        if new.previous_version and new.previous_version != template.published_version:
            raise PublishedMeanwhile(template.published_version)
        replaced = self._plans[PlanKey(new.key.project, new.replaces)] if new.replaces is not None else None
        if replaced is not None:
            if replaced.state is not State.PLANNED:
                raise ScheduleOver(replaced.state)
            self._end(replaced, state=State.REPLACED, ended_by=new.mark.by)
        for plan in self._plans.values():
            if plan.version.of == new.version.of and plan.state is State.PLANNED:
                raise PublicationScheduled(template.name, str(plan.key.id))
        place = (new.key, new.version, new.publish_at, template.published_version, new.mark)
        self._plans[new.key] = Plan(*place, State.PLANNED, self._clock(), len(self._plans) + 1)
        return self._plans[new.key]

    async def find(self, key: PlanKey) -> Plan | None:
        return self._plans.get(key)

    async def list(self, filters: PlanFilters, before: int | None, limit: int) -> Sequence[Plan]:
        found = [
            plan
            for key, plan in self._plans.items()
            if key.project == filters.project
            and filters.template in {None, plan.version.template}
            and filters.state in {None, plan.state}
            and (before is None or plan.seq < before)
        ]
        return sorted(found, key=lambda plan: -plan.seq)[:limit]

    async def failed(self, project: str, limit: int) -> Sequence[Plan]:
        last = {plan.version.of: plan for plan in self._plans.values() if plan.key.project == project}
        found = [plan for plan in last.values() if plan.state is State.FAILED and await self._waits(plan)]
        return sorted(found, key=lambda plan: -plan.seq)[:limit]

    async def _waits(self, plan: Plan) -> bool:
        template, ended = await self._templates.find(plan.version.of), plan.end_time
        assert ended is not None
        if template is None or template.archive_time is not None or ended <= self._clock() - WAITS_FOR:
            return False
        return await self._last_publication(plan) == self._last_publications[plan.key]

    async def _last_publication(self, plan: Plan) -> int:
        return next((each.id for each in await self._templates.list_publications(plan.version.of, None, 1)), 0)

    async def cancel(self, key: PlanKey, by: str) -> Plan | None:
        plan = self._plans.get(key)
        if plan is not None and plan.state is State.PLANNED:
            self._end(plan, state=State.CANCELLED, ended_by=by)
        return self._plans.get(key)

    async def due(self, limit: int) -> Sequence[DuePlan]:
        found = [plan for plan in self._plans.values() if plan.state is State.PLANNED and plan.publish_at <= self._clock()]
        return [DuePlan(plan.key, plan.version.of) for plan in sorted(found, key=lambda plan: plan.publish_at)][:limit]

    async def carry_out(self, due: DuePlan) -> Plan | None:
        plan = self._plans[due.key]
        if plan.state is not State.PLANNED:
            return None
        template = await self._templates.find(due.template)
        assert template is not None
        try:
            if template.published_version not in {plan.previous_version, plan.version.version}:
                self._templates.check_publishable(plan.version)
                raise PublishedMeanwhile(template.published_version)
            await self._templates.publish(plan.version, self._clock(), plan.mark, plan=plan.key.id)
        except ServiceError as error:
            self._last_publications[plan.key] = await self._last_publication(plan)
            self._end(plan, state=State.FAILED, reason=error.reason, description=error.message)
        else:
            self._end(plan, state=State.PUBLISHED)
        return self._plans[due.key]

    def _end(self, plan: Plan, **changes: Any) -> None:
        self._plans[plan.key] = replace(plan, end_time=self._clock(), **changes)


class MemoryCanaries:
    """Implements `canaries.use_cases.CanaryStore` for templates in memory, without the ends that publishing makes."""

    def __init__(self, templates: "MemoryTemplates", clock: Callable[[], datetime]) -> None:
        self._templates = templates
        self._clock = clock
        self._canaries: dict[TemplateKey, Canary] = {}

    async def start(self, key: VersionKey, share: Share, mark: Mark) -> Canary | None:
        template = await self._templates.find(key.of)
        if template is None:
            return None
        self._templates.check_publishable(key)
        if not template.published_version:
            raise NothingPublished(key.template)
        if template.published_version == key.version:
            raise VersionInUse(key.version)
        known = self._canaries.get(key.of)
        if known is None or known.state is not CanaryState.RUNNING:
            known = Canary(key, share, mark, template.published_version, CanaryState.RUNNING, self._clock())
        if known.version != key:
            raise CanaryRunning(key.template, known.version.version)
        self._canaries[key.of] = replace(known, share=share)
        return self._canaries[key.of]

    async def find(self, key: TemplateKey) -> Canary | None:
        return self._canaries.get(key)

    async def stop(self, key: TemplateKey, by: str) -> Canary | None:
        known = self._canaries.get(key)
        if known is not None and known.state is CanaryState.RUNNING:
            self._canaries[key] = replace(known, state=CanaryState.STOPPED, end_time=self._clock(), ended_by=by)
        return self._canaries.get(key)


class MemoryTemplates:
    """Implements `use_cases.TemplateStore` and `archiving.use_cases.ArchiveStore`. `loads` counts the questions that `load` answered."""

    def __init__(self) -> None:
        self._templates: dict[TemplateKey, Template] = {}
        self._versions: dict[VersionKey, TemplateVersion] = {}
        self._numbers: dict[TemplateKey, int] = {}
        self._history: dict[TemplateKey, list[Publication]] = {}
        self.loads = 0

    async def insert(self, new: NewTemplate, now: datetime) -> Template | None:
        key = TemplateKey(new.project, new.name)
        if key in self._templates:
            return None
        known = (new.project, new.name, new.channel, new.category, new.description, new.mandatory, new.on_unknown, new.default_locale)
        self._templates[key] = Template(*known, 0, 0, now, now)
        return self._templates[key]

    async def find(self, key: TemplateKey) -> Template | None:
        return self._templates.get(key)

    async def list(
        self, project: str, channel: Channel | None, after: str | None, limit: int, *, archived: bool = False
    ) -> Sequence[Template]:
        keys = [key for key in sorted(self._templates) if key.project == project and (after is None or key.name > after)]
        found = [self._templates[key] for key in keys if archived or self._templates[key].archive_time is None]
        return [template for template in found if channel in {None, template.channel}][:limit]

    async def change(self, key: TemplateKey, change: TemplateChange, now: datetime, *, etag: str = "") -> Template | None:
        present = self._templates.get(key)
        if present is None:
            return None
        self._check_in_use(key)
        check_etag(etag, present.etag, done=change.is_made_on(present))
        if values := change.changed(present):
            self._templates[key] = replace(present, **values, update_time=now)
        return self._templates[key]

    async def delete(self, key: TemplateKey, now: datetime) -> bool:
        self._versions = {known: version for known, version in self._versions.items() if known.of != key}
        self._history.pop(key, None)
        return self._templates.pop(key, None) is not None

    async def add_version(
        self, template: Template, new: NewVersion, publish: bool, now: datetime, mark: Mark = NO_MARK, *, instead_of: int = 0
    ) -> TemplateVersion | None:
        current = self._templates.get(template.key)
        if current is None or current.create_time != template.create_time:
            return None
        self._check_in_use(template.key)
        if publish and instead_of and current.published_version != instead_of:
            raise PublishedMeanwhile(current.published_version)
        number = self._numbers[template.key] = self._numbers.get(template.key, 0) + 1
        published = number if publish else current.published_version
        self._templates[template.key] = replace(current, latest_version=number, published_version=published, update_time=now)
        key = VersionKey(*template.key, number)
        parts = {each.name: getattr(new, each.name) for each in fields(new)}
        place: dict[str, Any] = {"project": key.project, "template": key.template, "version": number}
        if publish:
            self._record(key, current.published_version, now, mark)
        self._versions[key] = TemplateVersion(**parts, **place, published=publish, create_time=now, created_by=mark.by, note=mark.note)
        return self._versions[key]

    async def find_version(self, key: VersionKey) -> TemplateVersion | None:
        version = self._versions.get(key)
        return version and replace(version, published=self._templates[key.of].published_version == key.version)

    async def list_versions(self, key: TemplateKey, before: int | None, limit: int, *, archived: bool = False) -> Sequence[TemplateVersion]:
        known = [each for each, version in self._versions.items() if each.of == key and (archived or version.archive_time is None)]
        keys = sorted((version for version in known if before is None or version.version < before), reverse=True)
        found = [await self.find_version(key) for key in keys[:limit]]
        return [version for version in found if version is not None]

    def _record(self, key: VersionKey, before: int, now: datetime, mark: Mark, plan: UUID | None = None) -> None:
        history = self._history.setdefault(key.of, [])
        history.insert(0, Publication(len(history) + 1, key.version, now, mark, before, plan))

    async def list_publications(self, key: TemplateKey, before: int | None, limit: int) -> Sequence[Publication]:
        return [one for one in self._history.get(key, []) if before is None or one.id < before][:limit]

    async def publish(
        self, key: VersionKey, now: datetime, mark: Mark = NO_MARK, *, instead_of: int = 0, plan: UUID | None = None
    ) -> Template | None:
        if key not in self._versions:
            return None
        before = self._templates[key.of].published_version
        self.check_publishable(key)
        if instead_of and before not in {instead_of, key.version}:
            raise PublishedMeanwhile(before)
        if before != key.version:
            self._record(key, before, now, mark, plan)
        self._templates[key.of] = replace(self._templates[key.of], published_version=key.version, update_time=now)
        return self._templates[key.of]

    def check_publishable(self, key: VersionKey) -> None:
        """Raises what forbids that a version comes into use."""
        self._check_in_use(key.of)
        if key not in self._versions:
            raise VersionNotFound(key.template, key.version)
        if self._versions[key].archive_time is not None:
            raise VersionArchived(key.template, key.version)

    def _check_in_use(self, key: TemplateKey) -> None:
        if self._templates[key].archive_time is not None:
            raise TemplateArchived(key.name)

    async def archive(self, key: TemplateKey, now: datetime, by: str) -> Template | None:
        template = self._templates.get(key)
        if template is not None and template.archive_time is None:
            template = self._templates[key] = replace(template, archive_time=now, archived_by=by, update_time=now)
        return template

    async def restore(self, key: TemplateKey, now: datetime) -> Template | None:
        template = self._templates.get(key)
        if template is not None and template.archive_time is not None:
            template = self._templates[key] = replace(template, archive_time=None, archived_by="", update_time=now)
        return template

    async def archive_version(self, key: VersionKey, now: datetime, by: str) -> TemplateVersion | None:
        version = await self.find_version(key)
        if version is not None and version.published:
            raise VersionInUse(key.version)
        if version is not None and version.archive_time is None:
            version = self._versions[key] = replace(version, archive_time=now, archived_by=by)
        return version

    async def restore_version(self, key: VersionKey) -> TemplateVersion | None:
        version = await self.find_version(key)
        if version is not None:
            version = self._versions[key] = replace(version, archive_time=None, archived_by="")
        return version

    async def load(self, keys: Sequence[VersionKey]) -> Mapping[VersionKey, StoredVersion]:
        self.loads += 1
        return {key: self._stored(self._versions[key]) for key in keys if key in self._versions}

    async def describe(self, keys: Sequence[TemplateKey]) -> Mapping[TemplateKey, TemplateSummary]:
        return {key: self._summary(self._templates[key]) for key in keys if key in self._templates}

    def _stored(self, version: TemplateVersion) -> StoredVersion:
        template = self._templates[TemplateKey(version.project, version.template)]
        contents = version.finished(template.default_locale)
        return StoredVersion(template.channel, template.default_locale, contents, version.required_variables, version.variables_schema)

    def _summary(self, template: Template) -> TemplateSummary:
        version = self._versions.get(VersionKey(*template.key, template.published_version))
        if version is None:
            return TemplateSummary(template.name, template)
        return TemplateSummary(template.name, template, version.required_variables, tuple(sorted(version.contents)))
