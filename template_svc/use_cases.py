"""What can be done with templates: author them, publish them, render them."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from mesh.context import current_or_none
from mesh.errors import FieldViolation, InvalidArgument, ServiceError
from mesh.json_schema import JsonSchema
from mesh.rpc.paging import Cursor, Page, page_size
from naming.account_mails import RESERVED
from naming.locales import UnknownLocale, canonical, check_locale
from template_svc import masking
from template_svc.built_in import VERSIONS, summary_of
from template_svc.catalogs import write_catalog
from template_svc.errors import IncompleteLocale, InvalidContents, NothingToPreview, TemplateExists, TemplateNotFound, VersionNotFound
from template_svc.library import Library, LoadedVersion, VersionStore
from template_svc.messages import variables_from_bytes, variables_to_bytes
from template_svc.models import (
    NO_MARK,
    Channel,
    Content,
    ContentKey,
    Finding,
    LocaleReport,
    Mark,
    NewTemplate,
    NewVersion,
    Person,
    Publication,
    Rendered,
    RenderJob,
    RenderRequest,
    Rules,
    StoredVersion,
    Template,
    TemplateChange,
    TemplateKey,
    TemplateSummary,
    TemplateVersion,
    TextSize,
    VersionDraft,
    VersionKey,
    messages_of,
)
from template_svc.partials.use_cases import PartialStore, partials_of
from template_svc.scheduling import Scheduler
from template_svc.senders.book import SenderBook
from template_svc.senders.errors import SenderUnknown
from template_svc.senders.models import NO_IDENTITIES, Identities, SenderKey

DEFAULT_LOCALE = "en"
DEFAULT_VERSIONS = 10

_TEMPLATES = Cursor("templates", str)
_VERSIONS = Cursor("versions", int)
_PUBLICATIONS = Cursor("publications", int)


def mark_of(note: str) -> Mark:
    """Who calls, and why."""
    return Mark(_caller(), note)


class TemplateStore(VersionStore, Protocol):
    """Where templates live. Deleted ones do not exist for any of these."""

    async def insert(self, new: NewTemplate, now: datetime) -> Template | None:
        """None when the name is taken."""
        ...

    async def find(self, key: TemplateKey) -> Template | None: ...

    async def list(
        self, project: str, channel: Channel | None, after: str | None, limit: int, *, archived: bool = False
    ) -> Sequence[Template]:
        """In the order of names, those after `after`; archived ones only where that is asked for."""
        ...

    async def change(self, key: TemplateKey, change: TemplateChange, now: datetime, *, etag: str = "") -> Template | None:
        """None when there is none. What has these values already stays as it is. Raises TemplateArchived, EtagMismatch."""
        ...

    async def delete(self, key: TemplateKey, now: datetime) -> bool:
        """False when there is none."""
        ...

    async def add_version(
        self, template: Template, new: NewVersion, publish: bool, now: datetime, mark: Mark = NO_MARK, *, instead_of: int = 0
    ) -> TemplateVersion | None:
        """Under the next number. None when the template was deleted meanwhile, made again or not. Raises TemplateArchived, and
        PublishedMeanwhile where it would be published and another version than `instead_of` is in use; nothing is added then.
        """
        ...

    async def find_version(self, key: VersionKey) -> TemplateVersion | None: ...

    async def list_versions(self, key: TemplateKey, before: int | None, limit: int, *, archived: bool = False) -> Sequence[TemplateVersion]:
        """Newest first, those below `before`; archived ones only where that is asked for."""
        ...

    async def list_publications(self, key: TemplateKey, before: int | None, limit: int) -> Sequence[Publication]:
        """Newest first, those with a lower id than `before`."""
        ...

    async def publish(self, key: VersionKey, now: datetime, mark: Mark = NO_MARK, *, instead_of: int = 0) -> Template | None:
        """None when there is no such version. Raises TemplateArchived, VersionArchived, SenderMissing, PublishedMeanwhile."""
        ...

    async def describe(self, keys: Sequence[TemplateKey]) -> Mapping[TemplateKey, TemplateSummary]:
        """Those of the templates that exist."""
        ...


class SenderNames(Protocol):
    """The senders of projects."""

    async def find(self, key: SenderKey) -> object | None:
        """None when there is none of that name."""
        ...


class Authoring:
    """Templates and versions as their authors see them. `clock` returns the time in UTC."""

    def __init__(
        self,
        store: TemplateStore,
        partials: PartialStore,
        library: Library,
        scheduler: Scheduler,
        clock: Callable[[], datetime],
        *,
        senders: SenderNames,
        rules: Rules | None = None,
    ) -> None:
        self._store = store
        self._partials = partials
        self._library = library
        self._scheduler = scheduler
        self._clock = clock
        self._senders = senders
        self._rules = rules or Rules()

    async def create_template(self, new: NewTemplate) -> Template:
        """`default_locale` may have any spelling here; empty means English. Raises TemplateExists, InvalidArgument."""
        if new.name.startswith(RESERVED):
            raise InvalidArgument.of(
                "name", f'must not begin with "{RESERVED}": such names are those of the mails that Clarion itself sends'
            )
        _check_description("description", new.description)
        template = await self._store.insert(replace(new, default_locale=_default_locale(new.default_locale)), self._clock())
        if template is None:
            taken = await self._store.find(TemplateKey(new.project, new.name))
            raise TemplateExists(new.name, archived=taken is not None and taken.archive_time is not None)
        return template

    async def get_template(self, key: TemplateKey) -> Template:
        """Raises TemplateNotFound."""
        template = await self._store.find(_safe(key))
        if template is None:
            raise TemplateNotFound(key.name)
        return template

    async def list_templates(
        self, project: str, channel: Channel | None, size: int, token: str, *, archived: bool = False
    ) -> Page[Template]:
        """In the order of names, `archived` ones too. Raises InvalidArgument for a token that does not fit."""
        filters = {"project": project, "channel": channel.value if channel else "", **_shown(archived=archived)}
        position = _TEMPLATES.position(token, filters)
        size = page_size(size)
        templates = await self._store.list(project, channel, str(position[0]) if position else None, size + 1, archived=archived)
        return _TEMPLATES.page([((template.name,), template) for template in templates], size, filters)

    async def update_template(self, key: TemplateKey, change: TemplateChange, *, etag: str = "") -> Template:
        """What was accepted before keeps what it was accepted with. Raises TemplateNotFound, TemplateArchived, EtagMismatch, and
        InvalidArgument.
        """
        _check_description("template.description", change.description or "")
        template = await self._store.change(_safe(key), change, self._clock(), etag=etag)
        if template is None:
            raise TemplateNotFound(key.name)
        return template

    async def delete_template(self, key: TemplateKey) -> None:
        """Raises TemplateNotFound."""
        if not await self._store.delete(_safe(key), self._clock()):
            raise TemplateNotFound(key.name)
        self._library.forget(key)

    async def create_version(
        self,
        key: TemplateKey,
        contents: Mapping[str, Content],
        publish: bool,
        catalogs: Mapping[str, str] | None = None,
        variables_schema: Mapping[str, Any] | None = None,
        *,
        mark: Mark = NO_MARK,
        instead_of: int = 0,
        sender: str = "",
    ) -> TemplateVersion:
        """`catalogs` are PO files by locale, `variables_schema` is a JSON Schema. Raises TemplateNotFound, InvalidContents for whatever can
        be known to be wrong, SenderUnknown, IncompleteLocale where such a version may not be published, TemplateArchived, and
        PublishedMeanwhile where another version than `instead_of` is in use.
        """
        template = await self.get_template(key)
        await self._check_sender(template, sender)
        draft = VersionDraft(template.channel, template.default_locale, contents, catalogs or {}, variables_schema or {})
        new = replace(await self._check(key.project, draft), sender=sender)
        self._refuse_findings(new)
        if publish:
            self._check_complete(new)
        version = await self._store.add_version(template, new, publish, self._clock(), mark, instead_of=instead_of)
        if version is None:
            raise TemplateNotFound(key.name)
        return version

    async def lint(self, project: str, draft: VersionDraft) -> NewVersion:
        """The version that a draft would make, whose `default_locale` may have any spelling. Raises InvalidContents, InvalidArgument."""
        return await self._check(project, draft._replace(default_locale=_default_locale(draft.default_locale)))

    async def draft(
        self, key: TemplateKey, contents: Mapping[str, Content], catalogs: Mapping[str, str], variables_schema: Mapping[str, Any]
    ) -> StoredVersion:
        """The version of a template that these would make, for a preview. Raises TemplateNotFound, InvalidContents."""
        template = await self.get_template(key)
        new = await self._check(key.project, VersionDraft(template.channel, template.default_locale, contents, catalogs, variables_schema))
        finished = new.finished(template.default_locale)
        return StoredVersion(template.channel, template.default_locale, finished, new.required_variables, new.variables_schema)

    async def rebuild(self, key: VersionKey, *, validate_only: bool) -> int:
        """See `partials.use_cases.Rebuilder`."""
        old = await self.get_version(key)
        catalogs = {locale: catalog["file"] for locale, catalog in old.catalogs.items()}
        if validate_only:
            template = await self.get_template(key.of)
            draft = VersionDraft(template.channel, template.default_locale, old.contents, catalogs, old.variables_schema)
            new = await self._check(key.project, draft)
            self._refuse_findings(new)
            self._check_complete(new)
            return 0
        mark = mark_of(f"rebuilt from version {key.version} with newer partials")
        new_version = await self.create_version(
            key.of, old.contents, True, catalogs, old.variables_schema, mark=mark, instead_of=key.version, sender=old.sender
        )
        return new_version.version

    async def get_version(self, key: VersionKey) -> TemplateVersion:
        """Raises TemplateNotFound or VersionNotFound."""
        version = await self._store.find_version(key) if "\0" not in key.template else None
        if version is None:
            raise await self._absent(key)
        return version

    async def list_versions(self, key: TemplateKey, size: int, token: str, *, archived: bool = False) -> Page[TemplateVersion]:
        """Newest first, `archived` ones too. Raises TemplateNotFound, and InvalidArgument for a token that does not fit."""
        filters = {"project": key.project, "template": key.name, **_shown(archived=archived)}
        position = _VERSIONS.position(token, filters)
        size = size or DEFAULT_VERSIONS
        await self.get_template(key)
        versions = await self._store.list_versions(key, int(str(position[0])) if position else None, size + 1, archived=archived)
        return _VERSIONS.page([((version.version,), version) for version in versions], size, filters)

    async def list_publications(self, key: TemplateKey, size: int, token: str) -> Page[Publication]:
        """What came into use, newest first. Raises TemplateNotFound, and InvalidArgument for a token that does not fit."""
        filters = {"project": key.project, "template": key.name}
        position = _PUBLICATIONS.position(token, filters)
        size = size or DEFAULT_VERSIONS
        await self.get_template(key)
        found = await self._store.list_publications(key, int(str(position[0])) if position else None, size + 1)
        return _PUBLICATIONS.page([((one.id,), one) for one in found], size, filters)

    async def publish_version(self, key: VersionKey, mark: Mark = NO_MARK, *, instead_of: int = 0) -> Template:
        """New notifications use it from now on. Raises TemplateNotFound, VersionNotFound, TemplateArchived, VersionArchived, SenderMissing,
        IncompleteLocale where that is asked for, or PublishedMeanwhile where another version than `instead_of` is in use.
        """
        if self._rules.complete_only:
            await self.check_publishable(key)
        template = await self._store.publish(key, self._clock(), mark, instead_of=instead_of) if "\0" not in key.template else None
        if template is None:
            raise await self._absent(key)
        return template

    async def check_publishable(self, key: VersionKey) -> None:
        """Raises TemplateNotFound, VersionNotFound, IncompleteLocale where that is asked for."""
        self._check_complete(await self.get_version(key))

    async def get_catalog(self, key: VersionKey, tag: str) -> tuple[str, LocaleReport]:
        """A PO file with the version's texts in a locale, translated as far as they are, and how far that is.

        Raises TemplateNotFound, VersionNotFound, InvalidArgument.
        """
        locale = check_locale("locale", tag)
        version = await self.get_version(key)
        forms = version.catalogs[locale]["forms"] if locale in version.catalogs else {}
        text = write_catalog(locale, version.messages, forms, key.template)
        return text, LocaleReport(locale, len(version.messages), len(forms), ())

    def _refuse_findings(self, new: NewVersion) -> None:
        wrong = [finding for finding in new.findings if finding.rule in self._rules.lint_errors]
        if wrong:
            raise InvalidContents.because(
                [FieldViolation(each.field, f"line {each.line}: {each.description} ({each.rule})") for each in wrong]
            )

    async def _check(self, project: str, draft: VersionDraft) -> NewVersion:
        partials = await partials_of(self._partials, project, draft.contents.values())
        draft = draft._replace(partials={name: partial.source for name, partial in partials.items()})
        checked = await self._scheduler.check(draft, _caller())
        return NewVersion(
            {checked.locales[tag]: content for tag, content in draft.contents.items()},
            tuple(checked.required_variables),
            derived=checked.derived,
            catalogs=checked.catalogs,
            messages=messages_of(checked.messages),
            unused=checked.unused,
            findings=tuple(Finding(*finding) for finding in checked.findings),
            partials={name: partial.revision for name, partial in partials.items()},
            variables_schema=draft.variables_schema,
        )

    async def _check_sender(self, template: Template, sender: str) -> None:
        if not sender:
            return
        if template.channel is not Channel.EMAIL:
            raise InvalidArgument.of("sender", "only e-mail is from a sender; leave it out")
        if "\0" in sender or await self._senders.find(SenderKey(template.project, sender)) is None:
            raise SenderUnknown.of_version(sender)

    def _check_complete(self, version: NewVersion) -> None:
        missing = [report for report in version.completeness() if not report.complete]
        if self._rules.complete_only and missing:
            raise IncompleteLocale.because(missing)

    async def _absent(self, key: VersionKey) -> ServiceError:
        await self.get_template(key.of)
        return VersionNotFound(key.template, key.version)


class Rendering:
    """Finished texts, and what accepting a notification needs to know."""

    def __init__(self, store: TemplateStore, library: Library, scheduler: Scheduler, book: SenderBook) -> None:
        self._store = store
        self._library = library
        self._scheduler = scheduler
        self._book = book

    async def render_batch(self, requests: Sequence[RenderRequest]) -> list[Rendered | ServiceError]:
        """One result per request, in the same order. Raises only when the store can't be asked."""
        versions = await self._library.find({request.key for request in requests if "\0" not in request.key.template})
        results: list[Rendered | ServiceError] = [VersionNotFound(request.key.template, request.key.version) for request in requests]
        known = [(index, request) for index, request in enumerate(requests) if request.key in versions]
        rendered = await self._scheduler.render_batch([_job(request, versions[request.key]) for _, request in known])
        senders = await self._book.of({key.project for key, version in versions.items() if version.stored.channel is Channel.EMAIL})
        for (index, request), result in zip(known, rendered, strict=True):
            results[index] = _from(result, versions[request.key].stored, senders.get(request.key.project))
        return results

    async def preview_batch(self, requests: Sequence[RenderRequest]) -> list[Rendered | ServiceError]:
        """As `render_batch`, for texts that only a person looks at: no send waits for them or learns from them."""
        results: list[Rendered | ServiceError] = []
        for request in requests:
            try:
                results.append(await self._preview(request))
            except ServiceError as error:
                results.append(error)
        return results

    async def preview(
        self, key: TemplateKey, version: int, locale: str, variables: bytes, timezone: str = "", *, person: Person | None = None
    ) -> Rendered:
        """Exactly what a send would produce, to this person if one is given, whose locale and time zone stand in for empty ones; version 0
        means the published one, or the latest that is not archived. Raises what a rendering raises.
        """
        template = await self._store.find(_safe(key))
        if template is None:
            raise TemplateNotFound(key.name)
        number = version or template.published_version or await self._latest(key)
        if not number:
            raise NothingToPreview(key.name)
        if person is not None:
            locale, timezone = locale or person.locale, timezone or person.timezone
        return await self._preview(RenderRequest(VersionKey(*key, number), locale, variables, timezone), person)

    async def _latest(self, key: TemplateKey) -> int:
        newest = await self._store.list_versions(key, None, 1)
        return newest[0].version if newest else 0

    async def preview_draft(
        self, project: str, draft: StoredVersion, locale: str, variables: bytes, timezone: str = "", *, person: Person | None = None
    ) -> Rendered:
        """As `preview`, of what is no version. Raises what a rendering raises."""
        if person is not None:
            locale, timezone = locale or person.locale, timezone or person.timezone
        # render processes keep contents by their names: this one, which no template can have, says what is in them
        name = f"draft:{hashlib.sha256(repr(draft.contents).encode()).hexdigest()}"
        return await self._rendered(RenderRequest(VersionKey(project, name, 0), locale, variables, timezone), LoadedVersion(draft), person)

    async def _preview(self, request: RenderRequest, person: Person | None = None) -> Rendered:
        found = (await self._library.find([request.key])).get(request.key) if "\0" not in request.key.template else None
        if found is None:
            raise VersionNotFound(request.key.template, request.key.version)
        return await self._rendered(request, found, person)

    async def _rendered(self, request: RenderRequest, found: LoadedVersion, person: Person | None) -> Rendered:
        if not request.variables and found.stored.variables_schema:
            request = request._replace(variables=variables_to_bytes(JsonSchema(found.stored.variables_schema).example()))
        if person is not None:
            request = request._replace(variables=variables_to_bytes(person.added_to(variables_from_bytes(request.variables))))
        hidden: tuple[str, ...] = ()
        if request.checked:
            masking.check(found.stored.variables_schema, request.variables)
        if request.masked:
            variables, hidden = masking.masked(found.stored.variables_schema, request.variables)
            request = request._replace(variables=variables)
        rendered = await self._scheduler.preview(_job(request, found), _caller())
        project = request.key.project
        sent = _from(rendered, found.stored, (await self._book.of([project]))[project])
        if isinstance(sent, ServiceError):
            raise sent
        return sent._replace(masked=hidden)

    async def describe(self, keys: Sequence[TemplateKey]) -> list[TemplateSummary]:
        """One summary per template, in the same order."""
        built_in = {key: summary_of(key) for key in keys if key.name in VERSIONS}
        asked = {key for key in keys if "\0" not in key.name and key not in built_in}
        known = {**(await self._store.describe(sorted(asked)) if asked else {}), **built_in}
        sent = {VersionKey(*key, version) for key, found in known.items() for version in _versions_sent(found)}
        sizes = {key: version.size for key, version in (await self._library.find(sent)).items()}
        return [_sized(key, known[key], sizes) if key in known else TemplateSummary(key.name) for key in keys]


