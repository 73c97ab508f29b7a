"""The rules of reading the audit log."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from mesh.errors import InvalidArgument
from mesh.rpc.paging import Cursor, Page, page_size
from user_svc.audit.models import HANDED_OVER, AuditEvent, Filters, HandedOver, NewEvent

_PAGES = Cursor("audit events", datetime, int)


class AuditStore(Protocol):
    """Where entries are kept."""

    async def add(self, event: NewEvent) -> None: ...

    async def add_once(self, entries: Sequence[HandedOver]) -> None:
        """Each that was not added before under its id."""

    async def list_newest_first(self, filters: Filters, before: tuple[datetime, int] | None, limit: int) -> Sequence[AuditEvent]: ...


class AuditLog:
    """Reads a project's entries, and takes those that belong to no other change."""

    def __init__(self, store: AuditStore) -> None:
        self._store = store

    async def add(self, event: NewEvent) -> None:
        """Keeps an entry. Raises Unavailable."""
        await self._store.add(event)

    async def take(self, entries: Sequence[HandedOver]) -> None:
        """Keeps entries of another service. Raises InvalidArgument for kinds that are none of its."""
        if not {entry.event.kind for entry in entries} <= HANDED_OVER:
            raise InvalidArgument.of("events", "are of a kind that this service writes down itself")
        await self._store.add_once(entries)

    async def list_events(self, filters: Filters, requested_size: int, token: str) -> Page[AuditEvent]:
        """A page, newest first. Raises InvalidArgument for a size, a token or times that do not fit."""
        size, described = page_size(requested_size), {name: str(value) for name, value in filters._asdict().items()}
        if filters.start_time is not None and filters.end_time is not None and filters.start_time >= filters.end_time:
            raise InvalidArgument.of("end_time", "must be after start_time")
        if any("\0" in text for text in (filters.actor, filters.subject)):
            return Page((), "")
        position = _PAGES.position(token, described)
        before = None
        if position is not None:
            time, identifier = position
            assert isinstance(time, datetime)
            assert isinstance(identifier, int)
            before = time, identifier
        events = await self._store.list_newest_first(filters, before, size + 1)
        return _PAGES.page([((event.time, event.id), event) for event in events], size, described)
