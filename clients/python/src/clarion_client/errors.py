"""What can go wrong: one class per reason that a caller may want to handle.

Every error holds the API's `reason` (stable, UPPER_SNAKE), its message, the HTTP status or gRPC code, the fields that broke a rule, how
long to wait where that is known, and the correlation id to quote in a report. The tree: ClarionError > by status > by reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FieldViolation:
    """One field that broke a rule: its path and the rule."""

    field: str
    description: str


class ClarionError(Exception):
    """The base of everything that this package raises about a call."""

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        status: int = 0,
        code: int = 0,
        violations: Sequence[FieldViolation] = (),
        retry_after_s: float | None = None,
        metadata: Mapping[str, str] | None = None,
        correlation_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.status = status
        self.code = code
        self.violations = tuple(violations)
        self.retry_after_s = retry_after_s
        self.metadata = dict(metadata or {})
        self.correlation_id = correlation_id

    def __str__(self) -> str:
        said = f"{self.message} [{self.reason}]" if self.reason else self.message
        return f"{said} (correlation id {self.correlation_id})" if self.correlation_id else said


class ConnectionFailed(ClarionError):
    """The server was not reached, or the connection broke. A request with an idempotency key may be repeated."""


class Timeout(ClarionError):
    """The deadline passed; whether the call had an effect is unknown."""


class BadResponse(ClarionError):
    """The answer is not one of Clarion's: a proxy in between, or another server at that address."""


class InvalidRequest(ClarionError):
    """The request breaks a rule; `violations` name the fields."""


class UserNotFoundForSend(InvalidRequest):
    """USER_NOT_FOUND: the person of a send does not exist."""


class TemplateNotFoundForSend(InvalidRequest):
    """TEMPLATE_NOT_FOUND: the template of a send does not exist."""


class TemplateNotPublished(InvalidRequest):
    """TEMPLATE_NOT_PUBLISHED."""


class MissingVariable(InvalidRequest):
    """MISSING_VARIABLE: the template needs variables that were not given."""


class InvalidVariables(InvalidRequest):
    """INVALID_VARIABLES: the variables do not keep to the template's schema; `violations` name the places."""


class ChannelMismatch(InvalidRequest):
    """CHANNEL_MISMATCH: the template is for another channel."""


class IdempotencyKeyReused(InvalidRequest):
    """IDEMPOTENCY_KEY_REUSED: the key was used for another request."""


class RequestTooLarge(InvalidRequest):
    """BODY_TOO_LARGE and the like: the request as a whole is larger than the server takes. It will be the next time, too."""


class Unauthenticated(ClarionError):
    """The key or token is missing, wrong or expired."""


class PermissionDenied(ClarionError):
    """The caller is known and may not do this."""


class NotFound(ClarionError):
    """There is no such object."""


class Conflict(ClarionError):
    """The object exists already, or a concurrent call stands in the way."""


class EmailTaken(Conflict):
    """EMAIL_TAKEN: another user has this address."""


class TemplateExists(Conflict):
    """TEMPLATE_EXISTS."""


class IdempotencyInProgress(Conflict):
    """IDEMPOTENCY_IN_PROGRESS: the first request with this key has not ended."""


class FailedPrecondition(ClarionError):
    """The object is in a state that forbids this."""


class TooLateToCancel(FailedPrecondition):
    """TOO_LATE_TO_CANCEL: an attempt is under way or has ended."""


class TemplateArchived(FailedPrecondition):
    """TEMPLATE_ARCHIVED: the template is out of use until it is restored."""


class RateLimited(ClarionError):
    """A limit was met; `retry_after_s` says when there is quota again."""


class Unavailable(ClarionError):
    """The server, or a part behind it, is down for now."""


class ServerError(ClarionError):
    """A defect of the server; quote the correlation id."""


_BY_REASON: dict[str, type[ClarionError]] = {
    "USER_NOT_FOUND": UserNotFoundForSend,
    "TEMPLATE_NOT_FOUND": TemplateNotFoundForSend,
    "TEMPLATE_NOT_PUBLISHED": TemplateNotPublished,
    "INVALID_VARIABLES": InvalidVariables,
    "MISSING_VARIABLE": MissingVariable,
    "CHANNEL_MISMATCH": ChannelMismatch,
    "IDEMPOTENCY_KEY_REUSED": IdempotencyKeyReused,
    "BODY_TOO_LARGE": RequestTooLarge,
    "MESSAGE_TOO_LARGE": RequestTooLarge,
    "HEAD_TOO_LARGE": RequestTooLarge,
    "TOO_MANY_HEADERS": RequestTooLarge,
    "TRAILERS_TOO_LARGE": RequestTooLarge,
    "EMAIL_TAKEN": EmailTaken,
    "TEMPLATE_EXISTS": TemplateExists,
    "IDEMPOTENCY_IN_PROGRESS": IdempotencyInProgress,
    "TOO_LATE_TO_CANCEL": TooLateToCancel,
    "TEMPLATE_ARCHIVED": TemplateArchived,
}
# google.rpc.Code to the class of its kind.
_BY_CODE: dict[int, type[ClarionError]] = {
    1: ConnectionFailed,
    3: InvalidRequest,
    4: Timeout,
    5: NotFound,
    6: Conflict,
    7: PermissionDenied,
    8: RateLimited,
    9: FailedPrecondition,
    10: Conflict,
    11: InvalidRequest,
    14: Unavailable,
    16: Unauthenticated,
}
# Errors after which the same request may be sent once more.
RETRYABLE: tuple[type[ClarionError], ...] = (ConnectionFailed, Unavailable, RateLimited, IdempotencyInProgress)


def invalid(field: str, rule: str) -> InvalidRequest:
    """What can't be asked for at all, so that the server never heard of it."""
    return InvalidRequest(f"{field}: {rule}", reason="INVALID_ARGUMENT", violations=[FieldViolation(field, rule)])


def from_status(body: Mapping[str, Any], *, status: int = 0, retry_after: str | None = None, correlation_id: str = "") -> ClarionError:
    """The error of a google.rpc.Status in JSON."""
    code = int(body.get("code", 0))
    reason, metadata, violations, wait = "", {}, [], _seconds(retry_after)
    for detail in body.get("details") or ():
        kind = str(detail.get("@type", "")).rpartition(".")[2]
        if kind == "ErrorInfo":
            reason, metadata = detail.get("reason", ""), detail.get("metadata", {})
        elif kind == "BadRequest":
            violations += [FieldViolation(v.get("field", ""), v.get("description", "")) for v in detail.get("field_violations", ())]
        elif kind == "RetryInfo" and wait is None:
            wait = _seconds(str(detail.get("retry_delay", "")).removesuffix("s"))
    by_code = _BY_CODE.get(code, ServerError)
    by_reason = _BY_REASON.get(reason)
    # A reason's class serves where the code agrees with it: a template may be "not found" in a send and as an object of its own.
    # What is too large has the code of limits that are over with time, which it is not.
    fits = by_reason is not None and (issubclass(by_reason, by_code) or by_reason is RequestTooLarge)
    kind_of = by_reason if by_reason is not None and fits else by_code
    return kind_of(
        str(body.get("message") or "the server gave no message"),
        reason=reason,
        status=status,
        code=code,
        violations=violations,
        retry_after_s=wait,
        metadata=metadata,
        correlation_id=correlation_id,
    )


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text) if text else math.nan
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
