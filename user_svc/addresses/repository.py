"""Addresses of people in PostgreSQL, whose clock says how old they are. How they are kept apart from primary ones: migration 0042."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import bindparam

from mesh import ids
from mesh.stores.database import Database
from user_svc.accounts.errors import TooManyMails
from user_svc.accounts.models import LIFE, MOST_AN_HOUR, NewLink, Purpose
from user_svc.accounts.repository import LOCK
from user_svc.addresses.errors import AddressIsPrimary, AddressTaken, TooManyAddresses
from user_svc.addresses.models import KEPT, MOST_FURTHER, PersonAddress, Wanted
from user_svc.audit.models import AuditKind, NewEvent, person
from user_svc.audit.repository import record
from user_svc.fields import DEFAULT_LOCALE, DEFAULT_TIMEZONE
from user_svc.tables import account_links, user_addresses, users
from user_svc.users.errors import EmailTaken
from user_svc.users.models import Role
from user_svc.users.repository import holders_of, is_user

_ADDRESS, _LINK = user_addresses.c, account_links.c
_HOUR_S = 3600.0
_MAILS = text("""
    SELECT count(*) FILTER (WHERE user_id = :user_id) AS to_person, count(*) FILTER (WHERE lower(address) = :key) AS to_address
    FROM account_links WHERE purpose = 'new_address' AND create_time > now() - interval '1 hour'
        AND (user_id = :user_id OR project = :project AND lower(address) = :key)
""").bindparams(bindparam("user_id", type_=UUID(as_uuid=False)))
_KEEP = text("""
    INSERT INTO user_addresses (project, user_id, address, becomes_primary, expire_time)
    VALUES (:project, :user_id, :address, :primary, now() + :kept)
    ON CONFLICT (user_id, address_key) DO UPDATE
        SET address = excluded.address, becomes_primary = excluded.becomes_primary, expire_time = excluded.expire_time
    RETURNING address, becomes_primary, verify_time, expire_time
""").bindparams(bindparam("user_id", type_=UUID(as_uuid=False)))
_KEYS_OF = text("""
    SELECT lower(email) FROM users WHERE id = :user_id AND email IS NOT NULL
    UNION ALL
    SELECT a.address_key FROM user_addresses a WHERE a.user_id = :user_id
        AND NOT EXISTS (SELECT 1 FROM users u WHERE u.project = a.project AND lower(u.email) = a.address_key)
        AND NOT EXISTS (
            SELECT 1 FROM user_addresses o
            WHERE o.project = a.project AND o.address_key = a.address_key AND o.verify_time IS NOT NULL AND o.user_id <> a.user_id
        )
""").bindparams(bindparam("user_id", type_=UUID(as_uuid=False)))
_OPEN = text("""
    SELECT l.id, l.project, l.user_id::text AS user_id, a.address, a.address_key, a.becomes_primary
    FROM account_links l JOIN user_addresses a ON a.user_id = l.user_id AND a.address_key = lower(l.address) AND a.verify_time IS NULL
    WHERE l.token_sha256 = :sha256 AND l.purpose = 'new_address' AND l.use_time IS NULL AND l.expire_time > now()
