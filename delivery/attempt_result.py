"""From an attempt to a disposition and its outcome message, and the ledger's form of it. Pure."""

import struct
from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from clarion.delivery.v1.delivery_pb2 import (
    FAULT_MESSAGE,
    FAULT_PROVIDER,
    FAULT_RECIPIENT,
    FAULT_SENDER,
    FAULT_UNSPECIFIED,
    Delivery,
    DeliveryFailed,
    Outcome,
)
from clarion.notification.v1 import notification_pb2 as notification
from clarion.template.v1.template_pb2 import ON_UNKNOWN_HOLD
from delivery.disposition import Dead, Disposition, Done, Retry
from delivery.errors import DeliveryError, Fault, readable
from delivery.lanes import RETRY_DELAYS_S
from delivery.models import Attempt, OutcomeUnknown

ATTEMPTS = 1 + len(RETRY_DELAYS_S)
# Of a run, those that use up no step of the ladder among them: a delivery whose sender is refused waits for a day or so.
MAX_ATTEMPTS = 100

# Short at first: it may be one worker's password that is wrong, and the next worker that takes the message can send it.
_REFUSED_S, _REFUSED_MAX_S = 4.0, 900.0
_FAULTS = {
    None: FAULT_UNSPECIFIED, Fault.RECIPIENT: FAULT_RECIPIENT, Fault.MESSAGE: FAULT_MESSAGE, Fault.SENDER: FAULT_SENDER,
    Fault.PROVIDER: FAULT_PROVIDER,
}  # fmt: skip

_HEAD = struct.Struct(">cd")  # kind, retry_after_s (negative: none)
# A retry after an attempt that surely reached no one, and one after an attempt that has or may have: the latter can't be cancelled.
RETRY, DOUBTFUL_RETRY = b"R", b"P"
_NO_ANSWER = "an earlier try of this attempt ended without an answer"
_MAX_DETAIL = 500


def result_of(
    delivery: Delivery,
    attempt: Attempt,
    *,
    locale: str = "",
    locale_chain: Sequence[str] = (),
    started_ns: int = 0,
    provider: str = "",
    refused: Sequence[str] = (),
    previous_outcome_unknown: bool = False,
    attempts: int = ATTEMPTS,
) -> Done | Retry | Dead:
    """What an attempt means. `started_ns` (Unix time) is when the provider was called, 0 when it was not.

    `provider` is who answered; `refused` names those that were tried before in the same attempt, with their reasons.
    `locale_chain` are the locales that were looked for, the one of the text last.
    `previous_outcome_unknown` says that an earlier try of this attempt ended without an answer. `attempts`: as many as the ladder allows.
    """
    disposition = _decide(delivery, attempt, locale, started_ns, attempts)
    decided = disposition.outcome
    decided.provider = provider
    if decided.status == notification.NOTIFICATION_STATUS_SENT and len(locale_chain) > 1:
        decided.detail = f"no text in {', '.join(locale_chain[:-1])}; used {locale_chain[-1]}"
    if refused:
        before = f"after {', '.join(refused)}"
        decided.detail = (f"{decided.detail} ({before})" if decided.detail else before)[:_MAX_DETAIL]
    if previous_outcome_unknown:
        decided.detail = "; ".join(filter(None, (f"tried again: {_NO_ANSWER}", decided.detail)))[:_MAX_DETAIL]
    return disposition


def _decide(delivery: Delivery, attempt: Attempt, locale: str, started_ns: int, attempts: int) -> Done | Retry | Dead:
    error = attempt.error
    devices = [*delivery.device_results, *attempt.devices]
    reached = any(device.accepted for device in devices)
    if error is None:
        sent = _outcome(delivery, notification.NOTIFICATION_STATUS_SENT, started_ns, locale=locale, devices=devices)
        sent.facts.extend(attempt.facts)
        return Done(sent)
    if isinstance(error, OutcomeUnknown) and delivery.on_unknown == ON_UNKNOWN_HOLD:
        return lost(delivery, detail=error.detail, started_ns=started_ns)
    # once a person was reached nothing waits for an operator any more
    waits = not error.uses_attempt and not reached
    if error.retryable and (waits or delivery.attempt - delivery.refusals < attempts) and delivery.attempt < MAX_ATTEMPTS:
        retrying = _outcome(delivery, notification.NOTIFICATION_STATUS_RETRYING, started_ns, error=error, locale=locale, devices=devices)
        rest = _rest(delivery, attempt, devices) if attempt.pending else None
        if not waits:
            return Retry(retrying, error.retry_after_s, rest)
        wait_s = max(error.retry_after_s or 0.0, min(_REFUSED_MAX_S, _REFUSED_S * 2.0 ** min(delivery.refusals, 10)))
        return Retry(retrying, wait_s, _refused(rest or delivery))
    devices += [notification.DeviceResult(device_id=device, reason=error.reason) for device in attempt.pending]
    if reached:
        return Done(_outcome(delivery, notification.NOTIFICATION_STATUS_SENT, started_ns, locale=locale, devices=devices))
    failed = _outcome(delivery, notification.NOTIFICATION_STATUS_FAILED, started_ns, error=error, locale=locale, devices=devices)
    return Dead(failed)


