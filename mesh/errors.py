"""Every error that crosses a boundary between processes, as the caller gets it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Self


class Code(Enum):
    """Status codes with gRPC's names and numbers, so that use cases stay free of grpc."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field that breaks one rule; `field` is its path in the request, such as `contents.pt-BR.subject`."""

    field: str
    description: str


_MOST_VIOLATIONS = 30
# What would break an encoder (lone surrogates) or forge what a person reads: control characters but tab and line feed, the characters that
# change the direction of text (Unicode Standard Annex 9, section 2), and those that are not seen (Default_Ignorable_Code_Point in UAX 44).
# The joiners belong to words and emoji outside ASCII, and the selectors of variants to emoji.
_UNSHOWABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e0fff]|(?<=[ -~])[\u200c\u200d]|[\u200c\u200d](?=[ -~])"
)


def showable(text: str, longest: int = 1000) -> str:
    """Text from outside as it may stand in an error: escaped as in Python where it can't be shown, cut where it is too long.

    A gRPC error travels in trailers, of which most clients take 8 KiB.
    """
    if len(text) > longest:
        text = text[:longest] + "..."
    if text.isascii() and text.isprintable():
        return text
    return _UNSHOWABLE.sub(lambda found: ascii(found[0])[1:-1], text)


class ServiceError(Exception):
    """An error that a caller gets in full. `message` is for people and must hold no secret and no internals.

    `reason` is the stable UPPER_SNAKE word of google.rpc.ErrorInfo (AIP-193), `retry_after_s` becomes RetryInfo and Retry-After,
    `quota` names the limit that was exceeded.
    """

    code: ClassVar[Code] = Code.UNKNOWN
    reason: str = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_after_s: float | None = None,
        quota: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        # strings from outside end up in all of these, and no text may break the way out
        message = showable(message)
        super().__init__(message)
        self.message = message
        if reason is not None:
            self.reason = reason
        self.violations = tuple(
            FieldViolation(showable(item.field, 200), showable(item.description, 300)) for item in violations[:_MOST_VIOLATIONS]
        )
        self.retry_after_s = retry_after_s
        self.quota = quota
        self.metadata = {showable(key): showable(value) for key, value in (metadata or {}).items()}
        # response headers that the call had set before it failed, filled in by the dispatcher
        self.headers: tuple[tuple[str, str], ...] = ()


class Cancelled(ServiceError):
    """The caller went away."""

    code = Code.CANCELLED
    reason = "CANCELLED"


class InvalidArgument(ServiceError):
    """The request itself is wrong, whatever the state of the system."""

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"

    @classmethod
    def of(cls, field: str, description: str, *, reason: str | None = None) -> Self:
        """The usual case: one field breaks one rule."""
        return cls(f"{field}: {description}", reason=reason, violations=[FieldViolation(field, description)])


class DeadlineExceeded(ServiceError):
    """The time ran out; the effect is unknown."""

    code = Code.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"


class NotFound(ServiceError):
    """There is no such object, or the caller may not know of it."""

    code = Code.NOT_FOUND
    reason = "NOT_FOUND"


class AlreadyExists(ServiceError):
    """The object, or its unique name, exists."""

    code = Code.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"


class PermissionDenied(ServiceError):
    """The caller is known and may not do this."""

    code = Code.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"


class ScopeMissing(PermissionDenied):
    """The call, or what it asks for, takes a scope that the caller does not hold."""

    reason = "SCOPE_MISSING"

    def __init__(self, scope: str) -> None:
        super().__init__(f"this call needs the scope {scope}", metadata={"scope": scope})


class ResourceExhausted(ServiceError):
    """A limit was met."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "RESOURCE_EXHAUSTED"


class FailedPrecondition(ServiceError):
    """The object is in a state that forbids this."""

    code = Code.FAILED_PRECONDITION
    reason = "FAILED_PRECONDITION"


class Aborted(ServiceError):
    """A concurrent call stands in the way; trying again may help."""

    code = Code.ABORTED
    reason = "ABORTED"


class OutOfRange(ServiceError):
    """A value lies past the end of what exists."""

    code = Code.OUT_OF_RANGE
    reason = "OUT_OF_RANGE"


class Unimplemented(ServiceError):
    """There is no such method."""

    code = Code.UNIMPLEMENTED
    reason = "UNIMPLEMENTED"


class Internal(ServiceError):
    """A defect of ours; the details are in the log under the correlation id."""

    code = Code.INTERNAL
    reason = "INTERNAL"


class Unavailable(ServiceError):
    """A part is down for now; the call had no effect or may be repeated."""

    code = Code.UNAVAILABLE
    reason = "UNAVAILABLE"


class Unauthenticated(ServiceError):
    """The credentials are missing, wrong or expired."""

    code = Code.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class Unknown(ServiceError):
    """Another process failed without saying how."""

    code = Code.UNKNOWN
    reason = "UNKNOWN"


class DataLoss(ServiceError):
    """Stored data can't be read any more."""

    code = Code.DATA_LOSS
    reason = "DATA_LOSS"
