"""Why a mail was not taken, in the two kinds that the delivery loop knows."""

from mesh.errors import PermanentDeliveryError


class UnsafeMail(PermanentDeliveryError):
    """It can't be written as a mail without letting its content reach the headers or the SMTP dialogue."""
