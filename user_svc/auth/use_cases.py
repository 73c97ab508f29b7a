"""The rules about sessions: logging in and staying logged in."""

import hashlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from mesh import ids
from mesh.context import Caller
from mesh.errors import Unauthenticated
from mesh.rpc.identity import AUDIENCE, ISSUER
from naming.email_address import email_key
from user_svc.audit.models import AuditKind, KeepEvent, NewEvent, person
from user_svc.auth.errors import AddressRefused, LoginFailed, PersonNeeded, RefreshRejected, WrongPassword
from user_svc.auth.models import BY_PASSWORD, Grant, Login, RefreshToken, Rotation, RotationOutcome, SessionOwner, Tokens
from user_svc.auth.passwords import PasswordHasher
from user_svc.auth.signing import SigningKeys
from user_svc.auth.successors import Successors
from user_svc.users.errors import EmailTaken

log = logging.getLogger(__name__)

ACCESS_TOKEN_LIFE = timedelta(minutes=15)
REFRESH_TOKEN_LIFE = timedelta(days=30)


class SessionStore(Protocol):
    """Where logins and refresh tokens are kept."""

    async def find_login(self, project: str, email_key: str) -> Login | None:
        """The person of the project whose address has this `naming.email_address.email_key`."""

    async def find_login_by_id(self, user_id: str) -> Login | None:
        """The person with the id."""

    async def change_password(self, user_id: str, *, old: str, new: str, token: RefreshToken) -> bool:
        """Replaces the hash, ends all sessions and opens that of `token`, all or nothing. False when the hash is not `old` any more."""

    async def replace_password_hash(self, user_id: str, *, old: str, new: str) -> None:
        """Does nothing when the hash is not `old` any more."""

    async def add_refresh_token(self, token: RefreshToken, credential_version: int) -> bool:
        """Stores the token and forgets the person's expired ones. False when the person is gone, or has proven who they are with what
        was changed since.
        """

    async def rotate_refresh_token(self, sha256: bytes, next_sha256: bytes, *, now: datetime, expire_time: datetime) -> Rotation:
        """Marks a token used and stores the next of its family, both or none. A token used before revokes its whole family.

        Within REFRESH_GRACE of its use it is ROTATED again, and nothing is stored, where the next one is the one that it was given then.
        Like `add_refresh_token`, forgets what has expired. The next one has its scopes, and ends no later than its session.
        """

    async def revoke_family_of(self, sha256: bytes) -> None: ...

    async def scopes_of_roles(self, project: str, names: Collection[str]) -> frozenset[str]:
        """What roles of the project let people do together; one that does not exist lets them do nothing."""


# Gives a person of a project another address. Raises InvalidArgument, EmailTaken or UserNotFound.
ReplaceEmail = Callable[[str, str, str], Awaitable[None]]


class SecondStep(Protocol):
    """What a sign-in by password asks for beside it."""

    async def has(self, user_id: str) -> bool:
        """Whether the person has a second factor."""

    async def check(self, login: Login, code: str) -> None:
        """Raises Unauthenticated where the code is missing or wrong, or ResourceExhausted."""