def outcome(delivery: Delivery, status: notification.NotificationStatus.ValueType, *, reason: str, detail: str = "") -> Outcome:
    """The outcome of a delivery whose provider was not called."""
    return _outcome(delivery, status, 0, reason=reason, detail=detail)


def lost(delivery: Delivery, *, detail: str = "", started_ns: int = 0) -> Dead:
    """The outcome of the attempt is unknown and the template forbids sending it twice: a reviewer decides."""
    said = f"the provider may or may not have taken it: {detail}" if detail else _NO_ANSWER
    return Dead(_outcome(delivery, notification.NOTIFICATION_STATUS_FAILED, started_ns, reason="OUTCOME_UNKNOWN", detail=said))


def reached_before(delivery: Delivery) -> Done | None:
    """SENT for a delivery that has reached a device in an earlier attempt: whatever was decided since does not undo that."""
    if not any(device.accepted for device in delivery.device_results):
        return None
    return Done(_outcome(delivery, notification.NOTIFICATION_STATUS_SENT, 0, devices=list(delivery.device_results)))


def expired(delivery: Delivery, *, detail: str = "", doubtful: bool = False) -> Done:
    """The delivery is out of time. `doubtful` says that an earlier try of this attempt may have been sent."""
    said = _NO_ANSWER if doubtful else detail
    late = _outcome(delivery, notification.NOTIFICATION_STATUS_EXPIRED, 0, reason="EXPIRED", detail=said)
    return reached_before(delivery) or Done(late)


def cancelled(delivery: Delivery) -> Done:
    """The delivery was cancelled before this attempt began."""
    return reached_before(delivery) or Done(_outcome(delivery, notification.NOTIFICATION_STATUS_CANCELLED, 0))


def encode(disposition: Disposition, *, doubtful: bool = False) -> bytes:
    """The ledger's record of what was decided after an attempt; `doubtful` where a failed one may have been sent nevertheless.

    Raises ValueError for a Defer, after which nothing was attempted.
    """
    match disposition:
        case Done(outcome=known):
            return _HEAD.pack(b"D", -1) + DeliveryFailed(outcome=known).SerializeToString()
        case Dead(outcome=known):
            return _HEAD.pack(b"X", -1) + DeliveryFailed(outcome=known).SerializeToString()
        case Retry(outcome=known, retry_after_s=wait_s, delivery=rest):
            kind = DOUBTFUL_RETRY if doubtful or any(device.accepted for device in known.devices) else RETRY
            return _HEAD.pack(kind, -1 if wait_s is None else wait_s) + DeliveryFailed(outcome=known, delivery=rest).SerializeToString()
    raise ValueError("a deferred delivery leaves no record")


def decode(record: bytes) -> Disposition:
    """What `encode` wrote."""
    kind, wait_s = _HEAD.unpack_from(record)
    known = DeliveryFailed.FromString(record[_HEAD.size :])
    if kind in {RETRY, DOUBTFUL_RETRY}:
        return Retry(known.outcome, wait_s if wait_s >= 0 else None, known.delivery if known.HasField("delivery") else None)
    return Done(known.outcome) if kind == b"D" else Dead(known.outcome)


def _refused(delivery: Delivery) -> Delivery:
    refused = Delivery()
    refused.CopyFrom(delivery)
    refused.refusals += 1
    return refused


def _rest(delivery: Delivery, attempt: Attempt, devices: list[notification.DeviceResult]) -> Delivery:
    rest = Delivery()
    rest.CopyFrom(delivery)
    rest.device_ids[:] = attempt.pending
    del rest.device_results[:]
    rest.device_results.extend(devices)
    return rest


def _outcome(
    delivery: Delivery,
    status: notification.NotificationStatus.ValueType,
    started_ns: int,
    *,
    error: DeliveryError | None = None,
    reason: str = "",
    detail: str = "",
    locale: str = "",
    devices: list[notification.DeviceResult] | None = None,
) -> Outcome:
    return Outcome(
        notification_id=delivery.notification_id,
        run=delivery.run,
        attempt=delivery.attempt,
        status=status,
        start_time=_timestamp(started_ns) if started_ns else None,
        reason=error.reason if error is not None else reason,
        detail=readable(error.detail if error is not None else detail)[:_MAX_DETAIL],
        locale=locale,
        devices=devices,
        fault=_FAULTS[error.fault] if error is not None else FAULT_UNSPECIFIED,
        transient=error is not None and error.retryable,
    )


def _timestamp(unix_ns: int) -> Timestamp:
    return Timestamp(seconds=unix_ns // 1_000_000_000, nanos=unix_ns % 1_000_000_000)
