"""The Ed25519 keys that sign access tokens: made once, kept sealed in the database, published as a JWK Set."""

import asyncio
import base64
import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.rpc.identity import ACCESS_TOKEN_TYPE, JWKS_REFETCH_S
from mesh.sealing import SealBroken, Sealer
from user_svc.auth.models import SigningKey

log = logging.getLogger(__name__)

# A retired key is published for longer than any token that it signed can live.
PUBLISHED_AFTER_RETIREMENT = timedelta(hours=1)
# How long a replica may go on with a key that another one has retired: well within the hour above.
CHECK_AGAIN_AFTER = timedelta(minutes=5)
# Who verifies tokens has no key that was published since it asked last, and asks again after this time at the earliest. So a new key is
# published for twice as long before it signs.
SIGNS_AFTER = timedelta(seconds=2 * JWKS_REFETCH_S)
# What private keys are sealed for (mesh/sealing.py).
SEALED_FOR = "clarion signing keys v1"


class SigningKeyStore(Protocol):
    """Where signing keys are kept."""

    async def find_active(self) -> SigningKey | None: ...

    async def activate(self, key: SigningKey, *, instead_of: str | None, note_in: str | None = None) -> SigningKey:
        """Makes `key` the active one and answers it, unless another process was faster: then that one's key is answered.

        `instead_of` is the active key that the caller knows; None when it knows of none. `note_in` is the project whose audit log says
        so, for a key that was asked for.
        """

    async def list_published(self, retired_since: datetime) -> Sequence[SigningKey]:
        """The active key and those that retired after the moment."""


class _Signer(NamedTuple):
    kid: str
    private_key: Ed25519PrivateKey


class SigningKeys:
    """Signs with the active key and publishes all that still matter.

    A key that comes after another one signs SIGNS_AFTER this process has it. One that starts in this time has no other, and signs at once.
    """

    def __init__(self, store: SigningKeyStore, sealer: Sealer, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._sealer = sealer
        self._now = now
        self._kid = ""
        self._signer: _Signer | None = None
        self._coming: list[tuple[datetime, _Signer]] = []
        self._checked_at: datetime | None = None
        # what was read before a rotation must not come back after it
        self._turn = asyncio.Lock()

    async def ensure(self) -> None:
        """Loads the active key, or makes the first one. Asks again after five minutes: another replica may have rotated."""
        async with self._turn:
            now = self._now()
            if self._checked_at is not None and now < self._checked_at + CHECK_AGAIN_AFTER:
                return
            await self._load_active()
            self._checked_at = now

    async def rotate(self, project: str) -> str:
        """Makes a new key the active one, and answers its id. Tokens of the old one stay valid until they expire.

        That it was asked for is in the audit log of the project.
        """
        async with self._turn:
            await self._load_active()
            await self._replace(self._kid, note_in=project)
            return self._kid

    async def sign(self, claims: Mapping[str, Any]) -> str:
        """An access token (RFC 9068) with the claims."""
        await self.ensure()
        while self._coming and self._coming[0][0] <= self._now():
            self._signer = self._coming.pop(0)[1]
        assert self._signer is not None
        headers = {"kid": self._signer.kid, "typ": ACCESS_TOKEN_TYPE}
        return jwt.encode(dict(claims), self._signer.private_key, algorithm="EdDSA", headers=headers)

    async def jwks(self) -> list[dict[str, Any]]:
        """The public keys that verify tokens, as JWK dictionaries (RFC 8037)."""
        published = await self._store.list_published(self._now() - PUBLISHED_AFTER_RETIREMENT)
        return [_jwk(key.public_key) | {"kid": key.kid, "use": "sig", "alg": "EdDSA"} for key in published]

    async def _load_active(self) -> None:
        active = await self._store.find_active() or await self._store.activate(self._new_key(), instead_of=None)
        if active.kid != self._kid and not self._load(active):
            log.warning("the signing key was sealed under another secret; a new one takes over", extra={"kid": active.kid})
            await self._replace(active.kid)

    async def _replace(self, kid: str, *, note_in: str | None = None) -> None:
        active = await self._store.activate(self._new_key(), instead_of=kid, note_in=note_in)
        if not self._load(active):
            raise RuntimeError("another process of this service seals signing keys under another CLARION_SEALING_SECRET")

    def _load(self, key: SigningKey) -> bool:
        try:
            private_key = self._sealer.open(key.sealed_private_key, key.kid)
        except SealBroken:
            return False
        self._kid, signer = key.kid, _Signer(key.kid, Ed25519PrivateKey.from_private_bytes(private_key))
        if self._signer is None:
            self._signer = signer
        else:
            self._coming.append((self._now() + SIGNS_AFTER, signer))
        return True

    def _new_key(self) -> SigningKey:
        private_key = Ed25519PrivateKey.generate()
        public_key = private_key.public_key().public_bytes_raw()
        kid = thumbprint(public_key)
        return SigningKey(kid, public_key, self._sealer.seal(private_key.private_bytes_raw(), kid), self._now())


def thumbprint(public_key: bytes) -> str:
    """The key's id: the RFC 7638 thumbprint of its JWK."""
    canonical = json.dumps(_jwk(public_key), sort_keys=True, separators=(",", ":"))
    return _base64url(hashlib.sha256(canonical.encode()).digest())


def _jwk(public_key: bytes) -> dict[str, Any]:
    return {"kty": "OKP", "crv": "Ed25519", "x": _base64url(public_key)}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
