"""What can be done with templates and versions that are no longer wanted, short of deleting them.

What is archived is neither offered nor sent. Rendering does not look at it, so that notifications that were accepted before, whose version
is pinned, are delivered.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from mesh.errors import ServiceError
from template_svc.errors import TemplateNotFound, VersionNotFound
from template_svc.models import Template, TemplateKey, TemplateVersion, VersionKey
from template_svc.use_cases import mark_of


class ArchiveStore(Protocol):
    """Where templates and versions live. Deleted ones do not exist for any of these."""

    async def archive(self, key: TemplateKey, now: datetime, by: str) -> Template | None:
        """None when there is none. One that is archived already stays as it is."""
        ...

    async def restore(self, key: TemplateKey, now: datetime) -> Template | None:
        """None when there is none."""
        ...

    async def archive_version(self, key: VersionKey, now: datetime, by: str) -> TemplateVersion | None:
        """None when there is none. One that is archived already stays as it is. Raises VersionInUse."""
        ...

    async def restore_version(self, key: VersionKey) -> TemplateVersion | None:
        """None when there is none."""
        ...

    async def find(self, key: TemplateKey) -> Template | None: ...


class Archive:
    """Archives and restores. `clock` returns the time in UTC."""

    def __init__(self, store: ArchiveStore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    async def archive_template(self, key: TemplateKey) -> Template:
        """Nothing is accepted with it from then on, as soon as gateways ask again. Raises TemplateNotFound."""
        return _known(await self._store.archive(_safe(key), self._clock(), mark_of("").by), key)

    async def restore_template(self, key: TemplateKey) -> Template:
        """Raises TemplateNotFound."""
        return _known(await self._store.restore(_safe(key), self._clock()), key)

    async def archive_version(self, key: VersionKey) -> TemplateVersion:
        """Raises TemplateNotFound, VersionNotFound, VersionInUse."""
        version = await self._store.archive_version(_safe_version(key), self._clock(), mark_of("").by)
        if version is None:
            raise await self._absent(key)
        return version

    async def restore_version(self, key: VersionKey) -> TemplateVersion:
        """Raises TemplateNotFound, VersionNotFound."""
        version = await self._store.restore_version(_safe_version(key))
        if version is None:
            raise await self._absent(key)
        return version

    async def _absent(self, key: VersionKey) -> ServiceError:
        if await self._store.find(_safe(key.of)) is None:
            return TemplateNotFound(key.template)
        return VersionNotFound(key.template, key.version)


def _known(template: Template | None, key: TemplateKey) -> Template:
    if template is None:
        raise TemplateNotFound(key.name)
    return template


def _safe(key: TemplateKey) -> TemplateKey:
    """The key, or what names no template where PostgreSQL could not even take it."""
    return key._replace(name="") if "\0" in key.name else key


def _safe_version(key: VersionKey) -> VersionKey:
    return key._replace(template=_safe(key.of).name)
