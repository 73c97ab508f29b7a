"""The provider of test keys: it reaches no one, keeps what it gets, and answers as the recipient's name asks it to.

An e-mail address `<outcome>@clarion.test` (RFC 6761 keeps `.test` out of the world) and a device token `sandbox:<outcome>` choose one of
`Outcome`; any other recipient is delivered to.
"""

import asyncio
import re
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from clarion.channel.v1.channel_pb2 import CHANNEL_EMAIL
from clarion.notification.v1.captured_message_pb2 import CapturedMessage
from clarion.notification.v1.notification_pb2 import (
    FACT_COMPLAINED,
    FACT_DELIVERED,
    FACT_HARD_BOUNCED,
    FACT_OPENED,
    FACT_SOFT_BOUNCED,
    DeviceResult,
    Fact,
)
from delivery.errors import DeliveryError, Fault, PermanentDeliveryError, TransientDeliveryError
from delivery.models import Attempt, OutcomeUnknown, ReadyDelivery

NAME = "sandbox"
DELIVERED = "delivered"

_SLOW_S = 3.0
_THROTTLED_S = 2.0
_EMAIL = re.compile(r"([a-z-]+)(?:\+[^@]*)?@clarion\.test", re.IGNORECASE)
_TOKEN = re.compile(r"sandbox:([a-z-]+)(?::.*)?")


class Outcome(StrEnum):
    """What a recipient's name can ask for."""

    DELIVERED = "delivered"
    SLOW = "slow"  # delivered after 3 s
    SOFT_BOUNCE = "soft-bounce"  # deferred once, then delivered
    HARD_BOUNCE = "hard-bounce"  # no such mailbox
    THROTTLED = "throttled"  # refused once with a Retry-After of 2 s, then delivered
    UNREGISTERED = "unregistered"  # the device is gone
    UNKNOWN = "unknown"  # no answer after the whole message
    FLAPPING = "flapping"  # every second attempt fails
    DOWN = "down"  # every attempt fails
    # taken, and then reported of, as a provider or the person's mail server does hours later: e-mail only
    COMPLAINT = "complaint"
    LATE_BOUNCE = "late-bounce"
    LATE_SOFT_BOUNCE = "late-soft-bounce"
    OPENED = "opened"


_FACTS: dict[Outcome, tuple[Fact.ValueType, ...]] = {
    Outcome.COMPLAINT: (FACT_DELIVERED, FACT_COMPLAINED),
    Outcome.LATE_BOUNCE: (FACT_HARD_BOUNCED,),
    Outcome.LATE_SOFT_BOUNCE: (FACT_SOFT_BOUNCED,),
    Outcome.OPENED: (FACT_DELIVERED, FACT_OPENED),
}


class SandboxDeferred(TransientDeliveryError):
    """One recipient's wish: it says nothing of the provider, and holds up no other test."""

    of_recipient_only = True
    fault = Fault.RECIPIENT


class CaptureStore(Protocol):
    """Where captured messages are kept. Without its store a message is not kept, and delivered all the same."""

    async def keep(self, user_id: str, message: CapturedMessage) -> None: ...


class SandboxSender:
    """A channel that reaches no one. `now_s` is Unix time."""

    def __init__(self, captures: CaptureStore, *, now_s: Callable[[], float] = time.time) -> None:
        self._captures = captures
        self._now_s = now_s

    async def send(self, job: ReadyDelivery) -> Attempt:
        """What the recipient's name asks for; of several devices each for itself. Never raises."""
        if job.delivery.channel == CHANNEL_EMAIL:
            asked = [_asked(_EMAIL, job.recipient.email)]
            attempt = Attempt(_error(asked[0], job.delivery.attempt), facts=_FACTS.get(asked[0], ()))
        else:
            wanted = set(job.delivery.device_ids)
            devices = [device for device in job.recipient.devices if not wanted or device.device_id in wanted]
            asked = [_asked(_TOKEN, device.token) for device in devices]
            errors = {device.device_id: _error(each, job.delivery.attempt) for device, each in zip(devices, asked, strict=True)}
            attempt = _sum_up(errors)
        if Outcome.SLOW in asked:
            await asyncio.sleep(_SLOW_S)
        await self._captures.keep(job.delivery.user_id, self._captured(job, attempt))
        return attempt

    def _captured(self, job: ReadyDelivery, attempt: Attempt) -> CapturedMessage:
        message = CapturedMessage(
            notification_id=job.delivery.notification_id,
            channel=job.delivery.channel,
            locale=job.locale,
            locale_chain=job.locale_chain,
            content=job.content,
            attempt=job.delivery.attempt,
            answer=attempt.error.reason if attempt.error is not None else DELIVERED,
            sender=job.sender,
        )
        if job.delivery.channel == CHANNEL_EMAIL:
            message.email = job.recipient.email
            for file in job.delivery.attachments:
                captured = message.attachments.add(filename=file.filename, content_type=file.content_type)
                captured.attachment_id, captured.size_bytes, captured.content_id = file.attachment_id, file.size_bytes, file.content_id
        else:
            message.device_ids.extend(device.device_id for device in job.recipient.devices)
        message.time.FromNanoseconds(int(self._now_s() * 1e9))
        return message


def _asked(pattern: re.Pattern[str], name: str) -> Outcome:
    found = pattern.fullmatch(name)
    word = found.group(1).lower() if found else ""
    return Outcome(word) if word in frozenset(Outcome) else Outcome.DELIVERED


def _error(outcome: Outcome, attempt: int) -> DeliveryError | None:
    """The answer to an attempt, counted from 1."""
    first = attempt == 1
    if outcome is Outcome.HARD_BOUNCE:
        return PermanentDeliveryError("SMTP_550_5_1_1", "the sandbox knows no such mailbox", fault=Fault.RECIPIENT)
    if outcome is Outcome.UNREGISTERED:
        return PermanentDeliveryError("UNREGISTERED", "the sandbox knows no such device", fault=Fault.RECIPIENT)
    if outcome is Outcome.UNKNOWN:
        return OutcomeUnknown("SANDBOX_SILENT", "the sandbox got the whole message and did not answer")
    if outcome is Outcome.DOWN or (outcome is Outcome.SOFT_BOUNCE and first) or (outcome is Outcome.FLAPPING and attempt % 2):
        return SandboxDeferred("SMTP_451", "the sandbox was asked to defer this attempt")
    if outcome is Outcome.THROTTLED and first:
        return SandboxDeferred("QUOTA_EXCEEDED", "the sandbox was asked to throttle this attempt", retry_after_s=_THROTTLED_S)
    return None


def _sum_up(errors: dict[str, DeliveryError | None]) -> Attempt:
    """One attempt of many devices: those that may still be reached are tried again."""
    pending = [device_id for device_id, error in errors.items() if error is not None and error.retryable]
    settled = [
        DeviceResult(device_id=device_id, accepted=error is None, reason=error.reason if error is not None else "")
        for device_id, error in errors.items()
        if device_id not in pending
    ]
    failed = [error for error in errors.values() if error is not None]
    retryable = [error for error in failed if error.retryable]
    if retryable:
        return Attempt(retryable[0], settled, pending)
    return Attempt(failed[0] if len(failed) == len(errors) and failed else None, settled)
