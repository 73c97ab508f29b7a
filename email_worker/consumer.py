"""From deliveries on the bus to mails: one use case per job."""

from delivery.models import Attempt, ReadyDelivery
from email_worker.models import Mail
from email_worker.use_cases import SendMail


class EmailConsumer:
    """The e-mail channel of the delivery pipeline."""

    def __init__(self, send_mail: SendMail) -> None:
        self._send_mail = send_mail

    async def send(self, job: ReadyDelivery) -> Attempt:
        """Raises DeliveryError when the mail was not taken."""
        await self._send_mail(to_mail(job))
        return Attempt()


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
