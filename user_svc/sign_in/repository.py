"""Who is who at issuers, and which sign-ins have come back, in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, insert, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh import ids
from mesh.stores.database import Database
from user_svc.addresses.repository import withdraw_change
from user_svc.auth.holding import note_grant
from user_svc.auth.models import Grant
from user_svc.auth.repository import end_sessions_at_issuers
from user_svc.fields import locale_or_default, timezone_or_default
from user_svc.projects.repository import check_project
from user_svc.sign_in.errors import AddressHeld
from user_svc.sign_in.models import Identity, Person
from user_svc.tables import identities, used_sign_ins, users
from user_svc.users.models import Role

_NOTHING = Grant()
# Two first sign-ins of one person at the same time make one person.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 7))")


class IdentityRepository:
    """Implements `sign_in.use_cases.IdentityStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def use_flow(self, flow_id: str, expire_time: datetime, now: datetime) -> bool:
        statement = postgresql.insert(used_sign_ins).values(id=flow_id, expire_time=expire_time).on_conflict_do_nothing()
        async with self._database.begin() as connection:
            await connection.execute(delete(used_sign_ins).where(used_sign_ins.c.expire_time <= now))
            return bool((await connection.execute(statement)).rowcount)

    async def list_of(self, project: str, user_id: str) -> Sequence[Identity]:
        """Implements `erasure.use_cases.Identities`."""
        of_person = (identities.c.project == project) & (identities.c.user_id == user_id)
        statement = select(identities).where(of_person).order_by(identities.c.issuer, identities.c.subject)
        async with self._database.connect() as connection:
            return [Identity(row.issuer, row.subject, row.create_time) for row in await connection.execute(statement)]

    async def withdraw(self, project: str, issuer_url: str, subject: str) -> None:
        known = _is(project, issuer_url, subject)
        async with self._database.begin() as connection:
            user_id = (await connection.execute(select(identities.c.user_id).where(known))).scalar_one_or_none()
            if user_id is not None:
                await note_grant(connection, project, user_id, known, _NOTHING)
                await end_sessions_at_issuers(connection, project, user_id)

    async def find_or_make(
        self, project: str, issuer_url: str, person: Person, now: datetime, *, link: bool, grant: Grant = _NOTHING
    ) -> str:
        known = _is(project, issuer_url, person.subject)
        try:
            async with self._database.begin() as connection:
                await connection.execute(_LOCK, {"key": f"{project}\n{issuer_url}\n{person.subject}"})
                found = (await connection.execute(select(identities.c.user_id).where(known))).scalar_one_or_none()
                if found is not None:
                    await note_grant(connection, project, found, known, grant)
                    return str(found)
                await check_project(connection, project)
                user_id = await _holder(connection, project, person.email) if person.email else None
                if user_id is not None and not link:
                    raise AddressHeld
                if user_id is None:
                    user_id = await _make(connection, project, person, now)
                values = {"project": project, "issuer": issuer_url, "subject": person.subject, "user_id": user_id, "create_time": now}
                await connection.execute(insert(identities).values(values))
                await note_grant(connection, project, user_id, known, grant)
                await withdraw_change(connection, user_id)
        except IntegrityError:
            # another one got the address, or the person was erased, in this very moment
            raise AddressHeld from None
        return user_id


def _is(project: str, issuer_url: str, subject: str) -> ColumnElement[bool]:
    return (identities.c.project == project) & (identities.c.issuer == issuer_url) & (identities.c.subject == subject)


async def _holder(connection: AsyncConnection, project: str, address: str) -> str | None:
    wanted = (users.c.project == project) & (func.lower(users.c.email) == address.lower())
    found = (await connection.execute(select(users.c.id).where(wanted))).scalar_one_or_none()
    return None if found is None else str(found)


async def _make(connection: AsyncConnection, project: str, person: Person, now: datetime) -> str:
    """A member: what they may do is in their sessions, and ends with these."""
    user_id = ids.new_id()
    values = {
        "id": user_id,
        "project": project,
        "email": person.email or None,
        # the issuer has verified it, or does not name it
        "email_verify_time": now if person.email else None,
        "name": person.name,
        "locale": locale_or_default("locale", ""),
        "timezone": timezone_or_default("timezone", ""),
        "role": Role.MEMBER.value,
        "create_time": now,
        "update_time": now,
    }
    await connection.execute(insert(users).values(values))
    return user_id
