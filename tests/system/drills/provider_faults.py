"""Providers that misbehave."""

from devstack.fcm import RESETS, answers, fails
from devstack.fcm_connection import Answer
from devstack.smtp import hangs, is_slow, replies
from devstack.smtp_session import Stage
from tests.system.drills.fault import AT_THE_PROVIDERS, Fault
from tests.system.drills.rig import PROVIDER_CALLS, Rig

HTML_502 = answers(502, b"<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>")
STRING_500 = answers(500, b'{"error": "something broke"}', "application/json")
THROTTLED = fails(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", retry_after="20")
INTERNAL = fails(500, "INTERNAL", "INTERNAL")


class SilentSmtp(Fault):
    """SMTP takes each mail to its last line and says nothing more: whether it was taken is unknown, and each such mail is sent again."""

    lasts_s = (2.0, 5.0)
    # Those at the server when it begins, and those that are tried before the breaker opens.
    doubles = AT_THE_PROVIDERS + 2 * PROVIDER_CALLS
    # the reply to a whole mail is waited for as RFC 5321 has it (CLARION_SMTP_DATA_TIMEOUT_S)
    recovers_s = 330.0

    async def inject(self, rig: Rig) -> None:
        rig.smtp.everyone = hangs(Stage.DATA)

    async def heal(self, rig: Rig) -> None:
        rig.smtp.everyone = None


class DeferringSmtp(Fault):
    """SMTP answers every recipient with 451, as a relay does that is overloaded or greylists."""

    lasts_s = (20.0, 30.0)
    doubles = 0
    recovers_s = 35.0

    async def inject(self, rig: Rig) -> None:
        rig.smtp.everyone = replies("451 4.7.1 come back later")

    async def heal(self, rig: Rig) -> None:
        rig.smtp.everyone = None


class SlowSmtp(Fault):
    """SMTP takes each mail and says so 3 s later: slow is no failure."""

    lasts_s = (10.0, 15.0)
    doubles = 0
    recovers_s = 15.0

    async def inject(self, rig: Rig) -> None:
        rig.smtp.everyone = is_slow(3.0)

    async def heal(self, rig: Rig) -> None:
        rig.smtp.everyone = None


class FcmAnswers(Fault):
    """FCM answers every message with the same error."""

    lasts_s = (1.0, 4.0)
    doubles = 0
    recovers_s = 150.0

    def __init__(self, name: str, answer: Answer) -> None:
        super().__init__(name)
        self._answer = answer

    async def inject(self, rig: Rig) -> None:
        rig.fcm.everyone = self._answer

    async def heal(self, rig: Rig) -> None:
        rig.fcm.everyone = None


FCM_FAULTS = (
    FcmAnswers("FCM 429, Retry-After 20", THROTTLED),
    FcmAnswers("FCM 500", INTERNAL),
    FcmAnswers("FCM 502 with HTML", HTML_502),
    FcmAnswers("FCM 500 with a string", STRING_500),
    FcmAnswers("FCM resets streams", RESETS),
)
