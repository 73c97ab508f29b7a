"""Whether a delivery may be retried, and whose fault it was: all that a provider adapter has to say about a refusal."""

import re
from enum import StrEnum
from typing import ClassVar

# Halves of surrogate pairs (bytes that were not UTF-8) have no form in protobuf, NUL has none in PostgreSQL, other controls none in a line.
_UNREADABLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class Fault(StrEnum):
    """Who has to change something before the same mail or push can be taken. The tables of the providers are in docs/providers.md."""

    RECIPIENT = "recipient"  # the address or the device
    MESSAGE = "message"  # this text
    SENDER = "sender"  # our account, address, configuration or reputation: every message would meet it
    PROVIDER = "provider"  # the provider itself, or the way to it


def readable(text: str) -> str:
    """The text with U+FFFD in place of what no log, message or database can hold."""
    return text if text.isprintable() else _UNREADABLE.sub("\ufffd", text)


class DeliveryError(Exception):
    """A provider did not take a notification. The delivery loop asks `retryable` and the kind, no more.

    `reason` is UPPER_SNAKE such as SMTP_451, `detail` the provider's words without addresses and tokens. `fault` is None where nothing
    was sent to a provider.
    """

    retryable: ClassVar[bool] = False
    # False where the refusal is no judgement on this delivery: it waits and uses up no step of the retry ladder.
    uses_attempt: ClassVar[bool] = True
    # Whether even many of them say nothing of the provider: it does not defer nearly everything because many mailboxes are full.
    of_recipient_only: ClassVar[bool] = False
    fault: Fault | None = None

    def __init__(self, reason: str, detail: str = "", *, retry_after_s: float | None = None, fault: Fault | None = None) -> None:
        self.fault = fault or self.fault
        self.reason = readable(reason)
        self.detail = readable(detail)
        super().__init__(f"{self.reason}: {self.detail}" if detail else self.reason)
        self.retry_after_s = retry_after_s


class TransientDeliveryError(DeliveryError):
    """The cause may pass: a later attempt may succeed, not before `retry_after_s` where it is set."""

    retryable = True


class PermanentDeliveryError(DeliveryError):
    """No later attempt can succeed."""
