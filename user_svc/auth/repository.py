"""Credentials in PostgreSQL."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.rpc.revocations import session_subject
from mesh.stores.database import Database
from user_svc.audit.models import AuditKind, NewEvent, person
from user_svc.audit.repository import record
from user_svc.auth.holding import is_assigned, scopes_of_roles
from user_svc.auth.models import REFRESH_GRACE, SCOPES_OF_ROLE, Login, RefreshToken, Rotation, RotationOutcome, SessionOwner, SigningKey
from user_svc.auth.revocation_repository import record_revocations
from user_svc.auth.session_desk import Session
from user_svc.projects.repository import check_project
from user_svc.tables import refresh_tokens, roles, signing_keys, users
from user_svc.users.models import Role
from user_svc.users.repository import is_user

# Whatever a person proves themselves with has changed: sign-ins that are under way with the old are refused (`add_refresh_token`).
NEW_CREDENTIALS = {"credential_version": users.c.credential_version + 1}
# By the database's clock: two tabs may come to two processes, whose clocks differ.
_JUST_USED = (func.now() - refresh_tokens.c.use_time < REFRESH_GRACE).label("just_used")
# Any number that all replicas share: two of them must not both make the first signing key.
_SIGNING_KEY_LOCK = 0x7369676E


class SessionRepository:
    """Implements `auth.use_cases.SessionStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_login(self, project: str, email_key: str) -> Login | None:
        return await self._login((users.c.project == project) & (func.lower(users.c.email) == email_key))

    async def find_login_by_id(self, user_id: str) -> Login | None:
        return await self._login(users.c.id == user_id)

    async def _login(self, condition: ColumnElement[bool]) -> Login | None:
        columns = (users.c.id, users.c.project, users.c.role, users.c.password_hash, users.c.email, users.c.name)
        shown = (*columns, users.c.credential_version, roles.c.scopes)
        statement = select(*shown).select_from(users.outerjoin(roles, is_assigned())).where(condition)
        async with self._database.connect() as connection:
            row = (await connection.execute(statement)).one_or_none()
        if row is None:
            return None
        scopes, words = SCOPES_OF_ROLE[Role(row.role)].union(row.scopes or ()), (row.email or "", row.name)
        return Login(row.id, row.project, Role(row.role), row.password_hash, words, row.credential_version, scopes)

    async def change_password(self, user_id: str, *, old: str, new: str, token: RefreshToken) -> bool:
        fits = (users.c.id == user_id) & (users.c.password_hash == old)
        changed = update(users).where(fits).values(password_hash=new, **NEW_CREDENTIALS).returning(users.c.project)
        async with self._database.begin() as connection:
            project = (await connection.execute(changed)).scalar_one_or_none()
            if project is None:
                return False
            ended = await end_all_sessions(connection, user_id)
            await _store(connection, token)
            await _note(connection, project, AuditKind.PASSWORD_CHANGED, user_id, sessions_ended=str(ended))
        return True

    async def replace_password_hash(self, user_id: str, *, old: str, new: str) -> None:
        statement = update(users).where(users.c.id == user_id, users.c.password_hash == old).values(password_hash=new)
        async with self._database.begin() as connection:
            await connection.execute(statement)

    async def add_refresh_token(self, token: RefreshToken, credential_version: int) -> bool:
        """The person is locked, so that a change of what they were proven with comes before, and is noticed, or ends this session too."""
        proven = (users.c.id == token.user_id) & (users.c.credential_version == credential_version)
        try:
            async with self._database.begin() as connection:
                found = await connection.execute(select(users.c.project).where(proven).with_for_update(read=True))
                project = found.scalar_one_or_none()
                if project is None:
                    return False
                await check_project(connection, project)
                await _store(connection, token)
                by, session = token.signed_in_by, token.family
                await _note(connection, project, AuditKind.SIGNED_IN, token.user_id, actor=person(token.user_id), by=by, session=session)
        except IntegrityError:
            return False
        return True

    async def rotate_refresh_token(self, sha256: bytes, next_sha256: bytes, *, now: datetime, expire_time: datetime) -> Rotation:
        """The row is locked, so that of two uses at the same time one is the second."""
        statement = (
            select(refresh_tokens, users.c.project, users.c.role, roles.c.scopes.label("assigned_scopes"), _JUST_USED)
            .join(users, users.c.id == refresh_tokens.c.user_id)
            .outerjoin(roles, is_assigned())
            .where(refresh_tokens.c.token_sha256 == sha256)
            .with_for_update(of=refresh_tokens)
        )
        async with self._database.begin() as connection:
            row = (await connection.execute(statement)).one_or_none()
            if row is None:
                return Rotation(RotationOutcome.UNKNOWN)
            role, scopes = Role(row.role), None if row.scopes is None else tuple(row.scopes)
            own = SCOPES_OF_ROLE[role].union(row.assigned_scopes or ())
            held = own if scopes is None else await scopes_of_roles(connection, row.project, row.roles) | {*scopes}
            owner = SessionOwner(row.user_id, row.project, role, row.family, held, by_issuer=scopes is not None, end=row.session_end)
            if row.use_time is not None:
                if row.just_used and await _is_of_family(connection, next_sha256, row.family):
                    return Rotation(RotationOutcome.ROTATED, owner)
                await _revoke_family(connection, row.family)
                await _note(connection, row.project, AuditKind.SESSIONS_ENDED, row.user_id, why="token_used_twice", session=row.family)
                return Rotation(RotationOutcome.REUSED)
            if row.expire_time <= now:
                return Rotation(RotationOutcome.EXPIRED)
            used = update(refresh_tokens).where(refresh_tokens.c.token_sha256 == sha256).values(use_time=func.now())
            await connection.execute(used)
            end = expire_time if row.session_end is None else min(expire_time, row.session_end)
            following = RefreshToken(next_sha256, row.user_id, row.family, now, end, scopes, row.session_end, roles=tuple(row.roles))
            await _store(connection, following)
        return Rotation(RotationOutcome.ROTATED, owner)

    async def revoke_family_of(self, sha256: bytes) -> None:
        token = refresh_tokens.c
        known = select(token.family, token.user_id, users.c.project).join(users, users.c.id == token.user_id)
        async with self._database.begin() as connection:
            row = (await connection.execute(known.where(token.token_sha256 == sha256))).one_or_none()
            if row is not None and await _revoke_family(connection, row.family):
                who = person(row.user_id)
                await _note(connection, row.project, AuditKind.SESSIONS_ENDED, row.user_id, actor=who, why="signed_out", session=row.family)

    async def scopes_of_roles(self, project: str, names: Collection[str]) -> frozenset[str]:
        async with self._database.connect() as connection:
            return await scopes_of_roles(connection, project, names)

    async def list_sessions(self, project: str, user_id: str, limit: int) -> Sequence[Session] | None:
        tokens = refresh_tokens.c
        last = func.max(tokens.create_time).label("last")
        statement = (
            select(tokens.family, func.min(tokens.create_time).label("first"), last, func.max(tokens.expire_time).label("end"))
            .where(tokens.user_id == user_id)
            .group_by(tokens.family)
            .having(func.max(tokens.expire_time) > func.now())
            .order_by(last.desc(), tokens.family)
            .limit(limit)
        )
        async with self._database.connect() as connection:
            if (await connection.execute(select(users.c.id).where(is_user(project, user_id)))).one_or_none() is None:
                return None
            return [Session(row.family, row.first, row.last, row.end) for row in await connection.execute(statement)]

    async def end_sessions(self, project: str, user_id: str, *, only: str | None = None, but: Collection[str] = ()) -> int | None:
        families = families_of(user_id)
        if only is not None:
            families = families.where(refresh_tokens.c.family == only)
        async with self._database.begin() as connection:
            person = select(users.c.id).where(is_user(project, user_id))
            if (await connection.execute(person)).one_or_none() is None:
                return None
            return await end_families(connection, project, user_id, families, but=but)


class SigningKeyRepository:
    """Implements `auth.signing.SigningKeyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_active(self) -> SigningKey | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(_active())).one_or_none()
        return None if row is None else _signing_key(row)

    async def activate(self, key: SigningKey, *, instead_of: str | None, note_in: str | None = None) -> SigningKey:
        """The advisory lock makes processes that start together agree on one key."""
        async with self._database.begin() as connection:
            await connection.execute(select(func.pg_advisory_xact_lock(_SIGNING_KEY_LOCK)))
            row = (await connection.execute(_active())).one_or_none()
            if row is not None and row.kid != instead_of:
                return _signing_key(row)
            retired = update(signing_keys).where(signing_keys.c.retire_time.is_(None)).values(retire_time=key.create_time)
            await connection.execute(retired)
            await connection.execute(
                insert(signing_keys).values(
                    kid=key.kid, public_key=key.public_key, sealed_private_key=key.sealed_private_key, create_time=key.create_time
                )
            )
            if note_in is not None:
                await record(connection, NewEvent(note_in, AuditKind.SIGNING_KEY_ROTATED, f"signing_key:{key.kid}"))
        return key

    async def list_published(self, retired_since: datetime) -> Sequence[SigningKey]:
        published = or_(signing_keys.c.retire_time.is_(None), signing_keys.c.retire_time > retired_since)
        async with self._database.connect() as connection:
            rows = await connection.execute(select(signing_keys).where(published).order_by(signing_keys.c.create_time.desc()))
            return [_signing_key(row) for row in rows]


