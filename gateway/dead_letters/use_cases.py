"""The rules of reviewing what could not be delivered."""

from typing import Protocol
from uuid import UUID

from gateway.dead_letters.errors import AlreadyResolved, DeadLetterNotFound
from gateway.dead_letters.models import DeadLetter, DeadLetterFilters, Decision, State
from gateway.notifications.models import Job
from mesh.context import Caller
from mesh.ids import parse
from mesh.paging import Page, page_size


class DeadLetterStore(Protocol):
    """Where dead letters are kept."""

    async def find(self, notification_id: UUID) -> DeadLetter | None: ...

    async def list_page(self, filters: DeadLetterFilters, *, size: int, token: str) -> Page[DeadLetter]:
        """A page, newest first. Raises InvalidArgument for a token that does not fit."""

    async def discard(self, notification_id: UUID, decision: Decision) -> DeadLetter | None:
        """Decides an open one; the dead letter as it is now."""

    async def requeue(self, notification_id: UUID, decision: Decision, *, lease_s: float) -> tuple[DeadLetter | None, Job | None]:
        """Decides an open one and gives its notification a new run; the dead letter as it is now, and what to publish if this call did it.

        Raises NotRequeuable.
        """


class Publisher(Protocol):
    """Brings committed notifications to the bus."""

    def offer(self, jobs: list[Job]) -> None:
        """Publishes in the background."""


class DeadLetters:
    """The desk of the reviewers. Every decision keeps who made it, when and why; repeating one changes nothing."""

    def __init__(self, store: DeadLetterStore, publisher: Publisher, *, lease_s: float) -> None:
        self._store = store
        self._publisher = publisher
        self._lease_s = lease_s

    async def list_dead_letters(self, filters: DeadLetterFilters, size: int, token: str) -> Page[DeadLetter]:
        """A page, newest first."""
        return await self._store.list_page(filters, size=page_size(size), token=token)

    async def get(self, notification_id: str) -> DeadLetter:
        """The dead letter of a notification. Raises DeadLetterNotFound."""
        found = await self._store.find(_id_of(notification_id))
        if found is None:
            raise DeadLetterNotFound
        return found

    async def requeue(self, caller: Caller, notification_id: str, note: str) -> DeadLetter:
        """Sends the notification on its way again with fresh attempts. Raises DeadLetterNotFound, AlreadyResolved or NotRequeuable."""
        decision = Decision(State.REQUEUED, _name_of(caller), note.replace("\0", " "))
        found, job = await self._store.requeue(_id_of(notification_id), decision, lease_s=self._lease_s)
        if job is not None:
            self._publisher.offer([job])
        return _decided(found, State.REQUEUED)

    async def discard(self, caller: Caller, notification_id: str, note: str) -> DeadLetter:
        """Gives the notification up; it stays FAILED. Raises DeadLetterNotFound or AlreadyResolved."""
        decision = Decision(State.DISCARDED, _name_of(caller), note.replace("\0", " "))
        return _decided(await self._store.discard(_id_of(notification_id), decision), State.DISCARDED)


def _decided(found: DeadLetter | None, wanted: State) -> DeadLetter:
    if found is None:
        raise DeadLetterNotFound
    if found.state is not wanted:
        raise AlreadyResolved(found.state.name.lower())
    return found


def _name_of(caller: Caller) -> str:
    return f"{caller.kind.value}:{caller.id}"


def _id_of(text: str) -> UUID:
    parsed = parse(text)
    if parsed is None:
        raise DeadLetterNotFound
    return parsed
