"""From whom each mail is, at hand while mails are rendered: read from the store again after some seconds, and kept while it is away."""

import time
from collections.abc import Callable, Collection
from typing import Protocol

from mesh.errors import ServiceError
from mesh.resilience.lru_cache import LruCache
from template_svc.senders.models import NO_IDENTITIES, Identities

# How old what is known of a project may be. A mail that is under way when a sender changes may be from the one before.
FRESH_S = 5.0
_MOST = 10_000


class IdentityStore(Protocol):
    """Where senders are read from."""

    async def identities(self, project: str) -> Identities:
        """All of a project's. Raises ServiceError."""
        ...


class SenderBook:
    """What is known of projects' senders. `clock` is monotonic, in seconds."""

    def __init__(self, store: IdentityStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: LruCache[str, tuple[float, Identities]] = LruCache(_MOST, min_weight=1)

    async def of(self, projects: Collection[str]) -> dict[str, Identities | ServiceError]:
        """The senders of each project; the error where they were never read and can't be now."""
        return {project: await self._of(project) for project in projects}

    def forget(self, project: str) -> None:
        """Has the project's senders read again, since this process has changed one."""
        self._known.drop(project)

    async def _of(self, project: str) -> Identities | ServiceError:
        read_at, identities = self._known.find(project) or (float("-inf"), NO_IDENTITIES)
        if self._clock() - read_at <= FRESH_S:
            return identities
        try:
            identities = await self._store.identities(project)
        except ServiceError as error:
            # rendering goes on without the database, and so do senders
            return error if read_at == float("-inf") else identities
        self._known.put(project, (self._clock(), identities), 1)
        return identities
