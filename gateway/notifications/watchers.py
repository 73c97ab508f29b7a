"""Notifies those who watch a notification, in this process, that it has changed."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID


class Watchers:
    """Followers by notification. Watchers made by other replicas are not heard here: events poll as well."""

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

    def notify(self, identifiers: Iterable[UUID]) -> None:
        """Wakes the watchers of these notifications."""
        if not self._events:
            return
        for identifier in identifiers:
            for event in self._events.get(identifier, ()):
                event.set()
