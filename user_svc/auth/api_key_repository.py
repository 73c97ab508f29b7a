"""API keys in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, String, cast, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.stores.database import Database
from user_svc.audit.models import AuditKind, NewEvent
from user_svc.audit.repository import record
from user_svc.auth.api_keys import within_maker
from user_svc.auth.holding import lock_maker, works
from user_svc.auth.models import ApiKey
from user_svc.auth.revocation_repository import revoke_keys, revoke_keys_made_by
from user_svc.projects.repository import check_project
from user_svc.tables import api_keys


class ApiKeyRepository:
    """Implements `auth.api_keys.ApiKeyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_first(self, key: ApiKey) -> bool:
        statement = insert(api_keys).values(**_values(key)).on_conflict_do_nothing(index_elements=[api_keys.c.key_sha256])
        async with self._database.begin() as connection:
            new = bool((await connection.execute(statement)).rowcount)
            if new:
                await _note(connection, key.project, AuditKind.API_KEY_CREATED, key.id, **_reach(key))
        return new

    async def add(self, key: ApiKey, now: datetime) -> ApiKey:
        """The maker's row stays locked until the key is there, so that what revokes the maker finds the key."""
        async with self._database.begin() as connection:
            scopes, expire_time = await lock_maker(connection, key.created_by, now)
            kept = within_maker(key, scopes, expire_time)
            await check_project(connection, key.project)
            await connection.execute(insert(api_keys).values(**_values(kept)))
            await _note(connection, kept.project, AuditKind.API_KEY_CREATED, kept.id, **_reach(kept))
        return kept

    async def find(self, sha256: bytes) -> ApiKey | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(select(api_keys).where(api_keys.c.key_sha256 == sha256))).one_or_none()
        return None if row is None else _api_key(row)

    async def list_working(
        self, project: str, before_id: str | None, limit: int, now: datetime, *, family_of: str | None = None
    ) -> Sequence[ApiKey]:
        statement = select(api_keys).where(api_keys.c.project == project, works(now)).order_by(api_keys.c.id.desc()).limit(limit)
        if before_id is not None:
            statement = statement.where(api_keys.c.id < before_id)
        if family_of is not None:
            statement = statement.where(api_keys.c.id.in_(_family(family_of)))
        async with self._database.connect() as connection:
            return [_api_key(row) for row in await connection.execute(statement)]

    async def revoke(self, project: str, key_id: str, *, family_of: str | None = None) -> bool:
        wanted = (api_keys.c.id == key_id) & (api_keys.c.project == project)
        if family_of is not None:
            wanted &= api_keys.c.id.in_(_family(family_of))
        async with self._database.begin() as connection:
            if not await revoke_keys(connection, wanted):
                return False
            await revoke_keys_made_by(connection, [key_id])
            await _note(connection, project, AuditKind.API_KEY_REVOKED, key_id)
        return True


def _reach(key: ApiKey) -> dict[str, str]:
    """How far it reaches, as its entry in the audit log has it: no names, which may be people's."""
    narrowed = {"narrowed_to": " ".join(kind for kind, _ in key.bounds)} if key.bounds else {}
    return {"scopes": " ".join(key.scopes), **({"test": "true"} if key.test else {}), **narrowed}


async def _note(connection: AsyncConnection, project: str, kind: AuditKind, key_id: str, **details: str) -> None:
    await record(connection, NewEvent(project, kind, f"api_key:{key_id}", details=details))


def _family(of: str) -> Select[Any]:
    """The ids of a key, and of what it or a person has made, directly or not."""
    root = select(api_keys.c.id).where(or_(cast(api_keys.c.id, String) == of, api_keys.c.created_by == of)).cte("family", recursive=True)
    family = root.union(select(api_keys.c.id).where(api_keys.c.created_by == cast(root.c.id, String)))
    return select(family.c.id)


def _values(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "project": key.project,
        "name": key.name,
        "prefix": key.prefix,
        "key_sha256": key.sha256,
        "scopes": list(key.scopes),
        "created_by": key.created_by,
        "create_time": key.create_time,
        "expire_time": key.expire_time,
        "restrictions": {kind: list(names) for kind, names in key.bounds} or None,
    }


def _api_key(row: Row[*tuple[Any, ...]]) -> ApiKey:
    return ApiKey(
        id=row.id,
        project=row.project,
        name=row.name,
        prefix=row.prefix,
        sha256=row.key_sha256,
        scopes=tuple(row.scopes),
        created_by=row.created_by,
        create_time=row.create_time,
        expire_time=row.expire_time,
        revoke_time=row.revoke_time,
        bounds=tuple((kind, tuple(names)) for kind, names in (row.restrictions or {}).items()),
    )
