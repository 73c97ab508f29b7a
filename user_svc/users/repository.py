"""People in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.etag import check_etag
from mesh.stores.database import Database
from user_svc.tables import users
from user_svc.users.errors import EmailTaken
from user_svc.users.models import Role, User, UserChanges

_COLUMNS = (
    users.c.id, users.c.email, users.c.name, users.c.locale, users.c.timezone, users.c.role, users.c.create_time, users.c.update_time,
)  # fmt: skip


class UserRepository:
    """Implements `users.use_cases.UserStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, project: str, user: User, password_hash: str | None) -> None:
        """Raises EmailTaken."""
        values = {field.name: getattr(user, field.name) for field in fields(user)} | {"project": project, "role": user.role.value}
        statement = insert(users).values(**values | {"email": user.email or None, "password_hash": password_hash})
        try:
            async with self._database.begin() as connection:
                await connection.execute(statement)
        except IntegrityError:
            raise EmailTaken from None

    async def find(self, project: str, user_id: str) -> User | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(select(*_COLUMNS).where(is_user(project, user_id)))).one_or_none()
        return None if row is None else _user(row)

    async def update(self, project: str, user_id: str, changes: UserChanges, now: datetime, *, etag: str = "") -> User | None:
        """The person after the change; None when there is none. Raises EmailTaken, or EtagMismatch when `etag` is given and not theirs."""
        values: dict[str, Any] = {name: value for name, value in _items(changes) if value is not None}
        if not values:
            user = await self.find(project, user_id)
            if user is not None:
                check_etag(etag, user.etag)
            return user
        if "email" in values:
            values["email"] = values["email"] or None
        statement = update(users).where(is_user(project, user_id)).values(**values, update_time=now).returning(*_COLUMNS)
        try:
            async with self._database.begin() as connection:
                if etag:
                    await _check_locked(connection, project, user_id, etag)
                row = (await connection.execute(statement)).one_or_none()
        except IntegrityError:
            raise EmailTaken from None
        return None if row is None else _user(row)

    async def delete(self, project: str, user_id: str) -> bool:
        """Foreign keys take devices, preferences and refresh tokens along."""
        async with self._database.begin() as connection:
            return bool((await connection.execute(delete(users).where(is_user(project, user_id)))).rowcount)

    async def list_newest_first(self, project: str, email: str, before_id: str | None, limit: int) -> Sequence[User]:
        """Ids are UUIDv7, so their order is that of creation."""
        statement = select(*_COLUMNS).where(users.c.project == project).order_by(users.c.id.desc()).limit(limit)
        if email:
            statement = statement.where(func.lower(users.c.email) == email)
        if before_id is not None:
            statement = statement.where(users.c.id < before_id)
        async with self._database.connect() as connection:
            return [_user(row) for row in await connection.execute(statement)]


def is_user(project: str, user_id: str) -> ColumnElement[bool]:
    """The person with the id, if they are of the project."""
    return (users.c.id == user_id) & (users.c.project == project)


async def _check_locked(connection: AsyncConnection, project: str, user_id: str, etag: str) -> None:
    """Locks the row, so that nothing comes between the comparison and the change."""
    row = (await connection.execute(select(*_COLUMNS).where(is_user(project, user_id)).with_for_update())).one_or_none()
    if row is not None:
        check_etag(etag, _user(row).etag)


def _items(changes: UserChanges) -> list[tuple[str, str | None]]:
    return [(field.name, getattr(changes, field.name)) for field in fields(changes)]


def _user(row: Row[*tuple[Any, ...]]) -> User:
    return User(
        id=row.id,
        email=row.email or "",
        name=row.name,
        locale=row.locale,
        timezone=row.timezone,
        role=Role(row.role),
        create_time=row.create_time,
        update_time=row.update_time,
    )
