"""Tokens of links: they follow from the link and this service's secret, so that mails are made at delivery and only hashes are kept."""

import base64
import hashlib
import hmac

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_PURPOSE = b"account links"


class LinkTokens:
    """Derives tokens. The `old` secret, where there is one, is that of links which were made before it was replaced."""

    def __init__(self, secret: str, *, old: str = "") -> None:
        self._keys = [HKDF(SHA256(), length=32, salt=None, info=_PURPOSE).derive(one.encode()) for one in (secret, old) if one]

    def new(self, link_id: str) -> str:
        """256 bits that look random without the secret."""
        return _token(self._keys[0], link_id)

    def of(self, link_id: str, sha256: bytes) -> str | None:
        """The token of a link whose token has this hash; None where it follows from a secret that is gone."""
        tokens = (_token(key, link_id) for key in self._keys)
        return next((token for token in tokens if hmac.compare_digest(hash_of(token), sha256)), None)


def hash_of(token: str) -> bytes:
    """As it is kept. A token has 256 bits of its own, so that a plain hash can't be guessed back."""
    return hashlib.sha256(token.encode()).digest()


def _token(key: bytes, link_id: str) -> str:
    return base64.urlsafe_b64encode(hmac.new(key, link_id.encode(), hashlib.sha256).digest()).decode().rstrip("=")
