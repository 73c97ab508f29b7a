"""What can be done with canaries. Which notifications get the version is decided where they are accepted, by the gateway."""

from typing import Protocol

from template_svc.canaries.models import Canary, Share
from template_svc.errors import CanaryNotFound, TemplateNotFound
from template_svc.models import Mark, Template, TemplateKey, VersionKey


class CanaryStore(Protocol):
    """Where canaries live, beside the versions that they are about. Deleted templates do not exist for any of these."""

    async def start(self, key: VersionKey, share: Share, mark: Mark) -> Canary | None:
        """None where there is no such template. Changes the share of one that runs with this version.

        Raises VersionNotFound, VersionArchived, SenderMissing, TemplateArchived, NothingPublished, VersionInUse, CanaryRunning.
        """
        ...

    async def find(self, key: TemplateKey) -> Canary | None:
        """The one that runs, or the one that ended last; None when there was none."""
        ...

    async def stop(self, key: TemplateKey, by: str) -> Canary | None:
        """As `find`, after it has ended."""
        ...


class Versions(Protocol):
    """The rules of publishing."""

    async def get_template(self, key: TemplateKey) -> Template:
        """Raises TemplateNotFound."""
        ...

    async def check_publishable(self, key: VersionKey) -> None:
        """Raises TemplateNotFound, VersionNotFound, IncompleteLocale."""
        ...


class Canaries:
    """Starts, shows and stops canaries."""

    def __init__(self, store: CanaryStore, versions: Versions) -> None:
        self._store = store
        self._versions = versions

    async def start(self, key: VersionKey, share: Share, mark: Mark) -> Canary:
        """Raises TemplateNotFound, IncompleteLocale where only complete versions may be sent, and what `CanaryStore.start` raises."""
        await self._versions.check_publishable(key)
        canary = await self._store.start(key, share, mark)
        if canary is None:
            raise TemplateNotFound(key.template)
        return canary

    async def get(self, key: TemplateKey) -> Canary:
        """Raises TemplateNotFound, CanaryNotFound."""
        return _known(await self._store.find((await self._versions.get_template(key)).key), key)

    async def stop(self, key: TemplateKey, by: str) -> Canary:
        """One that has ended stays as it is. Raises TemplateNotFound, CanaryNotFound."""
        return _known(await self._store.stop((await self._versions.get_template(key)).key, by), key)


def _known(canary: Canary | None, key: TemplateKey) -> Canary:
    if canary is None:
        raise CanaryNotFound(key.name)
    return canary
