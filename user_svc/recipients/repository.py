"""Contacts in PostgreSQL: one statement per question, whatever the number of people."""

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, BOOLEAN, TEXT, UUID

from mesh import ids
from mesh.stores.database import Database
from user_svc.preferences.models import Channel, Choice, PreferenceRule
from user_svc.preferences.unsubscribing import Person
from user_svc.recipients.models import Address, Contact, PushTarget, UserReference

_IDS = ARRAY(UUID(as_uuid=False))

# The laterals are empty loops for a person without rules, and are not entered for one whose devices were not asked for.
_CONTACTS = text("""
    SELECT u.id::text AS id, u.project, u.email, u.name, u.locale, u.timezone, s.reason,
           p.channels, p.categories, p.choices, d.device_ids, d.tokens
    FROM unnest(:ids, :wants_devices) AS asked (id, wants_devices)
    JOIN users u ON u.id = asked.id
    LEFT JOIN suppressions s ON s.project = u.project AND s.address = lower(u.email)
    LEFT JOIN LATERAL (
        SELECT array_agg(channel) AS channels, array_agg(category) AS categories, array_agg(choice) AS choices
        FROM preferences WHERE user_id = u.id
    ) p ON true
    LEFT JOIN LATERAL (
        SELECT array_agg(id::text ORDER BY id DESC) AS device_ids, array_agg(token ORDER BY id DESC) AS tokens
        FROM devices WHERE user_id = u.id AND remove_time IS NULL
    ) d ON asked.wants_devices
""").bindparams(bindparam("ids", type_=_IDS), bindparam("wants_devices", type_=ARRAY(BOOLEAN)))

_SUPPRESSED = text("""
    SELECT s.project, s.address, s.reason
    FROM unnest(:projects, :addresses) AS asked (project, address)
    JOIN suppressions s ON (s.project, s.address) = (asked.project, asked.address)
""").bindparams(bindparam("projects", type_=ARRAY(TEXT)), bindparam("addresses", type_=ARRAY(TEXT)))

_EXISTING = text("SELECT id::text, project, locale FROM users WHERE id = ANY(:ids)").bindparams(bindparam("ids", type_=_IDS))

# As `users/repository.py` resolves one.
_RESOLVE = text("""
    SELECT asked.project, asked.reference, found.id::text AS id
    FROM unnest(:projects, :references, :ids) AS asked (project, reference, id) CROSS JOIN LATERAL (
        SELECT id FROM users WHERE project = asked.project AND id = asked.id
        UNION ALL
        SELECT id FROM users WHERE project = asked.project AND external_id = asked.reference
        LIMIT 1
    ) found
""").bindparams(bindparam("projects", type_=ARRAY(TEXT)), bindparam("references", type_=ARRAY(TEXT)), bindparam("ids", type_=_IDS))

# The first report stands. Locked in one order, so that two batches with common devices never wait for each other in a circle.
_REMOVE_DEVICES = text("""
    WITH gone AS (SELECT id FROM devices WHERE id = ANY(:ids) AND remove_time IS NULL ORDER BY id FOR UPDATE)
    UPDATE devices SET remove_time = now(), remove_reason = :reason FROM gone WHERE devices.id = gone.id
""").bindparams(bindparam("ids", type_=_IDS))


class ContactRepository:
    """Implements `recipients.use_cases.ContactStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def contacts(self, wants_devices: Mapping[str, bool]) -> Mapping[str, Contact]:
        parameters = {"ids": list(wants_devices), "wants_devices": list(wants_devices.values())}
        async with self._database.connect() as connection:
            rows = (await connection.execute(_CONTACTS, parameters)).all()
        return {contact.user_id: contact for contact in map(_contact, rows)}

    async def suppressed(self, addresses: Collection[Address]) -> Mapping[Address, str]:
        asked = list(addresses)
        parameters = {"projects": [one.project for one in asked], "addresses": [one.address for one in asked]}
        async with self._database.connect() as connection:
            rows = (await connection.execute(_SUPPRESSED, parameters)).all()
        return {Address(row.project, row.address): row.reason for row in rows}

    async def projects(self, user_ids: Collection[str]) -> Mapping[str, str]:
        async with self._database.connect() as connection:
            return {row.id: row.project for row in await connection.execute(_EXISTING, {"ids": list(user_ids)})}

    async def people(self, user_ids: Collection[str]) -> Mapping[str, Person]:
        async with self._database.connect() as connection:
            rows = await connection.execute(_EXISTING, {"ids": list(user_ids)})
            return {row.id: Person(row.project, row.locale) for row in rows}

    async def resolve(self, references: Collection[UserReference]) -> Mapping[UserReference, str]:
        asked = list(references)
        parameters = {
            "projects": [one.project for one in asked],
            "references": [one.reference for one in asked],
            "ids": [ids.canonical(one.reference) for one in asked],
        }
        async with self._database.connect() as connection:
            rows = (await connection.execute(_RESOLVE, parameters)).all()
        return {UserReference(row.project, row.reference): row.id for row in rows}

    async def remove_devices(self, device_ids: Collection[str], reason: str = "") -> None:
        async with self._database.begin() as connection:
            await connection.execute(_REMOVE_DEVICES, {"ids": list(device_ids), "reason": reason})


def _contact(row: Row[*tuple[Any, ...]]) -> Contact:
    # Unpacked at once: this runs for every recipient of every notification, and reading a row's attributes costs more than the rest.
    user_id, project, email, name, locale, timezone, reason, channels, categories, choices, device_ids, tokens = row
    return Contact(
        user_id=user_id,
        project=project,
        email=email or "",
        suppressed_for=reason or "",
        locale=locale,
        timezone=timezone,
        name=name,
        rules=tuple(map(_rule, channels, categories, choices)) if channels else (),
        devices=tuple(map(PushTarget, device_ids, tokens)) if device_ids else (),
    )


@lru_cache(maxsize=4096)
def _rule(channel: str, category: str, choice: str) -> PreferenceRule:
    """Few distinct rules make up the choices of many people."""
    return PreferenceRule(Channel(channel), category, Choice(choice))
