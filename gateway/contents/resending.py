"""The rules of sending a sent notification again, to another person or address."""

import hashlib
from typing import Protocol
from uuid import UUID

from google.protobuf.message import DecodeError

from clarion.delivery.v1.delivery_pb2 import Delivery
from gateway.accepting.models import Acceptance, Addressee, AttachedFile, Draft
from gateway.accepting.use_cases import Key, Sender
from gateway.contents.errors import ContentGone, LiveNotification, NotRepeatable
from gateway.contents.rendering import Readers
from gateway.notifications.models import Notification
from mesh.context import Caller
from mesh.errors import InvalidArgument, ScopeMissing
from mesh.ids import new_id

CONTENT_SCOPE = "notifications:content"


class Kept(Protocol):
    """What is kept of sent notifications."""

    async def kept(self, caller: Caller, identifier: str) -> tuple[Notification, bytes]:
        """A sent notification and its serialized Delivery. Raises NotificationNotFound, NotSent or ContentGone."""


class Resending:
    """Sends again."""

    def __init__(self, contents: Kept, readers: Readers, sender: Sender) -> None:
        self._contents = contents
        self._readers = readers
        self._sender = sender

    async def resend(self, caller: Caller, identifier: str, *, user_id: str, to: Addressee | None, key: Key | None) -> Acceptance:
        """Accepts a notification that says to the new person what the sent one says, once it is in the audit log who asks.

        Raises what `Sender.send` raises, ScopeMissing, NotificationNotFound, NotSent, LiveNotification, ContentGone or NotRepeatable.
        """
        # who gets it reads all of it, also what is masked for those who look at it here
        if not caller.has(CONTENT_SCOPE):
            raise ScopeMissing(CONTENT_SCOPE)
        # what it said may be gone by now, or no one may be there to keep the audit log
        if key is not None and (accepted := await self._sender.accepted_before(key)) is not None:
            return accepted
        found, payload = await self._contents.kept(caller, identifier)
        if caller.test and not found.test:
            raise LiveNotification
        draft = _draft(found, payload)._replace(user_id=user_id, to=to)
        person = await self._readers.describe(
            caller.project, str(found.user_id), content_of=str(found.id), asked_by=caller.label, audit_id=_audit_id(caller, found, key)
        )
        if person is None:
            raise ContentGone.by_time()
        try:
            return await self._sender.send(draft, key)
        except InvalidArgument as error:
            if any(_is_asked(violation.field) for violation in error.violations) or not error.violations:
                raise
            raise NotRepeatable(error) from None


def _is_asked(field: str) -> bool:
    """Whether it is one of the request's own fields, and not one that is taken from the first notification."""
    return field.partition(".")[0] in {"user_id", "to"}


def _audit_id(caller: Caller, found: Notification, key: Key | None) -> str:
    """The same for each repetition under a key, which is answered what the first one was: no one else reads it."""
    if key is None:
        return new_id()
    about = f"ResendNotification\n{caller.label}\n{found.id}\n{key.text}\n".encode() + key.fingerprint
    return str(UUID(bytes=hashlib.sha256(about).digest()[:16]))


def _draft(found: Notification, payload: bytes) -> Draft:
    """What was asked for, in the locale that was sent. Raises ContentGone."""
    try:
        delivery = Delivery.FromString(payload)
    except DecodeError:
        raise ContentGone.by_time() from None
    return Draft(
        user_id="",
        channel=found.channel,
        template=found.template,
        variables=delivery.variables,
        locale=found.locale,
        priority=found.priority,
        category=found.category,
        metadata=found.metadata,
        attachments=tuple(
            AttachedFile(file.filename, file.content_type, attachment_id=file.attachment_id, content_id=file.content_id)
            for file in delivery.attachments
        ),
        resent_from=found.id,
    )