async def end_all_sessions(connection: AsyncConnection, user_id: str) -> int:
    """How many a person had."""
    return await end_sessions_of(connection, refresh_tokens.c.user_id == user_id)


async def end_sessions_of(connection: AsyncConnection, whose: ColumnElement[bool]) -> int:
    """How many there were. Repeated, since a refresh that is under way leaves a token that the statement before did not see."""
    tokens = delete(refresh_tokens).where(whose).returning(refresh_tokens.c.family)
    ended: set[str] = set()
    while families := {row.family for row in await connection.execute(tokens)}:
        ended |= families
    await record_revocations(connection, [session_subject(family) for family in sorted(ended)])
    return len(ended)


def families_of(user_id: str) -> Select[Any]:
    """The sessions of a person."""
    return select(refresh_tokens.c.family).where(refresh_tokens.c.user_id == user_id).distinct()


async def end_families(connection: AsyncConnection, project: str, user_id: str, families: Select[Any], *, but: Collection[str] = ()) -> int:
    """Ends some of a person's sessions, as asked for, but those of some subjects; how many."""
    found = [family for family in (await connection.execute(families)).scalars() if session_subject(family) not in but]
    ended = sum([await _revoke_family(connection, family) for family in found])
    if ended:
        await _note(connection, project, AuditKind.SESSIONS_ENDED, user_id, why="asked_for", count=str(ended))
    return ended


