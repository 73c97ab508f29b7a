"""Contacts in PostgreSQL: one statement per question, whatever the number of people."""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, BOOLEAN, INTEGER, TEXT, TIMESTAMP, UUID
from sqlalchemy.exc import IntegrityError

from mesh import ids
from mesh.stores.database import Database
from user_svc.policies.models import LONGEST_WINDOW
from user_svc.preferences.models import PreferenceRule
from user_svc.preferences.quiet_hours import parse_quiet_hours
from user_svc.preferences.unsubscribing import Person
from user_svc.recipients.device_repository import DeviceOwners
from user_svc.recipients.models import Address, Contact, Ended, Ensured, Limited, NewDevice, NewUser, PushTarget, Token, UserReference
from user_svc.suppressions.models import Hold
from user_svc.users.models import Role

_IDS = ARRAY(UUID(as_uuid=False))

# The laterals are empty loops for a person without rules, and are not entered for one whose devices were not asked for.
_CONTACTS = text("""
    SELECT u.id::text AS id, u.project, u.email, u.name, u.locale, u.timezone, s.reason, s.expire_time,
           p.channels, p.categories, p.choices, d.device_ids, d.tokens, u.quiet_hours, u.attributes::text,
           c.categories AS held_categories, c.reasons, c.ends
    FROM unnest(:ids, :wants_devices) AS asked (id, wants_devices)
    JOIN users u ON u.id = asked.id
    LEFT JOIN suppressions s ON s.project = u.project AND s.address = lower(u.email)
    LEFT JOIN LATERAL (
        SELECT array_agg(category) AS categories, array_agg(reason) AS reasons, array_agg(expire_time) AS ends
        FROM category_suppressions WHERE project = u.project AND address = lower(u.email)
    ) c ON true
    LEFT JOIN LATERAL (
        SELECT array_agg(channel) AS channels, array_agg(category) AS categories, array_agg(choice) AS choices
        FROM preferences WHERE user_id = u.id
    ) p ON true
    LEFT JOIN LATERAL (
        SELECT array_agg(id::text ORDER BY id DESC) AS device_ids, array_agg(token ORDER BY id DESC) AS tokens
        FROM devices WHERE user_id = u.id AND remove_time IS NULL
    ) d ON asked.wants_devices
""").bindparams(bindparam("ids", type_=_IDS), bindparam("wants_devices", type_=ARRAY(BOOLEAN)))

_HOLDS = text("""
    SELECT s.project, s.address, ''::text AS category, s.reason, s.expire_time
    FROM unnest(:projects, :addresses) AS asked (project, address)
    JOIN suppressions s ON (s.project, s.address) = (asked.project, asked.address)
    UNION ALL
    SELECT s.project, s.address, s.category, s.reason, s.expire_time
    FROM unnest(:projects, :addresses) AS asked (project, address)
    JOIN category_suppressions s ON (s.project, s.address) = (asked.project, asked.address)
""").bindparams(bindparam("projects", type_=ARRAY(TEXT)), bindparam("addresses", type_=ARRAY(TEXT)))

_EXISTING = text("SELECT id::text, project, locale FROM users WHERE id = ANY(:ids)").bindparams(bindparam("ids", type_=_IDS))

# Also one that is not verified: the mail that asks is mail to them.
_HAS_ADDRESS = text("""
    SELECT EXISTS (SELECT 1 FROM users WHERE id = :id AND lower(email) = lower(:address))
        OR EXISTS (SELECT 1 FROM user_addresses WHERE user_id = :id AND address_key = lower(:address))
""").bindparams(bindparam("id", type_=UUID(as_uuid=False)))

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

_ASKED = """
    unnest(:users, :categories, :tests, :ids, :counts, :windows, :times) WITH ORDINALITY
    AS a (user_id, category, test, notification_id, most, window_s, at, place)
"""
_TAKEN = """
    (SELECT count(*) FROM limited_notifications l WHERE (l.user_id, l.category, l.test) = (a.user_id, a.category, a.test)
     AND l.time > COALESCE(a.at, now()) - a.window_s * interval '1 second')
"""
_LIMITED = (
    bindparam("users", type_=_IDS), bindparam("categories", type_=ARRAY(TEXT)), bindparam("tests", type_=ARRAY(BOOLEAN)),
    bindparam("ids", type_=_IDS), bindparam("counts", type_=ARRAY(INTEGER)), bindparam("windows", type_=ARRAY(INTEGER)),
    bindparam("times", type_=ARRAY(TIMESTAMP(timezone=True))),
)  # fmt: skip

