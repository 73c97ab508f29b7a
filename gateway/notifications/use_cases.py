"""The rules of reading, listing, cancelling and following notifications."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol
from uuid import UUID

from gateway.notifications.errors import NotATest, NothingCaptured, NotificationNotFound, NotWaiting, TooLateToCancel
from gateway.notifications.models import CANCELLABLE, CapturedMessage, Filters, Notification, Reach, Status, Unsent
from mesh.context import Caller
from mesh.errors import Unavailable
from mesh.ids import parse
from mesh.rpc.paging import Page, page_size

READ_SCOPE = "notifications:read"
SEND_SCOPE = "notifications:send"


class NotificationStore(Protocol):
    """Where notifications are kept. Those beyond `reach` are as if they did not exist."""

    async def find(self, identifier: UUID, reach: Reach) -> Notification | None:
        """The notification with its timeline."""

    async def list_page(self, filters: Filters, *, size: int, token: str) -> Page[Notification]:
        """A page, newest first. Raises InvalidArgument for a token that does not fit."""

    async def cancel(self, identifier: UUID, *, run: int, attempt: int, before: Collection[Status]) -> Unsent | None:
        """Cancels the run before that attempt if its status is still one of `before`; None when it is not."""

    async def skip_wait(self, identifier: UUID) -> bool:
        """Makes a test's notification due that waits in the database for its time; False when it does not (any more)."""


class Bus(Protocol):
    """The workers' ledger."""

    async def cancel_run(self, notification_id: str, run: int, attempt: int = 0) -> int | None:
        """The attempt that will not begin any more, and none after it; None when one has begun. Raises Unavailable."""


class WatcherRegistry(Protocol):
    """Notifies of changes in this process."""

    def watch(self, identifier: UUID) -> AbstractContextManager[asyncio.Event]:
        """An event that is set at each change."""

    def notify(self, identifiers: Iterable[UUID]) -> None:
        """Wakes the watchers of these notifications."""


class Budget(Protocol):
    """The recipients' rate limit."""

    def give_back(self, unsent: Sequence[Unsent]) -> None:
        """Gives back what these notifications took of it, in the background."""


class People(Protocol):
    """Who exists."""

    async def find(self, project: str, reference: str) -> str | None:
        """Our id of the project's person who has this id, ours or the project's own. Raises Unavailable when that can't be found out."""


class Captures(Protocol):
    """What the sandbox got of test keys' notifications."""

    async def find(self, notification_id: str) -> CapturedMessage | None:
        """Raises Unavailable."""