async def end_sessions_at_issuers(connection: AsyncConnection, project: str, user_id: str) -> None:
    """Those of a person that began at an issuer."""
    families = select(refresh_tokens.c.family).where(refresh_tokens.c.user_id == user_id, refresh_tokens.c.scopes.is_not(None)).distinct()
    ended = sum([await _revoke_family(connection, family) for family in (await connection.execute(families)).scalars().all()])
    if ended:
        await _note(connection, project, AuditKind.SESSIONS_ENDED, user_id, actor=person(user_id), why="group_lost", count=str(ended))


async def _note(
    connection: AsyncConnection, project: str, kind: AuditKind, user_id: str, *, actor: str | None = None, **details: str
) -> None:
    await record(connection, NewEvent(project, kind, person(user_id), actor, details))


async def _is_of_family(connection: AsyncConnection, sha256: bytes, family: str) -> bool:
    statement = select(refresh_tokens.c.family).where(refresh_tokens.c.token_sha256 == sha256)
    return (await connection.execute(statement)).scalar_one_or_none() == family


async def _revoke_family(connection: AsyncConnection, family: str) -> bool:
    """False where there was nothing left of it, as when another call has ended it at the same time.

    A refresh that is under way holds its token's row: waiting for that, the statement does not see the next token, so it is repeated.
    """
    of_family = delete(refresh_tokens).where(refresh_tokens.c.family == family)
    ended = False
    while (await connection.execute(of_family)).rowcount:
        ended = True
    await record_revocations(connection, [session_subject(family)])
    return ended


def _active() -> Any:
    return select(signing_keys).where(signing_keys.c.retire_time.is_(None))


async def _store(connection: AsyncConnection, token: RefreshToken) -> None:
    """Forgets the person's expired tokens on the way, so that the table does not grow."""
    same_person = refresh_tokens.c.user_id == token.user_id
    await connection.execute(delete(refresh_tokens).where(same_person, refresh_tokens.c.expire_time <= token.create_time))
    statement = insert(refresh_tokens).values(
        token_sha256=token.sha256,
        user_id=token.user_id,
        family=token.family,
        create_time=token.create_time,
        expire_time=token.expire_time,
        scopes=None if token.scopes is None else list(token.scopes),
        session_end=token.session_end,
        roles=list(token.roles),
    )
    await connection.execute(statement)


def _signing_key(row: Row[*tuple[Any, ...]]) -> SigningKey:
    return SigningKey(row.kid, row.public_key, row.sealed_private_key, row.create_time, row.retire_time)
