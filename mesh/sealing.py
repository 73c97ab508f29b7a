"""Encryption at rest of what a service keeps and only the mesh may read: AES-256-GCM under a key derived from a secret of its own."""

import os
from contextlib import suppress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES = 12


class SealBroken(Exception):
    """It was sealed under another secret, for another purpose or name, or it was changed."""


class Sealer:
    """Seals bytes for one purpose. What is sealed for one purpose can't be opened for another.

    The `old` secret, where there is one, opens what was sealed under it and seals nothing: for the time in which a secret is replaced.
    """

    def __init__(self, secret: str, purpose: str, *, old: str = "") -> None:
        self._ciphers = [_cipher(each, purpose) for each in (secret, old) if each]

    def seal(self, content: bytes, name: str) -> bytes:
        """The encrypted content, bound to the name under which it is kept."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, content, name.encode())

    def open(self, sealed: bytes, name: str) -> bytes:
        """The content. Raises SealBroken."""
        for cipher in self._ciphers:
            with suppress(InvalidTag):
                return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
        raise SealBroken


def _cipher(secret: str, purpose: str) -> AESGCM:
    return AESGCM(HKDF(SHA256(), length=32, salt=None, info=purpose.encode()).derive(secret.encode()))
