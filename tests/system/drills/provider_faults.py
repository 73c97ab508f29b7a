"""Providers that misbehave."""

from devstack.fcm import RESETS, answers, fails
from devstack.fcm_connection import Answer
from devstack.smtp import hangs
from devstack.smtp_session import Stage
from tests.system.drills.fault import AT_THE_PROVIDERS, Fault
from tests.system.drills.rig import BREAKER_OPEN_S, PROVIDER_CALLS, Rig

HTML_502 = answers(502, b"<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>")
STRING_500 = answers(500, b'{"error": "something broke"}', "application/json")
THROTTLED = fails(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", retry_after="20")
INTERNAL = fails(500, "INTERNAL", "INTERNAL")


class SilentSmtp(Fault):
    """SMTP takes each mail to its last line and says nothing more: whether it was taken is unknown, and each such mail is sent again."""

    lasts_s = (2.0, 5.0)
    # Those at the server when it begins, and one probe of the breaker each time that it half opens.
    doubles = AT_THE_PROVIDERS + PROVIDER_CALLS + round(lasts_s[1] / BREAKER_OPEN_S)

    async def inject(self, rig: Rig) -> None:
        rig.smtp.everyone = hangs(Stage.DATA)

    async def heal(self, rig: Rig) -> None:
        rig.smtp.everyone = None


class FcmAnswers(Fault):
    """FCM answers every message with the same error."""

    lasts_s = (1.0, 4.0)

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
