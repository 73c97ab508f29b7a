"""Senders and their domains in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.sealing import Sealer
from mesh.stores.database import Database
from template_svc.auditing.models import Entry, Kind
from template_svc.auditing.repository import note
from template_svc.senders.errors import DomainInUse, NoSealingSecret, SenderInUse, TooMany
from template_svc.senders.models import (
    MAX_PER_PROJECT,
    NO_IDENTITIES,
    DomainKey,
    Identities,
    Identity,
    Look,
    NewSender,
    Record,
    Sender,
    SenderDomain,
    SenderKey,
    SigningKey,
)
from template_svc.tables import sender_domains, senders

_SHOWN = 5
# Makes those who add to a project's senders or domains wait for each other.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('senders:' || :project, 0))")

# Templates of which a version that is sent, or will be, names the sender.
_USES = text("""
    SELECT DISTINCT t.name FROM template_versions v JOIN templates t ON (t.project, t.name) = (v.project, v.template)
    WHERE v.project = :project AND v.sender = :sender AND t.delete_time IS NULL AND (
        v.version = t.published_version
        OR EXISTS (
            SELECT 1 FROM template_canaries c
            WHERE (c.project, c.template, c.version) = (v.project, v.template, v.version) AND c.state = 'running'
        )
        OR EXISTS (
            SELECT 1 FROM scheduled_publications p
            WHERE (p.project, p.template, p.version) = (v.project, v.template, v.version) AND p.state = 'planned'
        )
    )
    ORDER BY t.name LIMIT :shown
