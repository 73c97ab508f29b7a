"""Checking that a webhook is Clarion's, by Standard Webhooks (github.com/standard-webhooks/standard-webhooks).

event = webhooks.verify(body, headers, secret="whsec_…")
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

_PREFIX = "whsec_"
TOLERANCE_S = 300
_MOST_DIGITS = 12


class WebhookInvalid(ValueError):
    """The message is not Clarion's, was changed on its way, or is too old."""


def verify(body: bytes | str, headers: Mapping[str, str], secret: str | Sequence[str], *, now_s: float | None = None) -> dict[str, Any]:
    """The event of a webhook whose signature holds. Answer anything else with 400.

    `body` is the request's body, byte for byte as it came. `secret` is the endpoint's `whsec_…`, or both during a rotation. Messages whose
    timestamp is more than five minutes away from `now_s` (Unix time; the clock's by default) are refused, so that an old one can't be
    replayed. Raises WebhookInvalid, and ValueError where `secret` is none.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        identifier, stamp, signatures = (given[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError as error:
        raise WebhookInvalid(f"the header {error.args[0]} is missing") from None
    if (
        not (stamp.isascii() and stamp.isdigit() and len(stamp) <= _MOST_DIGITS)
        or abs((time.time() if now_s is None else now_s) - int(stamp)) > TOLERANCE_S
    ):
        raise WebhookInvalid("the timestamp is more than five minutes away")
    raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    secrets = [secret] if isinstance(secret, str) else list(secret)
    expected = [_signature(one, identifier, stamp, raw) for one in secrets]
    received = [one.encode("utf-8", "surrogatepass") for one in signatures.split(" ")]
    if not any(hmac.compare_digest(one, other) for one in expected for other in received):
        raise WebhookInvalid("no signature fits")
    try:
        event = json.loads(raw)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise WebhookInvalid("the body is no event: no JSON object")
    return event


def sign(identifier: str, unix_s: int, body: bytes, secret: str) -> dict[str, str]:
    """The headers of a webhook, as Clarion would set them: for tests of a receiver."""
    signature = _signature(secret, identifier, str(unix_s), body).decode()
    return {"webhook-id": identifier, "webhook-timestamp": str(unix_s), "webhook-signature": signature}


def new_secret() -> str:
    """A secret for tests of a receiver."""
    return _PREFIX + base64.b64encode(os.urandom(32)).decode()


def _signature(secret: str, identifier: str, stamp: str, body: bytes) -> bytes:
    # a server hands over bytes of a header that are no UTF-8 as halves of surrogate pairs; no signature of ours fits them
    signed = f"{identifier}.{stamp}.".encode("utf-8", "surrogatepass") + body
    return b"v1," + base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest())


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.strip().removeprefix(_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not key:  # that of a variable that is not set, with which everyone could sign
        raise ValueError("the secret is no whsec_… of Clarion")
    return key
