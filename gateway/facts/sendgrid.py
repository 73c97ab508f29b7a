"""Twilio SendGrid's event webhook: an array of events, signed with ECDSA over timestamp and body."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from gateway.facts.events import ARGUMENT, BadSignature, document, key, moment, notification_id, text
from gateway.facts.models import Report, reason_of, scrub
from gateway.notifications.models import Fact
from mesh.errors import InvalidArgument

NAME = "sendgrid"
_SIGNATURE = "x-twilio-email-event-webhook-signature"
_TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
_FACTS = {"delivered": Fact.DELIVERED, "spamreport": Fact.COMPLAINED, "open": Fact.OPENED, "dropped": Fact.SOFT_BOUNCED}


def load_key(encoded: str) -> EllipticCurvePublicKey:
    """The verification key as SendGrid's settings show it: base64 of DER. Raises ValueError."""
    try:
        found = load_der_public_key(base64.b64decode(encoded, validate=True))
    except UnsupportedAlgorithm as error:
        raise ValueError("no ECDSA key") from error
    if isinstance(found, EllipticCurvePublicKey):
        return found
    raise ValueError("no ECDSA key")


class SendGrid:
    """Reads its requests."""

    def __init__(self, public_key: str) -> None:
        self._key = load_key(public_key)

    async def read(self, headers: Mapping[str, str], body: bytes) -> Sequence[Report]:
        """Raises BadSignature or InvalidArgument."""
        try:
            signature = base64.b64decode(headers.get(_SIGNATURE, ""), validate=True)
            self._key.verify(signature, headers.get(_TIMESTAMP, "").encode() + body, ECDSA(SHA256()))
        except (ValueError, InvalidSignature):
            raise BadSignature(f"{_SIGNATURE}: does not fit the body, {_TIMESTAMP} and CLARION_SENDGRID_KEY") from None
        events = document(body)
        if not isinstance(events, list):
            raise InvalidArgument.of("body", "must be an array of events")
        return [report for event in events if isinstance(event, dict) and (report := _report(event)) is not None]


def _report(event: Mapping[str, Any]) -> Report | None:
    kind, identifier = text(event, "event"), notification_id(event.get(ARGUMENT))
    fact = _FACTS.get(kind)
    if kind == "bounce":
        fact = Fact.SOFT_BOUNCED if text(event, "type") == "blocked" else Fact.HARD_BOUNCED
    if fact is None or identifier is None or not text(event, "sg_event_id"):
        return None
    bounced = fact in {Fact.HARD_BOUNCED, Fact.SOFT_BOUNCED}
    return Report(
        notification_id=identifier,
        source_key=key(NAME, text(event, "sg_event_id")),
        fact=fact,
        time=moment(event.get("timestamp")),
        provider=NAME,
        reason=reason_of(text(event, "status") or kind, "BOUNCE") if bounced else "",
        detail=scrub(text(event, "reason") or text(event, "response"), text(event, "email")),
        address=text(event, "email"),
        trusted=True,
    )
