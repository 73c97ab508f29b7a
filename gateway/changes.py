"""Tells those who follow a notification, in this process, that it has changed."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID


class Changes:
    """Followers by notification. Changes made by other replicas are not heard here: followers poll as well."""

    def __init__(self) -> None:
        self._followers: dict[UUID, set[asyncio.Event]] = {}

    @contextmanager
    def follow(self, identifier: UUID) -> Iterator[asyncio.Event]:
        """An event that is set at each change; the follower clears it."""
        event = asyncio.Event()
        self._followers.setdefault(identifier, set()).add(event)
        try:
            yield event
        finally:
            followers = self._followers[identifier]
            followers.discard(event)
            if not followers:
                del self._followers[identifier]

    def tell(self, identifiers: Iterable[UUID]) -> None:
        """Wakes the followers of these notifications."""
        if not self._followers:
            return
        for identifier in identifiers:
            for event in self._followers.get(identifier, ()):
                event.set()