class Notifications:
    """A credential reaches its project's notifications, a person's own token that person's only; to it, those of others do not exist."""

    def __init__(
        self, store: NotificationStore, bus: Bus, watchers: WatcherRegistry, budget: Budget, captures: Captures, *, people: People
    ) -> None:
        self._store = store
        self._bus = bus
        self._watchers = watchers
        self._budget = budget
        self._captures = captures
        self._people = people

    async def get(self, caller: Caller, identifier: str) -> Notification:
        """The notification with its timeline. Raises NotificationNotFound."""
        return await self._existing(_id_of(identifier), _reach(caller, READ_SCOPE))

    async def captured(self, caller: Caller, identifier: str) -> CapturedMessage:
        """The message that the sandbox got. Raises NotificationNotFound, NothingCaptured or Unavailable."""
        found = await self.get(caller, identifier)
        captured = await self._captures.find(str(found.id))
        if captured is None:
            raise NothingCaptured
        return captured

    async def list_notifications(self, caller: Caller, user_id: str, filters: Filters, size: int, token: str) -> Page[Notification]:
        """A page, newest first; a person's own token sees that person's only, whatever `user_id` says."""
        own = _reach(caller, READ_SCOPE).user_id
        wanted = await self._person(caller, user_id) if user_id else None
        if user_id and wanted is None:
            return Page((), "")
        if own is not None and wanted not in {None, own}:
            return Page((), "")
        return await self._store.list_page(filters._replace(user_id=own or wanted), size=page_size(size), token=token)

    async def _person(self, caller: Caller, reference: str) -> UUID | None:
        """Our id of a person. One that is a UUID may be of a person who is erased, whose notifications stay; None for no one's."""
        try:
            found = None if caller.user_id is not None else await self._people.find(caller.project, reference)
        except Unavailable:
            if parse(reference) is None:
                raise
            found = None  # most are ours, and what is known of them can be read while user_svc is down
        return UUID(found) if found is not None else parse(reference)

    async def cancel(self, caller: Caller, identifier: str) -> Notification:
        """Cancels what no attempt has begun to send; twice is no error.

        Raises NotificationNotFound, TooLateToCancel, or Unavailable when it is unknown whether it is being sent.
        """
        key, reach = _id_of(identifier), _changeable(caller)
        found = await self._existing(key, reach)
        run, tried = found.progress.run, found.progress.attempt
        if (
            found.status is Status.SCHEDULED
            and not tried
            and (unsent := await self._store.cancel(key, run=run, attempt=0, before={Status.SCHEDULED}))
        ):
            self._note(unsent)
        elif found.status in CANCELLABLE:
            # on the bus, or nearly: what a crash has left PENDING may have been published too
            attempt = await self._bus.cancel_run(str(key), run, tried)
            if attempt is None:
                raise TooLateToCancel(Status.SENDING.name.lower())
            if unsent := await self._store.cancel(key, run=run, attempt=attempt, before=CANCELLABLE):
                self._note(unsent)
        found = await self._existing(key, reach)
        if found.status is not Status.CANCELLED:
            raise TooLateToCancel(found.status.name.lower())
        return found

    async def skip_wait(self, caller: Caller, identifier: str) -> Notification:
        """Sends a test's notification that waits for its time; one that is due already, as after the same call, goes out anyhow.

        Raises NotificationNotFound, NotATest or NotWaiting.
        """
        key, reach = _id_of(identifier), _changeable(caller)
        found = await self._existing(key, reach)
        if not found.test:
            raise NotATest
        skipped = await self._store.skip_wait(key)
        # read again, since another call may have come first
        found = await self._existing(key, reach)
        if not skipped and found.status is not Status.SCHEDULED:
            raise NotWaiting(found.shown_status.name.lower())
        self._watchers.notify([key])
        return found

    def _note(self, cancelled: Unsent) -> None:
        self._budget.give_back([cancelled])
        self._watchers.notify([cancelled.id])

    async def _existing(self, key: UUID, reach: Reach) -> Notification:
        found = await self._store.find(key, reach)
        if found is None:
            raise NotificationNotFound
        return found

    async def watch(self, caller: Caller, identifier: str) -> AsyncIterator[Notification]:
        """The notification now, again after each change, and for the last time when it is terminal. Raises NotificationNotFound."""
        key, reach = _id_of(identifier), _reach(caller, READ_SCOPE)
        seen: Notification | None = None
        with self._watchers.watch(key) as changed:
            while seen is None or not seen.progress.is_terminal:
                changed.clear()
                found = await self._existing(key, reach)
                if seen is None or (found, found.timeline) != (seen, seen.timeline):
                    yield found
                    seen = found
                    continue
                await changed.wait()


def _reach(caller: Caller, scope: str) -> Reach:
    own = caller.confined_to(scope)
    if own is None:
        return Reach(caller.project)
    parsed = parse(own)
    if parsed is None:  # a token whose subject is no person of ours reaches nothing
        raise NotificationNotFound
    return Reach(caller.project, parsed)


def _changeable(caller: Caller) -> Reach:
    """A narrowed key may change what it has sent itself."""
    reach = _reach(caller, SEND_SCOPE)
    return reach._replace(caller=caller.label) if caller.bounds else reach


def _id_of(text: str) -> UUID:
    parsed = parse(text)
    if parsed is None:
        raise NotificationNotFound
    return parsed
