"""The rules of exporting what is held about a person."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

from gateway.notifications.models import CapturedMessage, Filters, Notification, Reach
from gateway.sagas.errors import UserNotFound
from mesh.context import Caller
from mesh.errors import Unavailable
from mesh.rpc.paging import Page

# What user_svc holds, as it hands it over: nothing of it is looked at here.
Held_co = TypeVar("Held_co", covariant=True)

EXPORT_SCOPE = "users:export"
_PAGE = 100


class File(NamedTuple):
    """A file of a mail, without its content; `attachment_id` is the SHA-256 of that."""

    filename: str
    content_type: str
    attachment_id: str
    size_bytes: int
    content_id: str


class Content(NamedTuple):
    """What only the export shows of a notification."""

    variables: Mapping[str, Any] = {}
    review_note: str = ""
    redirected_email: str = ""
    files: Sequence[File] = ()


class PersonalNotification(NamedTuple):
    """A notification with its timeline, and what only the export shows of it."""

    notification: Notification
    content: Content
    captured: CapturedMessage | None


class People(Protocol[Held_co]):
    """user_svc."""

    async def find(self, project: str, reference: str) -> str | None:
        """Our id of the project's person who has this id, ours or the project's own. Raises Unavailable."""

    async def held(self, project: str, user_id: str, asked_by: str) -> Held_co:
        """What user_svc holds; who asks is in the audit log before it is answered. Raises NotFound or Unavailable."""


class NotificationStore(Protocol):
    """Where notifications are read."""

    async def find(self, identifier: UUID, reach: Reach) -> Notification | None:
        """The notification with its timeline."""

    async def list_page(self, filters: Filters, *, size: int, token: str) -> Page[Notification]:
        """A page without timelines, newest first."""


class ContentStore(Protocol):
    """Where variables and notes are kept."""

    async def contents(self, identifiers: Sequence[UUID]) -> Mapping[UUID, Content]:
        """Of those of the notifications that have any."""


class Captures(Protocol):
    """What the sandbox got of test keys' notifications."""

    async def find(self, notification_id: str) -> CapturedMessage | None:
        """Raises Unavailable."""


class PersonalData(Generic[Held_co]):
    """Exports what is held about a person; a person's own token exports its own."""

    def __init__(self, people: People[Held_co], notifications: NotificationStore, contents: ContentStore, captures: Captures) -> None:
        self._people = people
        self._notifications = notifications
        self._contents = contents
        self._captures = captures

    async def export(self, caller: Caller, reference: str) -> AsyncIterator[Held_co | PersonalNotification]:
        """What user_svc holds, then each notification, newest first. Raises UserNotFound, or Unavailable, also in the middle."""
        user_id = await self._people.find(caller.project, reference)
        own = caller.confined_to(EXPORT_SCOPE)
        if user_id is None or (own is not None and own != user_id):
            raise UserNotFound
        yield await self._people.held(caller.project, user_id, caller.label)
        filters, reach, token = Filters(caller.project, UUID(user_id)), Reach(caller.project, UUID(user_id)), ""
        while True:
            page = await self._notifications.list_page(filters, size=_PAGE, token=token)
            contents = await self._contents.contents([one.id for one in page.items])
            for listed in page.items:
                found = await self._notifications.find(listed.id, reach)
                if found is not None:  # its time was over just now
                    yield PersonalNotification(found, contents.get(found.id, Content()), await self._captured(found))
            token = page.next_token
            if not token:
                return

    async def _captured(self, notification: Notification) -> CapturedMessage | None:
        if not notification.test:
            return None
        try:
            return await self._captures.find(str(notification.id))
        except Unavailable:
            return None  # a test's message, which is gone within a day, holds up nothing
