"""Who has a device, by its token, in PostgreSQL: one statement per question, whatever the number of devices."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import BindParameter, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, TEXT, UUID

from mesh import ids
from mesh.stores.database import Database
from user_svc.recipients.models import Ensured, NewDevice, Token
from user_svc.users.models import Role

_IDS = ARRAY(UUID(as_uuid=False))
_NEW = """
    unnest(:projects, :hashes, :tokens, :platforms, :names, :locales, :timezones, :user_ids, :device_ids)
    AS asked (project, sha256, token, platform, name, locale, timezone, user_id, device_id)
"""
_TYPES: tuple[BindParameter[Any], ...] = (
    *(bindparam(name, type_=ARRAY(TEXT)) for name in ("projects", "tokens", "platforms", "names", "locales", "timezones")),
    bindparam("hashes", type_=ARRAY(BYTEA)), bindparam("user_ids", type_=_IDS), bindparam("device_ids", type_=_IDS),
)  # fmt: skip
# A tombstone, too: what the provider has reported as gone is not made anew by a send.
_KNOWN = text("""
    SELECT d.project, d.token_sha256, d.user_id::text AS user_id, d.id::text AS device_id
    FROM unnest(:projects, :hashes) AS asked (project, sha256)
    JOIN devices d ON (d.project, d.token_sha256) = (asked.project, asked.sha256)
""").bindparams(bindparam("projects", type_=ARRAY(TEXT)), bindparam("hashes", type_=ARRAY(BYTEA)))
_MAKE_USERS = text(f"""
    INSERT INTO users (id, project, name, locale, timezone, role, create_time, update_time)
    SELECT user_id, project, name, locale, timezone, :role, now(), now() FROM {_NEW}
""").bindparams(*_TYPES)
# In order of the token, so that two batches with common ones never wait for each other in a circle.
_MAKE_DEVICES = text(f"""
    INSERT INTO devices (id, project, user_id, token, token_sha256, platform, create_time)
    SELECT device_id, project, user_id, token, sha256, platform, now() FROM {_NEW}
    ORDER BY project, sha256 ON CONFLICT (project, token_sha256) DO NOTHING RETURNING user_id::text
""").bindparams(*_TYPES)
_UNMAKE = text("DELETE FROM users WHERE id = ANY(:ids)").bindparams(bindparam("ids", type_=_IDS))


class DeviceOwners:
    """Finds and makes the users of devices."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ensure(self, devices: Sequence[NewDevice], *, only_existing: bool) -> dict[Token, Ensured]:
        """Most are known already, so that is asked first. What has just been made by another batch is found the second time."""
        found = await self._known([device.key for device in devices])
        rest = [device for device in devices if device.key not in found]
        if rest and not only_existing:
            await self._make(rest)
            found |= await self._known([device.key for device in rest])
        return found

    async def _known(self, tokens: Collection[Token]) -> dict[Token, Ensured]:
        parameters = {"projects": [one.project for one in tokens], "hashes": [one.sha256 for one in tokens]}
        async with self._database.connect() as connection:
            rows = (await connection.execute(_KNOWN, parameters)).all()
        return {Token(row.project, bytes(row.token_sha256)): Ensured(row.user_id, row.device_id) for row in rows}

    async def _make(self, devices: Sequence[NewDevice]) -> None:
        """Those whose device another batch was quicker to make are taken back."""
        parameters = _parts_of(devices)
        async with self._database.begin() as connection:
            await connection.execute(_MAKE_USERS, {**parameters, "role": Role.MEMBER.value})
            made = {*(await connection.execute(_MAKE_DEVICES, parameters)).scalars()}
            if len(made) < len(devices):
                await connection.execute(_UNMAKE, {"ids": [one for one in parameters["user_ids"] if one not in made]})


def _parts_of(devices: Sequence[NewDevice]) -> dict[str, list[Any]]:
    return {
        "projects": [one.project for one in devices],
        "hashes": [one.key.sha256 for one in devices],
        "tokens": [one.token for one in devices],
        "platforms": [one.platform.value for one in devices],
        "names": [one.name for one in devices],
        "locales": [one.locale for one in devices],
        "timezones": [one.timezone for one in devices],
        "user_ids": [ids.new_id() for _ in devices],
        "device_ids": [ids.new_id() for _ in devices],
    }
