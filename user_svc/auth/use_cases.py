"""The rules about sessions: logging in and staying logged in."""

import hashlib
import logging
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from mesh import ids
from mesh.rpc.identity import AUDIENCE, ISSUER
from naming.email_address import email_key
from user_svc.auth.errors import LoginFailed, RefreshRejected
from user_svc.auth.models import SCOPES_OF_ROLE, Login, RefreshToken, Rotation, RotationOutcome, SessionOwner, Tokens
from user_svc.auth.passwords import PasswordHasher
from user_svc.auth.signing import SigningKeys

log = logging.getLogger(__name__)

ACCESS_TOKEN_LIFE = timedelta(minutes=15)
REFRESH_TOKEN_LIFE = timedelta(days=30)


class SessionStore(Protocol):
    """Where logins and refresh tokens are kept."""

    async def find_login(self, email_key: str) -> Login | None:
        """The person whose address has this `naming.email_address.email_key`."""

    async def replace_password_hash(self, user_id: str, *, old: str, new: str) -> None:
        """Does nothing when the hash is not `old` any more."""

    async def add_refresh_token(self, token: RefreshToken) -> bool:
        """Stores the token and forgets the person's expired ones. False when the person is gone."""

    async def rotate_refresh_token(self, sha256: bytes, next_sha256: bytes, *, now: datetime, expire_time: datetime) -> Rotation:
        """Marks a token used and stores the next of its family, both or none. A token used before revokes its whole family.

        Like `add_refresh_token`, forgets what has expired.
        """

    async def revoke_family_of(self, sha256: bytes) -> None: ...


class Sessions:
    """Exchanges credentials for tokens."""

    def __init__(self, store: SessionStore, *, passwords: PasswordHasher, signing_keys: SigningKeys, now: Callable[[], datetime]) -> None:
        self._store = store
        self._passwords = passwords
        self._signing_keys = signing_keys
        self._now = now

    async def log_in(self, email: str, password: str) -> Tokens:
        """Raises LoginFailed, after the same time whatever was wrong."""
        key = email_key(email)
        login = await self._store.find_login(key) if key else None
        fits = await self._passwords.verify(password, login.password_hash if login else None)
        if login is None or login.password_hash is None or not fits:
            raise LoginFailed
        if self._passwords.needs_rehash(login.password_hash):
            new = await self._passwords.hash(password)
            await self._store.replace_password_hash(login.user_id, old=login.password_hash, new=new)
        secret = _new_refresh_token()
        now = self._now()
        token = RefreshToken(_sha256(secret), login.user_id, ids.new_id(), now, now + REFRESH_TOKEN_LIFE)
        if not await self._store.add_refresh_token(token):
            raise LoginFailed
        return await self._tokens(SessionOwner(login.user_id, login.role, token.family), secret)

    async def refresh(self, refresh_token: str) -> Tokens:
        """The next tokens; the old refresh token works no more. Raises RefreshRejected."""
        secret = _new_refresh_token()
        now = self._now()
        rotation = await self._store.rotate_refresh_token(
            _sha256(refresh_token), _sha256(secret), now=now, expire_time=now + REFRESH_TOKEN_LIFE
        )
        if rotation.outcome is RotationOutcome.REUSED:
            log.warning("a refresh token was used twice; its family is revoked")
        if rotation.owner is None:
            raise RefreshRejected
        return await self._tokens(rotation.owner, secret)

    async def log_out(self, refresh_token: str) -> None:
        """Revokes the token's family. An unknown token is no error."""
        await self._store.revoke_family_of(_sha256(refresh_token))

    async def _tokens(self, owner: SessionOwner, refresh_token: str) -> Tokens:
        issued_at = int(self._now().timestamp())
        life_s = int(ACCESS_TOKEN_LIFE.total_seconds())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": owner.user_id,
            "iat": issued_at,
            "exp": issued_at + life_s,
            "jti": ids.new_id(),
            # The session of OpenID Connect Back-Channel Logout 1.0: what a log-out ends.
            "sid": owner.session_id,
            "scope": " ".join(sorted(SCOPES_OF_ROLE[owner.role])),
            "role": owner.role.value,
        }
        return Tokens(await self._signing_keys.sign(claims), refresh_token, life_s, owner.user_id)


def _new_refresh_token() -> str:
    return secrets.token_urlsafe(32)


def _sha256(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