# Who is asked about is locked by a statement of its own, in one order: the next one sees all that was counted before.
_LOCK = text("SELECT id FROM users WHERE id = ANY(:users) ORDER BY id FOR NO KEY UPDATE").bindparams(bindparam("users", type_=_IDS))
_ADMIT = text(f"""
    WITH known AS (
        SELECT a.place FROM {_ASKED} JOIN limited_notifications l
        ON (l.user_id, l.category, l.test, l.notification_id) = (a.user_id, a.category, a.test, a.notification_id)
    ),
    ranked AS (
        SELECT a.*, row_number() OVER (PARTITION BY a.user_id, a.category, a.test ORDER BY a.place) AS rank
        FROM {_ASKED} JOIN users u ON u.id = a.user_id WHERE a.place NOT IN (SELECT place FROM known)
    ),
    room AS (SELECT a.* FROM ranked a WHERE {_TAKEN} + a.rank <= a.most),
    counted AS (
        INSERT INTO limited_notifications (user_id, category, test, notification_id)
        SELECT user_id, category, test, notification_id FROM room ON CONFLICT DO NOTHING
    )
    SELECT place FROM known UNION ALL SELECT place FROM room
""").bindparams(*_LIMITED)
_ADMISSIBLE = text(f"SELECT a.place FROM {_ASKED} WHERE {_TAKEN} < a.most").bindparams(
    *(parameter for parameter in _LIMITED if parameter.key != "ids"), bindparam("ids", type_=ARRAY(TEXT))
)
# Locked in one order, so that two batches with common ones never wait for each other in a circle.
_UNCOUNT = text("""
    WITH ended AS (
        SELECT l.user_id, l.category, l.test, l.notification_id FROM limited_notifications l
        JOIN unnest(:users, :ids) AS e (user_id, notification_id) ON (l.user_id, l.notification_id) = (e.user_id, e.notification_id)
        ORDER BY l.user_id, l.category, l.test, l.notification_id FOR UPDATE OF l
    )
    DELETE FROM limited_notifications l USING ended e
    WHERE (l.user_id, l.category, l.test, l.notification_id) = (e.user_id, e.category, e.test, e.notification_id)
""").bindparams(bindparam("users", type_=_IDS), bindparam("ids", type_=_IDS))
_FORGET = text("""
    DELETE FROM limited_notifications WHERE (user_id, category, test, notification_id) IN (
        SELECT user_id, category, test, notification_id FROM limited_notifications
        WHERE time < now() - :kept * interval '1 second' LIMIT 10000
    )
""")

# In order of the address, so that two batches with common ones never wait for each other in a circle.
_NEW = """
    unnest(:projects, :emails, :names, :locales, :timezones, :ids) AS asked (project, email, name, locale, timezone, id)
"""
_WITH_ADDRESS = text(f"""
    SELECT u.project, lower(u.email) AS address, u.id::text AS id FROM {_NEW}
    JOIN users u ON u.project = asked.project AND lower(u.email) = lower(asked.email)
    UNION ALL
    SELECT a.project, a.address_key, a.user_id::text FROM {_NEW}
    JOIN user_addresses a ON a.project = asked.project AND a.address_key = lower(asked.email) AND a.verify_time IS NOT NULL
""")
_MAKE = text(f"""
    INSERT INTO users (id, project, email, name, locale, timezone, role, create_time, update_time)
    SELECT asked.id, asked.project, asked.email, asked.name, asked.locale, asked.timezone, :role, now(), now() FROM {_NEW}
    ORDER BY asked.project, lower(asked.email) ON CONFLICT (project, lower(email)) DO NOTHING
""")
_NEW_TYPES = (
    *(bindparam(name, type_=ARRAY(TEXT)) for name in ("projects", "emails", "names", "locales", "timezones")),
    bindparam("ids", type_=_IDS),
)
_WITH_ADDRESS, _MAKE = _WITH_ADDRESS.bindparams(*_NEW_TYPES), _MAKE.bindparams(*_NEW_TYPES)

# The first report stands. Locked in one order, so that two batches with common devices never wait for each other in a circle.
_REMOVE_DEVICES = text("""
    WITH gone AS (SELECT id FROM devices WHERE id = ANY(:ids) AND remove_time IS NULL ORDER BY id FOR UPDATE)
    UPDATE devices SET remove_time = now(), remove_reason = :reason FROM gone WHERE devices.id = gone.id
""").bindparams(bindparam("ids", type_=_IDS))


