"""The rules of reading what a sent notification said."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from gateway.contents.errors import ContentGone, NotSent
from gateway.contents.models import SentContent
from gateway.notifications.errors import NotificationNotFound
from gateway.notifications.models import Notification, Reach, Status
from mesh.context import Caller
from mesh.ids import parse
from naming.account_mails import RESERVED


class NotificationStore(Protocol):
    """Where notifications are read. Those beyond `reach` are as if they did not exist."""

    async def find(self, identifier: UUID, reach: Reach) -> Notification | None:
        """The notification with its timeline."""


class PayloadStore(Protocol):
    """Where variables are kept."""

    async def payload(self, identifier: UUID) -> bytes:
        """The serialized Delivery; empty where it is kept no longer."""


class Texts(Protocol):
    """What makes texts."""

    async def text_of(self, found: Notification, payload: bytes, caller: Caller) -> SentContent:
        """What a notification said, masked, once it is in the audit log who asks. Raises ContentGone, Unavailable."""


class SentContents:
    """Reads texts. `kept` is for how long after its end what a notification said can be read; None for as long as it is there."""

    def __init__(
        self,
        store: NotificationStore,
        payloads: PayloadStore,
        texts: Texts,
        *,
        kept: timedelta | None,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._payloads = payloads
        self._texts = texts
        self._kept = kept
        self._now = now

    async def get(self, caller: Caller, identifier: str) -> SentContent:
        """Raises NotificationNotFound, NotSent, ContentGone, or Unavailable while user_svc or template_svc is away."""
        found, payload = await self.kept(caller, identifier)
        return await self._texts.text_of(found, payload, caller)

    async def kept(self, caller: Caller, identifier: str) -> tuple[Notification, bytes]:
        """A sent notification and its serialized Delivery. Raises NotificationNotFound, NotSent or ContentGone."""
        key = parse(identifier)
        found = None if key is None else await self._store.find(key, Reach(caller.project))
        if found is None:
            raise NotificationNotFound
        if found.status is not Status.SENT:
            raise NotSent(found.shown_status.name.lower())
        if found.template.startswith(RESERVED) or (self._kept is not None and found.update_time < self._now() - self._kept):
            raise ContentGone.by_time()
        payload = await self._payloads.payload(found.id)
        if not payload:
            raise ContentGone.by_time()
        return found, payload
