"""Encryption at rest of what a service keeps and only the mesh may read: AES-256-GCM under a key derived from the mesh's secret."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES = 12


class SealBroken(Exception):
    """It was sealed under another secret, for another purpose or name, or it was changed."""


class Sealer:
    """Seals bytes for one purpose. What is sealed for one purpose can't be opened for another."""

    def __init__(self, secret: str, purpose: str) -> None:
        self._cipher = AESGCM(HKDF(SHA256(), length=32, salt=None, info=purpose.encode()).derive(secret.encode()))

    def seal(self, content: bytes, name: str) -> bytes:
        """The encrypted content, bound to the name under which it is kept."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, name.encode())

    def open(self, sealed: bytes, name: str) -> bytes:
        """The content. Raises SealBroken."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
        except InvalidTag:
            raise SealBroken from None