""")


class AddressRepository:
    """Implements `addresses.use_cases.AddressStore`, and what proves an address."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_of(self, project: str, user_id: str) -> Sequence[PersonAddress] | None:
        """One statement, so that one which is taking the primary one's place at this moment is listed once, in one of the two places."""
        further = users.outerjoin(user_addresses, _ADDRESS.user_id == users.c.id)
        statement = _primary_of(project, user_id).add_columns(*_ADDRESS).select_from(further).order_by(_ADDRESS.address_key)
        async with self._database.connect() as connection:
            rows = (await connection.execute(statement)).all()
        if not rows:
            return None
        owner = rows[0]
        own = [PersonAddress(owner.email, primary=True, verify_time=owner.email_verify_time)] if owner.email else []
        return own + [_address(row) for row in rows if row.address is not None]

    async def keys_of(self, user_id: str) -> Sequence[str]:
        """Implements `erasure.use_cases.FurtherAddresses`."""
        async with self._database.connect() as connection:
            return await keys_of(connection, user_id)

    async def add(self, project: str, user_id: str, wanted: Wanted, link: NewLink) -> PersonAddress | None:
        key = wanted.address.lower()
        try:
            async with self._database.begin() as connection:
                await connection.execute(LOCK, {"key": f"{project}\n{key}"})
                owner = (await connection.execute(_primary_of(project, user_id).with_for_update(key_share=True))).one_or_none()
                if owner is None:
                    return None
                if owner.email and owner.email.lower() == key:
                    raise AddressIsPrimary
                present = (await connection.execute(select(user_addresses).where(_is(user_id, key)))).one_or_none()
                if present is not None and present.verify_time is not None:
                    return await _chosen(connection, project, user_id, _address(present), primary=wanted.primary)
                if wanted.open_refusal and (await connection.execute(holders_of(project, key))).first() is not None:
                    raise EmailTaken("address")
                await _check_limits(connection, project, user_id, key, new=present is None)
                return await _ask(connection, project, user_id, wanted, link, new=present is None)
        except IntegrityError:
            raise EmailTaken("address") from None

    async def delete(self, project: str, user_id: str, address_key: str) -> bool:
        async with self._database.begin() as connection:
            owner = (await connection.execute(_primary_of(project, user_id).with_for_update(key_share=True))).one_or_none()
            if owner is None:
                return False
            if owner.email and owner.email.lower() == address_key:
                raise AddressIsPrimary
            if not (await connection.execute(delete(user_addresses).where(_is(user_id, address_key)))).rowcount:
                return False
            await record(connection, NewEvent(project, AuditKind.ADDRESS_REMOVED, person(user_id)))
        return True

    async def prove(self, sha256: bytes) -> bool:
        """Uses up a link and marks its address as verified; makes it the primary one where that was asked for.

        False when there is none that works. Raises AddressTaken.
        """
        async with self._database.connect() as connection:
            seen = (await connection.execute(_OPEN, {"sha256": sha256})).one_or_none()
        if seen is None:
            return False
        try:
            async with self._database.begin() as connection:
                # the person first, as whatever else locks both does; locked, nothing of these changes until the end of the transaction
                await connection.execute(select(users.c.id).where(users.c.id == seen.user_id).with_for_update(key_share=True))
                link = (await connection.execute(_OPEN, {"sha256": sha256})).one_or_none()
                if link is None:
                    return False
                await _prove(connection, link)
        except IntegrityError:
            raise AddressTaken from None
        return True

    async def forget_ended(self) -> None:
        """Deletes what was not verified in time."""
        async with self._database.begin() as connection:
            await connection.execute(delete(user_addresses).where(_ADDRESS.expire_time < func.now()))


async def keys_of(connection: AsyncConnection, user_id: str) -> list[str]:
    """The addresses of a person in lower case, but for those that they have claimed and another person has."""
    return list((await connection.execute(_KEYS_OF, {"user_id": user_id})).scalars())


async def withdraw_change(connection: AsyncConnection, user_id: str) -> None:
    """For who can sign in from now on, or has a role: who asked for another primary address before might not ask for it now."""
    await connection.execute(update(user_addresses).where(_ADDRESS.user_id == user_id).values(becomes_primary=False))


async def _check_limits(connection: AsyncConnection, project: str, user_id: str, key: str, *, new: bool) -> None:
    further = select(func.count()).select_from(user_addresses).where(_ADDRESS.user_id == user_id)
    if new and (await connection.execute(further)).scalar_one() >= MOST_FURTHER:
        raise TooManyAddresses
    sent = (await connection.execute(_MAILS, {"user_id": user_id, "project": project, "key": key})).one()
    if max(sent.to_person, sent.to_address) >= MOST_AN_HOUR:
        raise TooManyMails(_HOUR_S)


