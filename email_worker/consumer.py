"""From deliveries on the bus to mails: one use case per job."""

import logging
from typing import Protocol

from delivery.models import Attempt, ReadyDelivery
from email_worker.errors import MailboxGone
from email_worker.models import Mail
from email_worker.use_cases import SendMail
from mesh.errors import ServiceError

log = logging.getLogger(__name__)


class SuppressionList(Protocol):
    """The addresses that get no e-mail."""

    async def suppress(self, project: str, address: str, evidence: str) -> None:
        """Adds an address of a project with what was seen. Raises ServiceError."""
        ...


class EmailConsumer:
    """The e-mail channel of the delivery pipeline."""

    def __init__(self, send_mail: SendMail, suppressions: SuppressionList) -> None:
        self._send_mail = send_mail
        self._suppressions = suppressions

    async def send(self, job: ReadyDelivery) -> Attempt:
        """Raises DeliveryError when the mail was not taken. An address without a mailbox is suppressed."""
        try:
            await self._send_mail(to_mail(job))
        except MailboxGone as error:
            await self._suppress(job.delivery.project, job.recipient.email, f"{error.reason} {error.detail}")
            raise
        return Attempt()

    async def _suppress(self, project: str, address: str, evidence: str) -> None:
        try:
            await self._suppressions.suppress(project, address, evidence)
        except ServiceError as error:
            # the next mail to it finds out again
            log.warning("address not suppressed", extra={"reason": error.reason})


def to_mail(job: ReadyDelivery) -> Mail:
    """The job as a mail. Its id names notification and run, so that a reviewer's requeue is a new mail and a retry is not."""
    return Mail(
        id=f"{job.delivery.notification_id}.{job.delivery.run}",
        address=job.recipient.email,
        name=job.recipient.name,
        subject=job.content.subject,
        text=job.content.text,
        html=job.content.html,
        correlation_id=job.delivery.correlation_id,
    )
