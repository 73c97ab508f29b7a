"""Whether a delivery may be retried: all that a provider adapter has to say about a refusal."""

from typing import ClassVar


class DeliveryError(Exception):
    """A provider did not take a notification. Providers raise only the two kinds below; the delivery loop asks `retryable`, no more.

    `reason` is UPPER_SNAKE such as SMTP_451, `detail` the provider's words without addresses and tokens.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, reason: str, detail: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.retry_after_s = retry_after_s


class TransientDeliveryError(DeliveryError):
    """The cause may pass: a later attempt may succeed, not before `retry_after_s` where it is set."""

    retryable = True


class PermanentDeliveryError(DeliveryError):
    """No later attempt can succeed."""