async def _ask(connection: AsyncConnection, project: str, user_id: str, wanted: Wanted, link: NewLink, *, new: bool) -> PersonAddress:
    """Keeps the address, and the link that is to be mailed to it."""
    if wanted.primary:  # there is one primary address: the one that was asked for last
        await connection.execute(update(user_addresses).where(_ADDRESS.user_id == user_id).values(becomes_primary=False))
    if new:  # a claim that was withdrawn, or had become the primary address, leaves links that are over
        await connection.execute(update(account_links).where(_links_to(user_id, wanted.address.lower())).values(use_time=func.now()))
    given = {"project": project, "user_id": user_id, "address": wanted.address, "primary": wanted.primary, "kept": KEPT}
    row = (await connection.execute(_KEEP, given)).one()
    values = {"id": link.id, "project": project, "purpose": Purpose.NEW_ADDRESS.value, "user_id": user_id, "address": wanted.address}
    expire_time = func.now() + LIFE[Purpose.NEW_ADDRESS]
    await connection.execute(insert(account_links).values(**values, token_sha256=link.sha256, expire_time=expire_time))
    if new:
        await record(connection, NewEvent(project, AuditKind.ADDRESS_ADDED, person(user_id)))
    return _address(row)


async def _chosen(connection: AsyncConnection, project: str, user_id: str, present: PersonAddress, *, primary: bool) -> PersonAddress:
    """One that is verified already needs no mail."""
    if not primary:
        return present
    await _make_primary(connection, project, user_id, present.address)
    return PersonAddress(present.address, primary=True, verify_time=present.verify_time)


async def _prove(connection: AsyncConnection, link: Row[*tuple[Any, ...]]) -> None:
    await connection.execute(update(account_links).where(_links_to(link.user_id, link.address_key)).values(use_time=func.now()))
    await _take_a_turn(connection, link.project, link.address)
    verified = {"verify_time": func.now(), "expire_time": None, "becomes_primary": False}
    await connection.execute(update(user_addresses).where(_is(link.user_id, link.address_key)).values(**verified))
    subject = person(link.user_id)
    await record(connection, NewEvent(link.project, AuditKind.EMAIL_VERIFIED, subject, subject))
    if link.becomes_primary:
        await _make_primary(connection, link.project, link.user_id, link.address, by=subject)


async def _take_a_turn(connection: AsyncConnection, project: str, address: str) -> None:
    """Has the address in the index of primary ones for a moment, before it is verified: who else gives it to someone waits, and sees it."""
    values = {"project": project, "email": address, "name": "", "locale": DEFAULT_LOCALE, "timezone": DEFAULT_TIMEZONE}
    times = {"create_time": func.now(), "update_time": func.now()}
    one = (
        await connection.execute(insert(users).values(id=ids.new_id(), role=Role.MEMBER.value, **values, **times).returning(users.c.id))
    ).one()
    await connection.execute(delete(users).where(users.c.id == one.id))


async def _make_primary(connection: AsyncConnection, project: str, user_id: str, address: str, *, by: str | None = None) -> None:
    """Of one that is verified, by `by`; None for the caller.

    Triggers take it from the further ones; the primary one until then takes its place there, if it was verified.
    """
    before = (await connection.execute(_primary_of(project, user_id))).one()
    await connection.execute(update(users).where(is_user(project, user_id)).values(email=address, update_time=func.now()))
    if before.email and before.email_verify_time is not None:
        values = {"project": project, "user_id": user_id, "address": before.email, "verify_time": before.email_verify_time}
        await connection.execute(insert(user_addresses).values(**values))
    await record(connection, NewEvent(project, AuditKind.EMAIL_CHANGED, person(user_id), by))


def _primary_of(project: str, user_id: str) -> Any:
    return select(users.c.email, users.c.email_verify_time).where(is_user(project, user_id))


def _links_to(user_id: str, address_key: str) -> Any:
    """Links to a person's address that work, and mails that are still to be sent."""
    links = (_LINK.user_id == user_id) & (_LINK.purpose == Purpose.NEW_ADDRESS.value) & _LINK.use_time.is_(None)
    return links & (func.lower(_LINK.address) == address_key)


def _is(user_id: str, address_key: str) -> Any:
    return (_ADDRESS.user_id == user_id) & (_ADDRESS.address_key == address_key)


def _address(row: Row[*tuple[Any, ...]]) -> PersonAddress:
    return PersonAddress(row.address, becomes_primary=row.becomes_primary, verify_time=row.verify_time, expire_time=row.expire_time)
