"""Requests as SendGrid signs them, with a key of the tests."""

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mesh.ids import new_id

ID = new_id()
GRID_KEY = ec.generate_private_key(ec.SECP256R1())
GRID_PUBLIC = base64.b64encode(GRID_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def grid_event(kind: str, **more: Any) -> dict[str, Any]:
    event = {
        "email": "example@test.com", "timestamp": 1513299569, "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>", "event": kind,
        "category": ["cat facts"], "sg_event_id": f"sg-{kind}", "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
        "clarion_notification_id": ID,
    }  # fmt: skip
    return event | more


def grid_request(events: Any) -> tuple[dict[str, str], bytes]:
    body = json.dumps(events).encode() + b"\r\n"
    signature = base64.b64encode(GRID_KEY.sign(b"1600112502" + body, ec.ECDSA(SHA256()))).decode()
    return {"x-twilio-email-event-webhook-signature": signature, "x-twilio-email-event-webhook-timestamp": "1600112502"}, body
