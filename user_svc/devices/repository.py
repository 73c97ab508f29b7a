"""Devices in PostgreSQL."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Delete, Row, Update, and_, case, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.stores.database import Database
from user_svc.devices.models import MAX_DEVICES, TOMBSTONE_DAYS, YIELDED, Device, Platform
from user_svc.tables import devices, users
from user_svc.users.repository import is_user

_SEEN = func.coalesce(devices.c.seen_time, devices.c.create_time)


class DeviceRepository:
    """Implements `devices.use_cases.DeviceStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(self, project: str, device: Device) -> Device | None:
        """Locks the person's row, so that two devices that arrive together find the same ones there."""
        async with self._database.begin() as connection:
            lock = select(users.c.id).where(is_user(project, device.user_id)).with_for_update(key_share=True)
            if (await connection.execute(lock)).one_or_none() is None:
                return None
            registered = await _upsert(connection, project, device)
            await connection.execute(_yielding(registered))
            await connection.execute(_old_tombstones(device))
        return registered

    async def list_newest_first(self, project: str, user_id: str, *, removed: bool = False) -> Sequence[Device] | None:
        """One statement: a person without devices is a row without a device."""
        wanted = devices.c.user_id == users.c.id
        joined = users.outerjoin(devices, wanted if removed else and_(wanted, devices.c.remove_time.is_(None)))
        statement = select(devices).select_from(joined).where(is_user(project, user_id)).order_by(devices.c.id.desc())
        async with self._database.connect() as connection:
            rows = (await connection.execute(statement)).all()
        return [_device(row) for row in rows if row.id is not None] if rows else None

    async def delete(self, project: str, user_id: str, device_id: str) -> bool:
        statement = delete(devices).where(devices.c.id == device_id, devices.c.user_id == user_id, devices.c.project == project)
        async with self._database.begin() as connection:
            return bool((await connection.execute(statement)).rowcount)


async def _upsert(connection: AsyncConnection, project: str, device: Device) -> Device:
    statement = insert(devices).values(
        id=device.id,
        project=project,
        user_id=device.user_id,
        token=device.token,
        token_sha256=hashlib.sha256(device.token.encode()).digest(),
        platform=device.platform.value,
        create_time=device.create_time,
        app=device.app,
        seen_time=device.last_seen_time,
    )
    new = statement.excluded
    same_person = devices.c.user_id == new.user_id
    upsert = statement.on_conflict_do_update(
        index_elements=[devices.c.project, devices.c.token_sha256],
        set_={
            # A token that moves gets a new id: what was addressed to its last owner must not reach the next one.
            "id": case((same_person, devices.c.id), else_=new.id),
            "create_time": case((same_person, devices.c.create_time), else_=new.create_time),
            "user_id": new.user_id,
            # who does not say it again has said it before
            **{name: case((same_person & (new[name] == ""), devices.c[name]), else_=new[name]) for name in ("platform", "app")},
            "seen_time": new.seen_time,
            # an app that registers again is there, whatever the provider has said of its token before
            "remove_time": None,
            "remove_reason": "",
        },
    ).returning(devices)
    return _device((await connection.execute(upsert)).one())


def _yielding(registered: Device) -> Update:
    """Of more than a person may have, the ones that were seen longest ago."""
    reached = and_(devices.c.user_id == registered.user_id, devices.c.remove_time.is_(None))
    # the one that has just come stays, however the clocks of two processes differ
    order = (devices.c.id == registered.id).desc(), _SEEN.desc(), devices.c.id.desc()
    too_many = select(devices.c.id).where(reached).order_by(*order).offset(MAX_DEVICES)
    values = {"remove_time": registered.last_seen_time, "remove_reason": YIELDED}
    return update(devices).where(devices.c.id.in_(too_many)).values(**values)


def _old_tombstones(device: Device) -> Delete:
    """What is no use any more: tombstones past their time, and more than a person may have devices."""
    removed = and_(devices.c.user_id == device.user_id, devices.c.remove_time.is_not(None))
    newest = select(devices.c.id).where(removed).order_by(devices.c.remove_time.desc()).limit(MAX_DEVICES)
    expired = devices.c.remove_time < device.create_time - timedelta(days=TOMBSTONE_DAYS)
    return delete(devices).where(removed, or_(expired, devices.c.id.not_in(newest)))


def _device(row: Row[*tuple[Any, ...]]) -> Device:
    seen = row.seen_time or row.create_time
    platform, removed = Platform(row.platform), (row.remove_time, row.remove_reason)
    return Device(row.id, row.user_id, row.token, platform, row.create_time, seen, row.app, *removed)
