"""Contacts in PostgreSQL: one statement per question, whatever the number of people."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, BOOLEAN, UUID

from mesh.database import Database
from user_svc.preferences.models import Channel, Choice, PreferenceRule
from user_svc.recipients.models import Contact, PushTarget

_IDS = ARRAY(UUID(as_uuid=False))

# The laterals are empty loops for a person without rules, and are not entered for one whose devices nobody asked for.
_CONTACTS = text("""
    SELECT u.id::text AS id, u.email, u.name, u.locale, u.timezone, s.reason,
           p.channels, p.categories, p.choices, d.device_ids, d.tokens
    FROM unnest(:ids, :wants_devices) AS asked (id, wants_devices)
    JOIN users u ON u.id = asked.id
    LEFT JOIN suppressions s ON s.address = lower(u.email)
    LEFT JOIN LATERAL (
        SELECT array_agg(channel) AS channels, array_agg(category) AS categories, array_agg(choice) AS choices
        FROM preferences WHERE user_id = u.id
    ) p ON true
    LEFT JOIN LATERAL (
        SELECT array_agg(id::text ORDER BY id DESC) AS device_ids, array_agg(token ORDER BY id DESC) AS tokens
        FROM devices WHERE user_id = u.id
    ) d ON asked.wants_devices
""").bindparams(bindparam("ids", type_=_IDS), bindparam("wants_devices", type_=ARRAY(BOOLEAN)))

_EXISTING = text("SELECT id::text FROM users WHERE id = ANY(:ids)").bindparams(bindparam("ids", type_=_IDS))

_REMOVE_DEVICES = text("DELETE FROM devices WHERE id = ANY(:ids)").bindparams(bindparam("ids", type_=_IDS))


class ContactRepository:
    """Implements `recipients.use_cases.ContactStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def contacts(self, wants_devices: Mapping[str, bool]) -> Mapping[str, Contact]:
        parameters = {"ids": list(wants_devices), "wants_devices": list(wants_devices.values())}
        async with self._database.connect() as connection:
            rows = (await connection.execute(_CONTACTS, parameters)).all()
        return {row.id: _contact(row) for row in rows}

    async def existing(self, user_ids: Collection[str]) -> Collection[str]:
        async with self._database.connect() as connection:
            return list((await connection.execute(_EXISTING, {"ids": list(user_ids)})).scalars())

    async def remove_devices(self, device_ids: Collection[str]) -> None:
        # Sorted, so that two batches with common devices lock them in the same order.
        async with self._database.begin() as connection:
            await connection.execute(_REMOVE_DEVICES, {"ids": sorted(device_ids)})


def _contact(row: Row[*tuple[Any, ...]]) -> Contact:
    rules = zip(row.channels or (), row.categories or (), row.choices or (), strict=True)
    devices = zip(row.device_ids or (), row.tokens or (), strict=True)
    return Contact(
        user_id=row.id,
        email=row.email or "",
        suppressed_for=row.reason or "",
        locale=row.locale,
        timezone=row.timezone,
        name=row.name,
        rules=tuple(PreferenceRule(Channel(channel), category, Choice(choice)) for channel, category, choice in rules),
        devices=tuple(PushTarget(device_id, token) for device_id, token in devices),
    )
