"""From deliveries on the bus to mails: one use case per job."""

import logging
from collections.abc import Sequence
from typing import Protocol

from clarion.delivery.v1.delivery_pb2 import MailAttachment
from delivery.models import Attempt, ReadyDelivery
from email_worker.errors import MailboxGone
from email_worker.models import Mail, MailFile, MailSender
from email_worker.room import Room
from email_worker.use_cases import SendMail
from mesh.errors import ServiceError

log = logging.getLogger(__name__)


class SuppressionList(Protocol):
    """The addresses that get no e-mail."""

    async def suppress(self, project: str, user_id: str, address: str, evidence: str) -> None:
        """Adds an address at which a person's mail has bounced, with what was seen. Raises ServiceError."""
        ...


class MailFiles(Protocol):
    """The files of mails."""

    async def of(self, project: str, attachments: Sequence[MailAttachment]) -> tuple[MailFile, ...]:
        """Each with its content. Raises DeliveryError."""
        ...


class EmailConsumer:
    """The e-mail channel of the delivery pipeline. `room` bounds what files take of the memory. `unsubscribe_base` is where links lead that
    refuse a category; empty for none.
    """

    def __init__(
        self, send_mail: SendMail, suppressions: SuppressionList, files: MailFiles, *, room: Room, unsubscribe_base: str = ""
    ) -> None:
        self._send_mail = send_mail
        self._files = files
        self._room = room
        self._suppressions = suppressions
        self._unsubscribe_base = unsubscribe_base

    async def send(self, job: ReadyDelivery) -> Attempt:
        """Raises DeliveryError when the mail was not taken. An address without a mailbox is suppressed."""
        carried = job.delivery.attachments
        try:
            if not carried:
                await self._send(job)
            else:
                async with self._room.hold(sum(each.size_bytes for each in carried)):
                    await self._send(job, await self._files.of(job.delivery.project, carried))
        except MailboxGone as error:
            await self._suppress(job, f"{error.reason} {error.detail}")
            raise
        return Attempt()

    async def _send(self, job: ReadyDelivery, files: tuple[MailFile, ...] = ()) -> None:
        await self._send_mail(to_mail(job, files, unsubscribe_base=self._unsubscribe_base))

    async def _suppress(self, job: ReadyDelivery, evidence: str) -> None:
        try:
            await self._suppressions.suppress(job.delivery.project, job.delivery.user_id, job.recipient.email, evidence)
        except ServiceError as error:
            # the next mail to it finds out again
            log.warning("address not suppressed", extra={"reason": error.reason})


def to_mail(job: ReadyDelivery, files: tuple[MailFile, ...] = (), *, unsubscribe_base: str = "") -> Mail:
    """The job as a mail. Its id names notification and run, so that a reviewer's requeue is a new mail and a retry is not."""
    token = job.recipient.unsubscribe_token
    return Mail(
        id=f"{job.delivery.notification_id}.{job.delivery.run}",
        address=job.recipient.email,
        name=job.recipient.name,
        subject=job.content.subject,
        text=job.content.text,
        html=job.content.html,
        correlation_id=job.delivery.correlation_id,
        notification_id=job.delivery.notification_id,
        unsubscribe_url=f"{unsubscribe_base}/{token}" if unsubscribe_base and token else "",
        sender=_sender(job),
        files=files,
    )


def _sender(job: ReadyDelivery) -> MailSender | None:
    said = job.sender
    if said is None:
        return None
    return MailSender(said.email, said.display_name, said.reply_to_email, job.delivery.project, said.dkim_domain, said.dkim_selector)
