"""What each answer of FCM HTTP v1 means: whose fault it is, and what happens to push and device. docs/providers.md shows the table.

Sources: the ErrorCode page and the reference of FCM HTTP v1 (firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode), google.rpc.Code.
A token is given up on evidence about the token only: FCM answers a good one with INVALID_ARGUMENT too when the payload is at fault.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from delivery.errors import DeliveryError, Fault
from push_worker.errors import DeviceGone, FcmPlatformRefused, FcmRejected, FcmSenderRefused, FcmThrottled, FcmUnavailable

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
# FCM's own sentence: "The registration token is not a valid FCM registration token"
_ABOUT_TOKEN = re.compile(
    r"registration token is not a valid|not a valid FCM registration token|invalid registration(-| )token", re.IGNORECASE
)
_WORD = re.compile("[A-Z][A-Z0-9_]{0,63}")


class Treatment(StrEnum):
    """What happens to the push for this device, to the device, and to FCM's breaker."""

    FORGET = "given up, and the device is removed"  # the breaker sees a provider that works
    GIVE_UP = "given up"  # the same
    RETRY = "retry, not before Retry-After"  # the same
    UNAVAILABLE = "retry"  # a failure for the breaker when no device got another answer
    WAIT_PLATFORM = "wait"  # uses up no step of the ladder, an operator is alarmed; nothing for the breaker: other platforms work
    WAIT = "wait, all of them"  # the same, and a failure for the breaker


@dataclass(frozen=True, slots=True)
class Rule:
    """Matches an answer by HTTP status, FCM's error code, and what it blames. Without a `reason` FCM's code or status is it."""

    status: str
    fault: Fault
    treatment: Treatment
    code: str = ".*"
    about_token: bool = False
    foreign: bool = False
    reason: str = ""
    meaning: str = ""

    def matches(self, answer: "Answer") -> bool:
        """Whether the rule is about this answer."""
        return (
            re.fullmatch(self.status, str(answer.status)) is not None
            and re.fullmatch(self.code, answer.code) is not None
            and (not self.about_token or answer.blames_token)
            and (not self.foreign or not answer.is_googles)
        )


_REFUSED = r"APNS_AUTH_ERROR|THIRD_PARTY_AUTH_ERROR"

RULES: tuple[Rule, ...] = (
    Rule(r"404|400", Fault.RECIPIENT, Treatment.FORGET, code="UNREGISTERED", meaning="the app was uninstalled or the token replaced"),
    Rule("...", Fault.SENDER, Treatment.WAIT_PLATFORM, code=_REFUSED, reason="THIRD_PARTY_AUTH_ERROR", meaning="APNs or web push keys"),
    Rule("...", Fault.SENDER, Treatment.GIVE_UP, code="SENDER_ID_MISMATCH", meaning="the token is another project's, or ours is wrong"),
    Rule("400", Fault.RECIPIENT, Treatment.FORGET, about_token=True, reason="INVALID_TOKEN", meaning="the token is no token"),
    Rule("400", Fault.PROVIDER, Treatment.UNAVAILABLE, foreign=True, meaning="not Google's form of an error: a proxy on the way, say"),
    Rule("400|413", Fault.MESSAGE, Treatment.GIVE_UP, reason="INVALID_ARGUMENT", meaning="the payload"),
    Rule("429", Fault.PROVIDER, Treatment.RETRY, reason="QUOTA_EXCEEDED", meaning="too much for the project, the topic or the device"),
    Rule("408|5..", Fault.PROVIDER, Treatment.UNAVAILABLE, meaning="FCM's own trouble"),
    Rule("...", Fault.SENDER, Treatment.WAIT, meaning="our credentials or project: 401, 403, 404 and what else there is"),
)

_ERRORS: dict[Treatment, type[DeliveryError]] = {
    Treatment.FORGET: DeviceGone,
    Treatment.GIVE_UP: FcmRejected,
    Treatment.RETRY: FcmThrottled,
    Treatment.UNAVAILABLE: FcmUnavailable,
    Treatment.WAIT_PLATFORM: FcmPlatformRefused,
    Treatment.WAIT: FcmSenderRefused,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no success: status, FCM's error code (empty without one), words and details, and whether it is Google's."""

    status: int
    code: str
    words: str
    details: Sequence[Mapping[str, Any]] = ()
    is_googles: bool = True

    @property
    def blames_token(self) -> bool:
        """Whether it names the field `message.token` alone, or says that the registration token is none."""
        listed = [detail.get("fieldViolations") for detail in self.details if detail.get("@type") == BAD_REQUEST]
        violations = [item for items in listed if isinstance(items, list) for item in items if isinstance(item, dict)]
        if violations:
            return all(item.get("field") == "message.token" for item in violations)
        return _ABOUT_TOKEN.search(self.words) is not None


def rule_of(answer: Answer) -> Rule:
    """The first rule that matches; there is one for every answer."""
    return next(rule for rule in RULES if rule.matches(answer))


def refusal(answer: Answer, token: str, wait_s: float | None) -> DeliveryError:
    """The error that stands for an answer."""
    rule = rule_of(answer)
    code = answer.code if _WORD.fullmatch(answer.code) else ""
    words = answer.words.replace(token, "(token)")[:200]
    return _ERRORS[rule.treatment](rule.reason or code or f"FCM_{answer.status}", words, retry_after_s=wait_s, fault=rule.fault)
