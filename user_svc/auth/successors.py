"""The refresh token that follows another one: the same, however often it is asked for, and only for who holds this service's secret."""

import base64
import hashlib
import hmac

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_PURPOSE = b"refresh token successors"


class Successors:
    """Derives the successor of a refresh token, so that nothing but hashes is kept and two tabs still get the same one."""

    def __init__(self, secret: str) -> None:
        self._key = HKDF(SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret.encode())

    def of(self, refresh_token: str) -> str:
        """256 bits that look random without the secret."""
        digest = hmac.new(self._key, refresh_token.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