""")


class SenderRepository:
    """Implements `use_cases.SenderStore`. `sealer` closes and opens the private keys; without it there are none."""

    def __init__(self, database: Database, sealer: Sealer | None) -> None:
        self._database = database
        self._sealer = sealer

    async def put(self, key: SenderKey, new: NewSender, now: datetime) -> Sender | None:
        values = {
            "email": new.email,
            "display_name": new.display_name,
            "reply_to_email": new.reply_to_email,
            "is_default": new.is_default,
            "domain": new.domain,
            "update_time": now,
        }
        first = upsert(senders).values(project=key.project, name=key.name, **values)
        then = first.on_conflict_do_update(index_elements=["project", "name"], set_=values).returning(*senders.c)
        async with self._database.begin() as connection:
            await connection.execute(_LOCK, {"project": key.project})
            if new.domain is not None and not await _is_verified(connection, DomainKey(key.project, new.domain)):
                return None
            if new.is_default:
                others = (senders.c.project == key.project) & (senders.c.name != key.name) & senders.c.is_default
                await connection.execute(update(senders).where(others).values(is_default=False))
            before = (await connection.execute(select(senders).where(_is(key)))).one_or_none()
            row = (await connection.execute(then)).one()
            await _refuse_too_many(connection, senders.c.project == key.project, "senders")
            if before is None or replace(_sender(before), update_time=now) != _sender(row):
                details = {"domain": new.email.rpartition("@")[2].lower(), **({"default": "true"} if new.is_default else {})}
                await note(connection, Entry(key.project, Kind.SENDER_CHANGED, f"sender:{key.name}", details))
        return _sender(row)

    async def list(self, project: str) -> Sequence[Sender]:
        statement = select(senders).where(senders.c.project == project).order_by(senders.c.name)
        async with self._database.connect() as connection:
            return [_sender(row) for row in (await connection.execute(statement)).all()]

    async def find(self, key: SenderKey) -> Sender | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(select(senders).where(_is(key)))).one_or_none()
        return None if row is None else _sender(row)

    async def delete(self, key: SenderKey) -> bool:
        async with self._database.begin() as connection:
            # first, so that a version that comes into use meanwhile either is seen here or does not find its sender (rows.hold_sender)
            gone = (await connection.execute(delete(senders).where(_is(key)).returning(senders.c.name))).one_or_none()
            users = (await connection.execute(_USES, {"project": key.project, "sender": key.name, "shown": _SHOWN})).scalars().all()
            if gone is not None and users:
                raise SenderInUse(users)
            if gone is not None:
                await note(connection, Entry(key.project, Kind.SENDER_DELETED, f"sender:{key.name}"))
        return gone is not None

    async def identities(self, project: str) -> Identities:
        allowed = (sender_domains.c.project == senders.c.project) & (sender_domains.c.domain == senders.c.domain)
        statement = (
            select(senders, sender_domains.c.selector)
            .outerjoin(sender_domains, allowed & sender_domains.c.verified)
            .where(senders.c.project == project)
        )
        async with self._database.connect() as connection:
            rows = (await connection.execute(statement)).all()
        if not rows:
            return NO_IDENTITIES
        found = {row.name: _identity(row) for row in rows}
        return Identities(found, next((found[row.name] for row in rows if row.is_default), None))

    async def check_room(self, project: str) -> None:
        if self._sealer is None:
            raise NoSealingSecret
        async with self._database.connect() as connection:
            await _refuse_too_many(connection, sender_domains.c.project == project, "sender domains", most=MAX_PER_PROJECT - 1)

    async def add_domain(self, key: DomainKey, signing: SigningKey, now: datetime) -> SenderDomain:
        if self._sealer is None:
            raise NoSealingSecret
        sealed = self._sealer.seal(signing.private_key, _sealed_name(key))
        new = upsert(sender_domains).values(
            **key._asdict(), selector=signing.selector, public_key=signing.public_key, sealed_key=sealed, create_time=now
        )
        async with self._database.begin() as connection:
            await connection.execute(_LOCK, {"project": key.project})
            if (await connection.execute(new.on_conflict_do_nothing())).rowcount:
                await note(connection, _about(key, Kind.SENDER_DOMAIN_ADDED))
            await _refuse_too_many(connection, sender_domains.c.project == key.project, "sender domains")
            return _domain((await connection.execute(select(sender_domains).where(_is_domain(key)))).one())

    async def list_domains(self, project: str) -> Sequence[SenderDomain]:
        statement = select(sender_domains).where(sender_domains.c.project == project).order_by(sender_domains.c.domain)
        async with self._database.connect() as connection:
            return [_domain(row) for row in (await connection.execute(statement)).all()]

    async def find_domain(self, key: DomainKey) -> SenderDomain | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(select(sender_domains).where(_is_domain(key)))).one_or_none()
        return None if row is None else _domain(row)

    async def record_look(self, key: DomainKey, look: Look, now: datetime) -> SenderDomain | None:
        async with self._database.begin() as connection:
            row = (await connection.execute(select(sender_domains).where(_is_domain(key)).with_for_update())).one_or_none()
            if row is None:
                return None
            values: dict[str, Any] = {"check_time": now}
            # a domain that was deleted and added again meanwhile, or has changed its key, has another one, which was not looked for
            if row.selector == look.selector:
                values |= {"problem": look.problem, "verified": row.verified or not look.problem}
            if row.next_selector is not None and row.next_selector == look.next_selector:
                values |= {"next_problem": look.next_problem} if look.next_problem else _rotated(row, now)
            changed = update(sender_domains).where(_is_domain(key)).values(values).returning(*sender_domains.c)
            after = (await connection.execute(changed)).one()
            if after.verified and not row.verified:
                await note(connection, _about(key, Kind.SENDER_DOMAIN_VERIFIED))
            if after.selector != row.selector:
                await note(connection, _about(key, Kind.SENDER_DOMAIN_KEY_CHANGED, state="done"))
        return _domain(after)

    async def begin_rotation(self, key: DomainKey, signing: SigningKey) -> SenderDomain | None:
        if self._sealer is None:
            raise NoSealingSecret
        sealed = self._sealer.seal(signing.private_key, _sealed_name(key))
        fresh = {"next_selector": signing.selector, "next_public_key": signing.public_key, "next_sealed_key": sealed, "next_problem": ""}
        begun = update(sender_domains).where(_is_domain(key), sender_domains.c.next_selector.is_(None)).values(fresh)
        async with self._database.begin() as connection:
            if (await connection.execute(begun)).rowcount:
                await note(connection, _about(key, Kind.SENDER_DOMAIN_KEY_CHANGED, state="begun"))
            row = (await connection.execute(select(sender_domains).where(_is_domain(key)))).one_or_none()
        return None if row is None else _domain(row)

    async def delete_domain(self, key: DomainKey) -> bool:
        uses = select(senders.c.name).where(senders.c.project == key.project, senders.c.domain == key.domain)
        async with self._database.begin() as connection:
            await connection.execute(_LOCK, {"project": key.project})
            names = (await connection.execute(uses.order_by(senders.c.name).limit(_SHOWN))).scalars().all()
            if names:
                raise DomainInUse(names)
            gone = delete(sender_domains).where(_is_domain(key)).returning(sender_domains.c.domain)
            if (await connection.execute(gone)).one_or_none() is None:
                return False
            await note(connection, _about(key, Kind.SENDER_DOMAIN_DELETED))
        return True

    async def signing_key(self, key: DomainKey) -> SigningKey | None:
        statement = select(sender_domains).where(_is_domain(key), sender_domains.c.verified)
        async with self._database.connect() as connection:
            row = (await connection.execute(statement)).one_or_none()
        if row is None:
            return None
        if self._sealer is None:
            raise NoSealingSecret
        return SigningKey(row.selector, self._sealer.open(row.sealed_key, _sealed_name(key)), row.public_key)


def _about(key: DomainKey, kind: Kind, **details: str) -> Entry:
    return Entry(key.project, kind, f"sender_domain:{key.domain}", details)


def _rotated(row: Row[*tuple[Any, ...]], now: datetime) -> dict[str, Any]:
    """The next key in place of the present one, of which nothing but the record is needed any more."""
    taken = {"selector": row.next_selector, "public_key": row.next_public_key, "sealed_key": row.next_sealed_key}
    left = {"next_selector": None, "next_public_key": None, "next_sealed_key": None, "next_problem": ""}
    former = {"former_selector": row.selector, "former_public_key": row.public_key, "rotate_time": now}
    return {**taken, **left, **former, "verified": True, "problem": ""}


async def _is_verified(connection: AsyncConnection, key: DomainKey) -> bool:
    found = select(sender_domains.c.verified).where(_is_domain(key)).with_for_update(key_share=True)
    return bool((await connection.execute(found)).scalar_one_or_none())


async def _refuse_too_many(connection: AsyncConnection, mine: ColumnElement[bool], what: str, *, most: int = MAX_PER_PROJECT) -> None:
    if (await connection.execute(select(func.count()).where(mine))).scalar_one() > most:
        raise TooMany(what, MAX_PER_PROJECT)


def _is(key: SenderKey) -> ColumnElement[bool]:
    return (senders.c.project == key.project) & (senders.c.name == key.name)


def _is_domain(key: DomainKey) -> ColumnElement[bool]:
    return (sender_domains.c.project == key.project) & (sender_domains.c.domain == key.domain)


def _sealed_name(key: DomainKey) -> str:
    return f"{key.project}/{key.domain}"


def _sender(row: Row[*tuple[Any, ...]]) -> Sender:
    return Sender(row.email, row.display_name, row.reply_to_email, row.is_default, row.domain, row.name, row.update_time)


def _identity(row: Row[*tuple[Any, ...]]) -> Identity:
    signed = (row.domain, row.selector) if row.selector else ()
    return Identity(row.email, row.display_name, row.reply_to_email, *signed)


def _domain(row: Row[*tuple[Any, ...]]) -> SenderDomain:
    return SenderDomain(
        Record(row.domain, row.selector, row.public_key),
        row.verified,
        row.problem,
        row.create_time,
        row.check_time,
        None if row.next_selector is None else Record(row.domain, row.next_selector, row.next_public_key),
        row.next_problem,
        None if row.former_selector is None else Record(row.domain, row.former_selector, row.former_public_key),
        row.rotate_time,
    )
