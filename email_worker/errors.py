"""Why a mail was not taken, in the kinds that the delivery pipeline knows."""

from delivery.errors import PermanentDeliveryError, TransientDeliveryError
from delivery.models import OutcomeUnknown, ProviderUnavailable


class UnsafeMail(PermanentDeliveryError):
    """It can't be written as a mail without letting its content reach the headers or the SMTP dialogue."""


class SmtpRefused(TransientDeliveryError):
    """The server answered 4yz: not now. It is alive, so this says nothing about the next mail."""


class SmtpRejected(PermanentDeliveryError):
    """The server answered 5yz: never."""


class SmtpUnavailable(ProviderUnavailable):
    """No connection, no answer, no trust, or a refusal of us and not of the mail."""


class SmtpOutcomeUnknown(OutcomeUnknown):
    """No answer after the final dot: the mail may have been taken."""