def _from(result: Rendered | ServiceError, version: StoredVersion, senders: Identities | ServiceError | None) -> Rendered | ServiceError:
    """The text with its sender. `senders` are those of the version's project, None where no mail is rendered."""
    if isinstance(result, ServiceError) or version.channel is not Channel.EMAIL or senders is None or senders is NO_IDENTITIES:
        return result
    return senders if isinstance(senders, ServiceError) else result._replace(sender=senders.of(version.sender))


def _job(request: RenderRequest, version: LoadedVersion) -> RenderJob:
    choice = version.choose(request.locale)
    key = ContentKey(*request.key, choice.locale)
    source = version.stored.contents[choice.locale]
    return RenderJob(key, version.stored.channel, source, request.variables, choice.formats, request.timezone, choice.chain)


def _versions_sent(found: TemplateSummary) -> list[int]:
    """The published one and the canary's, as far as there are."""
    published = found.template.published_version if found.template is not None else 0
    return [number for number in (published, found.canary.version if found.canary else 0) if number]


def _sized(key: TemplateKey, found: TemplateSummary, sizes: Mapping[VersionKey, TextSize]) -> TemplateSummary:
    published = found.template.published_version if found.template is not None else 0
    canary = found.canary and found.canary._replace(size=sizes.get(VersionKey(*key, found.canary.version)))
    return replace(found, size=sizes.get(VersionKey(*key, published)), canary=canary)


def _check_description(field: str, description: str) -> None:
    if "\0" in description:
        raise InvalidArgument.of(field, "must not contain NUL characters")


def _default_locale(tag: str) -> str:
    try:
        return canonical(tag or DEFAULT_LOCALE)
    except UnknownLocale:
        raise InvalidArgument.of("default_locale", "is not a known BCP 47 locale such as en or pt-BR") from None


def _shown(*, archived: bool) -> dict[str, str]:
    """What a page token must agree with; nothing by default, so that tokens of the release before fit."""
    return {"archived": "yes"} if archived else {}


def _caller() -> str:
    call = current_or_none()
    return call.caller.label if call is not None else ""


def _safe(key: TemplateKey) -> TemplateKey:
    """The key, or what names no template where PostgreSQL could not even take it."""
    return key._replace(name="") if "\0" in key.name else key
