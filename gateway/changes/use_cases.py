"""The rules of reading the feed."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol
from uuid import UUID

from gateway.changes.errors import CursorExpired
from gateway.changes.models import Change, ChangeFilters, ChangePage, Ends, Window
from mesh.errors import InvalidArgument
from mesh.ids import parse

_PAGE_SIZE = 100
# A narrow filter looks at so many positions at a time, and a call at so many windows: it answers with what it has found by then.
_WINDOW = 2000
_MOST_WINDOWS = 5
_MOST_POSITION = 2**63 - 1
_NO_ONE = UUID(int=0)


class ChangeStore(Protocol):
    """Where changes are kept."""

    async def sequence(self) -> int:
        """Makes what has become visible readable; how many changes that were."""

    async def ends(self, projects: Sequence[str]) -> list[Ends]:
        """The ends of each project's feed."""

    async def read(self, filters: ChangeFilters, *, after: int, positions: int) -> Window:
        """Looks at up to `positions` positions behind `after`."""


class People(Protocol):
    """Who exists."""

    async def find(self, project: str, reference: str) -> str | None:
        """Our id of the project's person who has this id, ours or the project's own. Raises Unavailable when that can't be found out."""


class Tails:
    """Brings the feed up to date, and wakes those who wait for more of it: one question for all of them, however many streams there are."""

    def __init__(self, store: ChangeStore) -> None:
        self._store = store
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._known: dict[str, int] = {}

    async def advance(self) -> None:
        """Puts new changes in order, and wakes the streams of the projects that have some."""
        await self._store.sequence()
        projects = list(self._waiting)
        if not projects:
            return
        for project, ends in zip(projects, await self._store.ends(projects), strict=True):
            if self._known.get(project) != ends.last:
                self._known[project] = ends.last
                for event in self._waiting.get(project, ()):
                    event.set()

    @contextmanager
    def waiting(self, project: str) -> Iterator[asyncio.Event]:
        """An event that is set when the project's feed has grown; the stream clears it."""
        event = asyncio.Event()
        self._waiting.setdefault(project, set()).add(event)
        try:
            yield event
        finally:
            events = self._waiting[project]
            events.discard(event)
            if not events:
                del self._waiting[project]
                self._known.pop(project, None)


class Feed:
    """Reads the feed of a project."""

    def __init__(self, store: ChangeStore, tails: Tails, people: People) -> None:
        self._store = store
        self._tails = tails
        self._people = people

    async def of_person(self, filters: ChangeFilters, reference: str) -> ChangeFilters:
        """The filters, narrowed to a person where one is named; to nothing where the project has no such person."""
        if not reference:
            return filters
        found = await self._people.find(filters.project, reference)
        return filters._replace(user_id=UUID(found) if found is not None else parse(reference) or _NO_ONE)

    async def page(self, filters: ChangeFilters, cursor: str, size: int) -> ChangePage:
        """Changes behind the cursor, or from the oldest one on. Raises InvalidArgument or CursorExpired."""
        after = await self._start(filters.project, cursor)
        return await self._page(filters, 0 if after is None else after, size or _PAGE_SIZE)

    async def begin(self, project: str, cursor: str) -> int:
        """The position behind which a stream begins: that of the cursor, or of the last change. Raises InvalidArgument or CursorExpired."""
        after = await self._start(project, cursor)
        if after is None:
            [ends] = await self._store.ends([project])
            after = ends.last
        return after

    async def watch(self, filters: ChangeFilters, after: int) -> AsyncGenerator[Change, None]:
        """Each change behind the position, without end."""
        with self._tails.waiting(filters.project) as grown:
            while True:
                grown.clear()
                page = await self._page(filters, after, _PAGE_SIZE)
                for change in page.changes:
                    yield change
                after = page.next_position
                if not page.has_more:
                    await grown.wait()

    async def _page(self, filters: ChangeFilters, after: int, size: int) -> ChangePage:
        found: list[Change] = []
        for _ in range(_MOST_WINDOWS if filters.narrow else 1):
            window = await self._store.read(filters, after=after, positions=_WINDOW if filters.narrow else size)
            found += window.changes
            after = window.last
            if len(found) > size:
                return ChangePage(tuple(found[:size]), found[size - 1].position, has_more=True)
            if not window.full or len(found) == size:
                return ChangePage(tuple(found), after, has_more=window.full)
        return ChangePage(tuple(found), after, has_more=True)

    async def _start(self, project: str, cursor: str) -> int | None:
        """The position that a cursor stands for; None for none."""
        if not cursor:
            return None
        if not (cursor.isascii() and cursor.isdecimal() and int(cursor) <= _MOST_POSITION):
            raise InvalidArgument.of("cursor", "is not a cursor of this feed; use that of a change, or next_cursor of a page")
        position = int(cursor)
        [ends] = await self._store.ends([project])
        if position > ends.last:
            raise InvalidArgument.of("cursor", "lies beyond the end of this project's feed; use that of a change, or next_cursor of a page")
        if position + 1 < ends.first:
            raise CursorExpired
        return position
