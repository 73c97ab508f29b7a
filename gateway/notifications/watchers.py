"""Notifies those who watch a notification, in this process, that it has changed."""

import asyncio
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol
from uuid import UUID

_AT_ONCE = 500  # ids in one query


class Watchers:
    """Watchers by notification. What other replicas change is found by one poll for all watchers of this process (`ChangePoll`)."""

    def __init__(self) -> None:
        self._events: dict[UUID, set[asyncio.Event]] = {}

    @contextmanager
    def watch(self, identifier: UUID) -> Iterator[asyncio.Event]:
        """An event that is set at each change; the watcher clears it."""
        event = asyncio.Event()
        self._events.setdefault(identifier, set()).add(event)
        try:
            yield event
        finally:
            events = self._events[identifier]
            events.discard(event)
            if not events:
                del self._events[identifier]

    def watched(self) -> list[UUID]:
        """The notifications that are watched."""
        return list(self._events)

    def notify(self, identifiers: Iterable[UUID]) -> None:
        """Wakes the watchers of these notifications."""
        if not self._events:
            return
        for identifier in identifiers:
            for event in self._events.get(identifier, ()):
                event.set()


class ChangeStore(Protocol):
    """Where notifications are kept."""

    async def revisions(self, identifiers: Sequence[UUID]) -> Mapping[UUID, Hashable]:
        """A value for each that exists, which differs after each change."""


class ChangePoll:
    """Finds what other replicas have changed of the watched notifications: one query for all of them, however many streams there are."""

    def __init__(self, store: ChangeStore, watchers: Watchers) -> None:
        self._store = store
        self._watchers = watchers
        self._seen: dict[UUID, Hashable] = {}

    async def poll(self) -> None:
        """Wakes the watchers of what has changed since the last poll, and once those that are new: they may have read just before."""
        watched = self._watchers.watched()
        if not watched:
            self._seen = {}
            return
        revisions: dict[UUID, Hashable] = {}
        for start in range(0, len(watched), _AT_ONCE):
            part = watched[start : start + _AT_ONCE]
            found = await self._store.revisions(part)
            revisions.update({identifier: found.get(identifier) for identifier in part})
        self._watchers.notify([identifier for identifier, now in revisions.items() if self._seen.get(identifier, self) != now])
        self._seen = revisions
