"""Why a mail was not taken, in the kinds that the delivery pipeline knows. `email_worker/replies.py` says which reply means which."""

from delivery.errors import Fault, PermanentDeliveryError, TransientDeliveryError
from delivery.models import OutcomeUnknown, ProviderUnavailable, SenderRefused


class UnsafeMail(PermanentDeliveryError):
    """It can't be written as a mail without letting its content reach the headers or the SMTP dialogue."""


class SigningKeyUnavailable(TransientDeliveryError):
    """The key that the mail is to be signed with can't be had for now. It says nothing of the server."""

    uses_attempt = False
    of_recipient_only = True


class AttachmentUnavailable(TransientDeliveryError):
    """A file of the mail can't be had for now. It says nothing of the server."""

    uses_attempt = False
    of_recipient_only = True


class AttachmentMissing(PermanentDeliveryError):
    """A file of the mail is not kept any more."""

    fault = Fault.MESSAGE


class SmtpRefused(TransientDeliveryError):
    """The server refuses this mail for now. It is alive, so this says nothing about the next mail."""


class MailboxBusy(SmtpRefused):
    """The mailbox is full or closed for now, which is no state of the server."""

    of_recipient_only = True


class SmtpRejected(PermanentDeliveryError):
    """The server refuses this mail for good."""


class MailboxGone(SmtpRejected):
    """There is no such mailbox: the address is to get no more mail."""


class SmtpUnavailable(ProviderUnavailable):
    """No connection, no answer, or a refusal that is the server's own trouble."""


class SmtpSenderRefused(SmtpUnavailable, SenderRefused):
    """The server refuses us and not the mail."""


class SmtpOutcomeUnknown(OutcomeUnknown):
    """No answer after the final dot: the mail may have been taken."""