class ContactRepository:
    """Implements `recipients.use_cases.ContactStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._owners = DeviceOwners(database)

    async def contacts(self, wants_devices: Mapping[str, bool]) -> Mapping[str, Contact]:
        parameters = {"ids": list(wants_devices), "wants_devices": list(wants_devices.values())}
        async with self._database.connect() as connection:
            rows = (await connection.execute(_CONTACTS, parameters)).all()
        return {contact.user_id: contact for contact in map(_contact, rows)}

    async def holds(self, addresses: Collection[Address]) -> Mapping[Address, tuple[Hold, ...]]:
        asked = list(addresses)
        parameters = {"projects": [one.project for one in asked], "addresses": [one.address for one in asked]}
        async with self._database.connect() as connection:
            rows = (await connection.execute(_HOLDS, parameters)).all()
        found: dict[Address, tuple[Hold, ...]] = {}
        for project, address, *hold in rows:
            key = Address(project, address)
            found[key] = (*found.get(key, ()), Hold(*hold))
        return found

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

    async def has_address(self, user_id: str, address: str) -> bool:
        async with self._database.connect() as connection:
            return bool((await connection.execute(_HAS_ADDRESS, {"id": user_id, "address": address})).scalar_one())

    async def admit(self, asked: Sequence[Limited]) -> Collection[Limited]:
        async with self._database.begin() as connection:
            await connection.execute(_LOCK, {"users": [one.user_id for one in asked]})
            rows = (await connection.execute(_ADMIT, _columns_of(asked))).all()
        return [asked[row.place - 1] for row in rows]

    async def admissible(self, asked: Sequence[Limited]) -> Collection[Limited]:
        async with self._database.connect() as connection:
            rows = (await connection.execute(_ADMISSIBLE, _columns_of(asked))).all()
        return [asked[row.place - 1] for row in rows]

    async def uncount(self, ended: Collection[Ended]) -> None:
        parameters = {"users": [one.user_id for one in ended], "ids": [one.notification_id for one in ended]}
        async with self._database.begin() as connection:
            await connection.execute(_UNCOUNT, parameters)

    async def forget_old(self) -> None:
        """Deletes what counts for no limit any more."""
        async with self._database.begin() as connection:
            while (await connection.execute(_FORGET, {"kept": LONGEST_WINDOW.total_seconds()})).rowcount:
                pass

    async def ensure(self, users: Sequence[NewUser], *, only_existing: bool = False) -> Mapping[Address, str]:
        """Most have a user already, so that is asked first. Who has just been made by another batch is found the second time."""
        found = await self._with_addresses(users)
        for last in (False, True):
            rest = [user for user in users if user.address not in found]
            if not rest or only_existing:
                break
            try:
                async with self._database.begin() as connection:
                    await connection.execute(_MAKE, {**_parts_of(rest), "role": Role.MEMBER.value})
            except IntegrityError:
                if last:
                    raise
                # one of these has become someone's further address at this moment: then no one is made, and that person is found
            found |= await self._with_addresses(rest)
        return found

    async def _with_addresses(self, users: Sequence[NewUser]) -> dict[Address, str]:
        async with self._database.connect() as connection:
            rows = (await connection.execute(_WITH_ADDRESS, _parts_of(users))).all()
        return {Address(row.project, row.address): row.id for row in rows}

    async def ensure_devices(self, devices: Sequence[NewDevice], *, only_existing: bool = False) -> Mapping[Token, Ensured]:
        return await self._owners.ensure(devices, only_existing=only_existing)

    async def remove_devices(self, device_ids: Collection[str], reason: str = "") -> None:
        async with self._database.begin() as connection:
            await connection.execute(_REMOVE_DEVICES, {"ids": list(device_ids), "reason": reason})


def _parts_of(users: Sequence[NewUser]) -> dict[str, list[str]]:
    projects, emails, names, locales, timezones = zip(*users, strict=True)
    return {
        "projects": list(projects),
        "emails": list(emails),
        "names": list(names),
        "locales": list(locales),
        "timezones": list(timezones),
        "ids": [ids.new_id() for _ in users],
    }


def _columns_of(asked: Sequence[Limited]) -> dict[str, list[Any]]:
    return {
        "users": [one.user_id for one in asked],
        "categories": [one.category for one in asked],
        "tests": [one.test for one in asked],
        "ids": [one.notification_id for one in asked],
        "counts": [one.limit.count for one in asked],
        "windows": [int(one.limit.window.total_seconds()) for one in asked],
        "times": [one.at for one in asked],
    }


def _contact(row: Row[*tuple[Any, ...]]) -> Contact:
    # Unpacked at once: this runs for every recipient of every notification, and reading a row's attributes costs more than the rest.
    user_id, project, email, name, locale, timezone, reason, end, *rest = row
    channels, categories, choices, device_ids, tokens, hours, attributes, *held = rest
    holds: tuple[Hold, ...] = (Hold("", reason, end),) if reason else ()
    if held[0]:
        holds += tuple(map(Hold, *held))
    return Contact(
        user_id=user_id,
        project=project,
        email=email or "",
        holds=holds,
        locale=locale,
        timezone=timezone,
        name=name,
        rules=tuple(map(_rule, channels, categories, choices)) if channels else (),
        devices=tuple(map(PushTarget, device_ids, tokens)) if device_ids else (),
        quiet_hours=parse_quiet_hours(hours) if hours else None,
        attributes=attributes or "",
    )


@lru_cache(maxsize=4096)
def _rule(channel: str, subject: str, choice: str) -> PreferenceRule:
    """Few distinct rules make up the choices of many people."""
    return PreferenceRule.of(channel, subject, choice)
