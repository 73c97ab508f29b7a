"""Mailgun's webhooks: one event per request, with an HMAC over timestamp and token."""

import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.facts.events import ARGUMENT, BadSignature, document, key, moment, notification_id, part, text
from gateway.facts.models import Report, reason_of, scrub
from gateway.notifications.models import Fact

NAME = "mailgun"
# Mailgun repeats what was not taken for eight hours. The signature does not cover the event, so that one that is older is worth nothing.
_MOST_AGE_S = 12 * 3600
_FACTS = {"delivered": Fact.DELIVERED, "complained": Fact.COMPLAINED, "opened": Fact.OPENED}
# What Mailgun gave up without the server having said that there is no such mailbox.
_SOFT = frozenset({"old", "generic", "espblock", "suppress-unsubscribe", "suppress-complaint"})


class Mailgun:
    """Reads its requests. `signing_key` is the webhook signing key, not an API key."""

    def __init__(self, signing_key: str, *, clock: Callable[[], float] = time.time) -> None:
        self._key = signing_key.encode()
        self._clock = clock

    async def read(self, headers: Mapping[str, str], body: bytes) -> Sequence[Report]:  # noqa: ARG002  Mailgun signs in the body
        """Raises BadSignature or InvalidArgument."""
        found = document(body)
        stamp, token = (text(found, "signature", name) for name in ("timestamp", "token"))
        expected = hmac.digest(self._key, (stamp + token).encode("utf-8", "replace"), "sha256").hex()
        if not hmac.compare_digest(expected.encode(), text(found, "signature", "signature").encode("utf-8", "replace")):
            raise BadSignature("signature: does not fit timestamp, token and CLARION_MAILGUN_KEY")
        if not (stamp.isdecimal() and len(stamp) < 12 and abs(self._clock() - int(stamp)) <= _MOST_AGE_S):
            raise BadSignature("signature.timestamp: must be of the last 12 hours")
        report = _report(part(found, "event-data"))
        return [] if report is None else [report]


def _report(event: Any) -> Report | None:
    kind, identifier = text(event, "event"), notification_id(part(event, "user-variables", ARGUMENT))
    fact, why = _FACTS.get(kind), text(event, "reason")
    if kind == "failed" and text(event, "severity") == "permanent":  # a temporary one is tried again
        fact = Fact.SOFT_BOUNCED if why in _SOFT else Fact.HARD_BOUNCED
    if fact is None or identifier is None or not text(event, "id"):
        return None
    said = text(event, "delivery-status", "message") or text(event, "delivery-status", "description")
    return Report(
        notification_id=identifier,
        source_key=key(NAME, text(event, "id")),
        fact=fact,
        time=moment(part(event, "timestamp")),
        provider=NAME,
        reason=reason_of(why, "BOUNCE") if kind == "failed" else "",
        detail=scrub(said, text(event, "recipient")),
        address=text(event, "recipient"),
        trusted=True,
    )
