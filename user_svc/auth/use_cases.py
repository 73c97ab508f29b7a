"""The rules about credentials: logging in, staying logged in, and API keys."""

import hashlib
import logging
import secrets
import string
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from mesh import ids
from mesh.context import Caller
from mesh.errors import InvalidArgument
from mesh.rpc.identity import AUDIENCE, ISSUER, ApiKeyInfo
from mesh.rpc.paging import Cursor, Page, page_size
from naming.email_address import email_key
from user_svc.auth.errors import ApiKeyNotFound, LoginFailed, RefreshRejected, ScopeNotHeld
from user_svc.auth.models import SCOPES_OF_ROLE, ApiKey, Login, RefreshToken, Rotation, RotationOutcome, Scope, SessionOwner, Tokens
from user_svc.auth.passwords import PasswordHasher
from user_svc.auth.signing import SigningKeys
from user_svc.fields import check_text

log = logging.getLogger(__name__)

ACCESS_TOKEN_LIFE = timedelta(minutes=15)
REFRESH_TOKEN_LIFE = timedelta(days=30)

_PAGES = Cursor("api_keys", str)
_BASE62 = string.ascii_letters + string.digits
# 43 characters of base 62 hold 256 bits.
_KEY_LENGTH = 43
_SHOWN_LENGTH = len("clk_live_") + 4


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


class ApiKeyStore(Protocol):
    """Where API keys are kept."""

    async def add(self, key: ApiKey) -> None:
        """Does nothing when the key is there already."""

    async def find_working(self, sha256: bytes, now: datetime) -> ApiKey | None: ...

    async def list_working(self, before_id: str | None, limit: int, now: datetime) -> Sequence[ApiKey]:
        """Newest first."""

    async def delete(self, key_id: str) -> bool: ...


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
        return await self._tokens(SessionOwner(login.user_id, login.role), secret)

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
            "scope": " ".join(sorted(SCOPES_OF_ROLE[owner.role])),
            "role": owner.role.value,
        }
        return Tokens(await self._signing_keys.sign(claims), refresh_token, life_s, owner.user_id)


class ApiKeys:
    """Makes, lists, finds and revokes the keys of programs."""

    def __init__(self, store: ApiKeyStore, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    async def create_api_key(
        self, caller: Caller, *, name: str, scopes: Sequence[str], expire_time: datetime | None, test: bool
    ) -> tuple[ApiKey, str]:
        """The key's description and the key itself, which is not kept. Raises InvalidArgument or ScopeNotHeld."""
        _check_scopes(caller, scopes)
        now = self._now()
        if expire_time is not None and expire_time <= now:
            raise InvalidArgument.of("expire_time", "must be in the future")
        secret = f"clk_{'test' if test else 'live'}_" + "".join(secrets.choice(_BASE62) for _ in range(_KEY_LENGTH))
        key = api_key(secret, name=check_text("name", name), scopes=scopes, created_by=caller.id, now=now, expire_time=expire_time)
        await self._store.add(key)
        return key, secret

    async def list_api_keys(self, requested_size: int, token: str) -> Page[ApiKey]:
        """A page of the keys that work, newest first. Raises InvalidArgument for a size or token that does not fit."""
        size = page_size(requested_size)
        position = _PAGES.position(token)
        before_id = _canonical_key_id(str(position[0])) if position else None
        keys = await self._store.list_working(before_id, size + 1, self._now())
        return _PAGES.page([((key.id,), key) for key in keys], size)

    async def delete_api_key(self, key_id: str) -> None:
        """Raises ApiKeyNotFound."""
        if not await self._store.delete(_canonical_key_id(key_id)):
            raise ApiKeyNotFound

    async def get_by_hash(self, sha256: bytes) -> ApiKey:
        """The key that a caller presented. Raises ApiKeyNotFound when it is unknown, revoked or expired."""
        key = await self._store.find_working(sha256, self._now())
        if key is None:
            raise ApiKeyNotFound
        return key


class LocalCredentials:
    """This service's own `mesh.rpc.identity.CredentialSource`: the database, without an RPC to itself."""

    def __init__(self, *, signing_keys: SigningKeys, api_keys: ApiKeys) -> None:
        self._signing_keys = signing_keys
        self._api_keys = api_keys

    async def jwks(self) -> Sequence[dict[str, Any]]:
        """The public keys of access tokens."""
        return await self._signing_keys.jwks()

    async def look_up_api_key(self, sha256: bytes) -> ApiKeyInfo | None:
        """The key with this SHA-256; None when it is unknown, revoked or expired."""
        try:
            key = await self._api_keys.get_by_hash(sha256)
        except ApiKeyNotFound:
            return None
        expires_at = key.expire_time.timestamp() if key.expire_time else None
        return ApiKeyInfo(key.id, key.name, frozenset(key.scopes), expires_at)


def api_key(
    secret: str, *, name: str, scopes: Sequence[str], created_by: str, now: datetime, expire_time: datetime | None = None
) -> ApiKey:
    """The description of a key: all of it that is kept."""
    shown = secret[:_SHOWN_LENGTH]
    return ApiKey(ids.new_id(), name, shown, _sha256(secret), tuple(sorted(set(scopes))), created_by, now, expire_time)


def _check_scopes(caller: Caller, scopes: Sequence[str]) -> None:
    known = frozenset(Scope)
    for index, scope in enumerate(scopes):
        if scope not in known:
            raise InvalidArgument.of(f"scopes[{index}]", f"is not a scope; there are {', '.join(sorted(known))}")
        if not caller.has(scope):
            raise ScopeNotHeld(scope)


def _canonical_key_id(key_id: str) -> str:
    canonical = ids.canonical(key_id)
    if canonical is None:
        raise ApiKeyNotFound
    return canonical


def _new_refresh_token() -> str:
    return secrets.token_urlsafe(32)


def _sha256(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
