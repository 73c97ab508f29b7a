"""Signatures of Standard Webhooks (github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md)."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence

PREFIX = "whsec_"
_KEY_BYTES = 32


def new_secret() -> str:
    """256 random bits, as receivers' libraries take them."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def signed_headers(identifier: str, unix_s: int, body: bytes, whsecs: Sequence[str]) -> Mapping[str, str]:
    """The three headers of a message; one signature for each secret."""
    content = f"{identifier}.{unix_s}.".encode() + body
    return {
        "webhook-id": identifier,
        "webhook-timestamp": str(unix_s),
        "webhook-signature": " ".join(f"v1,{_signature(content, whsec)}" for whsec in whsecs),
    }


def _signature(content: bytes, whsec: str) -> str:
    key = base64.b64decode(whsec.removeprefix(PREFIX))
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