class Sessions:
    """Exchanges credentials for tokens, and changes them. With `administrators_need_it` who has no second factor gets no scopes."""

    def __init__(
        self,
        store: SessionStore,
        *,
        passwords: PasswordHasher,
        signing_keys: SigningKeys,
        replace_email: ReplaceEmail,
        successors: Successors,
        audit: KeepEvent,
        now: Callable[[], datetime],
        second_step: SecondStep,
        administrators_need_it: bool = False,
    ) -> None:
        self._store = store
        self._second_step = second_step
        self._administrators_need_it = administrators_need_it
        self._replace_email = replace_email
        self._passwords = passwords
        self._successors = successors
        self._audit = audit
        self._signing_keys = signing_keys
        self._now = now

    async def log_in(self, project: str, email: str, password: str, code: str = "") -> Tokens:
        """Raises LoginFailed, after the same time whatever was wrong, or where the password was changed meanwhile; then what the second
        step raises.
        """
        key = email_key(email)
        login = await self._store.find_login(project, key) if key else None
        password_hash = await self._fitting_hash(login, password)
        if login is None or password_hash is None:
            # also where there is no such person, so that it takes as long
            subject = person(None if login is None else login.user_id)
            await self._audit(NewEvent(project, AuditKind.SIGN_IN_FAILED, subject, details={"by": BY_PASSWORD}))
            raise LoginFailed
        await self._take_second_step(login, code)
        if self._passwords.needs_rehash(password_hash):
            new = await self._passwords.hash(password)
            await self._store.replace_password_hash(login.user_id, old=password_hash, new=new)
        secret, token = self._new_session(login)
        if not await self._store.add_refresh_token(token, login.credential_version):
            raise LoginFailed
        return await self._tokens(_owner(login, token), secret)

    async def _take_second_step(self, login: Login, code: str) -> None:
        try:
            await self._second_step.check(login, code)
        except Unauthenticated as error:
            if code:
                details = {"by": BY_PASSWORD, "why": error.reason}
                await self._audit(NewEvent(login.project, AuditKind.SIGN_IN_FAILED, person(login.user_id), details=details))
            raise

    async def open_session(self, user_id: str, grant: Grant, life: timedelta, by: str) -> Tokens:
        """A session for whom an issuer has named: it may do this much, and ends after `life`. Raises LoginFailed for who is gone."""
        login = await self._store.find_login_by_id(user_id)
        if login is None:
            raise LoginFailed
        secret, token = self._new_session(login)
        end, scopes, roles = token.create_time + life, tuple(sorted(grant.scopes)), tuple(sorted(grant.roles))
        token = replace(token, expire_time=min(token.expire_time, end), scopes=scopes, roles=roles, session_end=end, signed_in_by=by)
        if not await self._store.add_refresh_token(token, login.credential_version):
            raise LoginFailed
        held = grant.scopes | await self._store.scopes_of_roles(login.project, roles)
        owner = SessionOwner(login.user_id, login.project, login.role, token.family, held, by_issuer=True, end=end)
        return await self._tokens(owner, secret)

    async def change_password(self, caller: Caller, current: str, new: str) -> Tokens:
        """A new password, and a session in place of all others. Raises PersonNeeded, WrongPassword, InvalidArgument or TooManyLogins."""
        login, old = await self._proven(caller, current)
        password_hash = await self._passwords.hash_new("new_password", new, login.known_words)
        secret, token = self._new_session(login)
        if not await self._store.change_password(login.user_id, old=old, new=password_hash, token=token):
            raise WrongPassword  # it was changed at the same time
        return await self._tokens(_owner(login, token), secret)

    async def change_email(self, caller: Caller, current: str, email: str) -> None:
        """A new address. Raises PersonNeeded, WrongPassword, TooManyLogins or InvalidArgument, which does not say who has the address."""
        login, _ = await self._proven(caller, current)
        try:
            await self._replace_email(login.project, login.user_id, email)
        except EmailTaken:
            raise AddressRefused from None

    async def prove(self, caller: Caller, password: str) -> Login:
        """Who a caller is. Raises PersonNeeded, WrongPassword or TooManyLogins."""
        return (await self._proven(caller, password))[0]

    async def _proven(self, caller: Caller, password: str) -> tuple[Login, str]:
        """The caller's login and password hash, once the password fits."""
        if caller.user_id is None:
            raise PersonNeeded
        login = await self._store.find_login_by_id(caller.user_id)
        password_hash = await self._fitting_hash(login, password)
        if login is None:
            raise WrongPassword
        if password_hash is None:
            # a guess like any other, by who has got hold of a token
            details = {"by": BY_PASSWORD, "why": WrongPassword.reason}
            await self._audit(NewEvent(login.project, AuditKind.SIGN_IN_FAILED, person(login.user_id), details=details))
            raise WrongPassword
        return login, password_hash

    async def _fitting_hash(self, login: Login | None, password: str) -> str | None:
        """The login's hash where the password fits it; None, after the same time, where there is no login or it has no password."""
        password_hash = login.password_hash if login is not None else None
        return password_hash if await self._passwords.verify(password, password_hash) else None

    async def refresh(self, refresh_token: str) -> Tokens:
        """The next tokens. A second use gives the same refresh token for REFRESH_GRACE, then ends the session. Raises RefreshRejected."""
        secret = self._successors.of(refresh_token)
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

    def _new_session(self, login: Login) -> tuple[str, RefreshToken]:
        secret, now = _new_refresh_token(), self._now()
        return secret, RefreshToken(_sha256(secret), login.user_id, ids.new_id(), now, now + REFRESH_TOKEN_LIFE)

    async def _tokens(self, owner: SessionOwner, refresh_token: str) -> Tokens:
        issued_at = int(self._now().timestamp())
        life_s = int(ACCESS_TOKEN_LIFE.total_seconds())
        if owner.end is not None:
            life_s = max(1, min(life_s, int(owner.end.timestamp()) - issued_at))
        missing = await self._lacks_second_factor(owner)
        scopes = frozenset() if missing else owner.scopes
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": owner.user_id,
            "iat": issued_at,
            "exp": issued_at + life_s,
            "jti": ids.new_id(),
            # The session of OpenID Connect Back-Channel Logout 1.0: what a log-out ends.
            "sid": owner.session_id,
            "scope": " ".join(sorted(scopes)),
            "role": owner.role.value,
            "project": owner.project,
        }
        return Tokens(await self._signing_keys.sign(claims), refresh_token, life_s, owner.user_id, missing)

    async def _lacks_second_factor(self, owner: SessionOwner) -> bool:
        """Of a session that began at an issuer, that one has seen to it."""
        asked = self._administrators_need_it and not owner.by_issuer and bool(owner.scopes)
        return asked and not await self._second_step.has(owner.user_id)


def _owner(login: Login, token: RefreshToken) -> SessionOwner:
    return SessionOwner(login.user_id, login.project, login.role, token.family, login.scopes)


def _new_refresh_token() -> str:
    return secrets.token_urlsafe(32)


def _sha256(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
