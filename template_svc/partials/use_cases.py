"""What can be done with partials: set them, see who uses them, and make new versions of those."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from mesh.errors import InvalidArgument, ServiceError
from mesh.rpc.paging import Cursor, Page
from template_svc.errors import PartialNotFound
from template_svc.models import TEXTS, Content, Partial, PartialKey, PartialUse, Rebuilt, TemplateKey, VersionKey
from template_svc.partials.expansion import MAX_DEPTH, PartialFault, expand, named_in

DEFAULT_PARTIALS = 10
MAX_USES = 200

_PARTIALS = Cursor("partials", str)


class PartialStore(Protocol):
    """Where partials live. Deleted ones do not exist for any of these."""

    async def put(self, key: PartialKey, source: str, now: datetime) -> Partial:
        """Under the next revision, unless the text is what it is already."""
        ...

    async def find(self, project: str, names: Collection[str]) -> Mapping[str, Partial]:
        """Those of the partials that exist."""
        ...

    async def list(self, project: str, after: str | None, limit: int) -> Sequence[Partial]:
        """In the order of names, those after `after`."""
        ...

    async def delete(self, key: PartialKey, now: datetime) -> bool:
        """False when there is none."""
        ...

    async def uses(self, key: PartialKey, *, below: int | None, limit: int) -> Sequence[PartialUse]:
        """Published versions that have taken it in, by template, archived ones left out; with `below`, in a lower revision."""
        ...


class Rebuilder(Protocol):
    """What makes a version of a template from the contents of another."""

    async def rebuild(self, key: VersionKey, *, validate_only: bool) -> int:
        """The number of the new version, published; 0 with `validate_only`. Raises ServiceError."""
        ...


class Partials:
    """Partials as their authors see them. `clock` returns the time in UTC."""

    def __init__(self, store: PartialStore, rebuilder: Rebuilder, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._rebuilder = rebuilder
        self._clock = clock

    async def put(self, key: PartialKey, source: str) -> Partial:
        """Raises InvalidArgument for what no template could take in."""
        if "\0" in source:
            raise InvalidArgument.of("source", "must not contain NUL characters")
        known = {name: "" for name in named_in(source) if name != key.name}
        try:
            expand(source, known)  # whether its blocks are closed; what it names may be made later
        except PartialFault as fault:
            raise InvalidArgument.of("source", str(fault)) from None
        return await self._store.put(key, source, self._clock())

    async def get(self, key: PartialKey) -> tuple[Partial, Sequence[PartialUse]]:
        """Raises PartialNotFound."""
        found = (await self._store.find(key.project, [key.name])).get(key.name) if "\0" not in key.name else None
        if found is None:
            raise PartialNotFound(key.name)
        return found, await self._store.uses(key, below=None, limit=MAX_USES)

    async def list(self, project: str, size: int, token: str) -> Page[Partial]:
        """In the order of names. Raises InvalidArgument for a token that does not fit."""
        filters = {"project": project}
        position = _PARTIALS.position(token, filters)
        size = size or DEFAULT_PARTIALS
        partials = await self._store.list(project, str(position[0]) if position else None, size + 1)
        return _PARTIALS.page([((partial.name,), partial) for partial in partials], size, filters)

    async def delete(self, key: PartialKey) -> None:
        """Raises PartialNotFound."""
        if "\0" in key.name or not await self._store.delete(key, self._clock()):
            raise PartialNotFound(key.name)

    async def rebuild(self, key: PartialKey, *, validate_only: bool) -> Sequence[Rebuilt]:
        """What became of each template with an older revision, at most MAX_USES. Raises PartialNotFound."""
        partial, _ = await self.get(key)
        rebuilt: list[Rebuilt] = []
        for use in await self._store.uses(key, below=partial.revision, limit=MAX_USES):
            try:
                version = VersionKey(*TemplateKey(key.project, use.template), use.version)
                number = await self._rebuilder.rebuild(version, validate_only=validate_only)
            except ServiceError as error:
                rebuilt.append(Rebuilt(use.template, use.version, problem=error.message))
            else:
                rebuilt.append(Rebuilt(use.template, use.version, number))
        return rebuilt


async def partials_of(store: PartialStore, project: str, contents: Iterable[Content]) -> dict[str, Partial]:
    """The partials that contents name, and those that these name in turn, as far as they exist."""
    wanted = {name for content in contents for part in TEXTS for name in named_in(getattr(content, part))}
    found: dict[str, Partial] = {}
    for _ in range(MAX_DEPTH):
        missing = {name for name in wanted - found.keys() if "\0" not in name}
        more = await store.find(project, sorted(missing)) if missing else {}
        if not more:
            break
        found |= more
        wanted |= {name for partial in more.values() for name in named_in(partial.source)}
    return found
