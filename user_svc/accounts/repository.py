"""Links of mails about accounts, in PostgreSQL, whose clock says how old they are."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, text, true, update
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import bindparam

from mesh.stores.database import Database
from user_svc.accounts.models import MOST_AN_HOUR, AccountMail, AddressLink, Asked, NewLink, OpenLink, Purpose
from user_svc.audit.models import AuditKind, NewEvent, person
from user_svc.audit.repository import record
from user_svc.auth.repository import NEW_CREDENTIALS, end_all_sessions
from user_svc.tables import account_links, users

_LINK = account_links.c
# Requests for one account take turns, whether or not there is such an account, so that no burst gets beyond the limit.
LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 31))")
_OF_LAST_HOUR = """
    (SELECT count(*) FROM account_links l
     WHERE l.user_id = u.id AND l.purpose = :purpose AND l.create_time > now() - interval '1 hour')
"""
# One row in any case, so that an address that is no one's costs as much.
_ASK_FOR_RESET = text(f"""
    INSERT INTO account_links (id, project, purpose, user_id, address, token_sha256, expire_time, credential_version)
    SELECT :id, p.id, :purpose, u.id, COALESCE(u.email, ''), :sha256, now() + :life, COALESCE(u.credential_version, 0)
    FROM projects p
    LEFT JOIN users u ON u.project = p.id AND lower(u.email) = :email_key AND u.password_hash IS NOT NULL AND {_OF_LAST_HOUR} < :most
    WHERE p.id = :project
    RETURNING user_id::text
""").bindparams(bindparam("id", type_=UUID(as_uuid=False)))
_ASK_FOR_VERIFICATION = text(f"""
    WITH asked AS (
        SELECT u.id, u.project, u.email, u.email_verify_time IS NOT NULL AS verified, {_OF_LAST_HOUR} >= :most AS too_many
        FROM users u WHERE u.project = :project AND u.id = :user_id
    ),
    made AS (
        INSERT INTO account_links (id, project, purpose, user_id, address, token_sha256, expire_time)
        SELECT :id, project, :purpose, id, email, :sha256, now() + :life
        FROM asked WHERE email IS NOT NULL AND NOT verified AND NOT too_many
    )
    SELECT email IS NULL AS no_address, verified, too_many FROM asked
""").bindparams(bindparam("id", type_=UUID(as_uuid=False)), bindparam("user_id", type_=UUID(as_uuid=False)))
# One that was claimed and not settled within a minute is claimed again: its gateway is gone, or could not accept it.
_CLAIM = text("""
    WITH claimed AS (
        UPDATE account_links SET claim_time = now() WHERE id IN (
            SELECT id FROM account_links
            WHERE send_time IS NULL AND user_id IS NOT NULL AND use_time IS NULL AND expire_time > now()
              AND (claim_time IS NULL OR claim_time < now() - interval '1 minute')
            ORDER BY create_time LIMIT 50 FOR UPDATE SKIP LOCKED
        )
        RETURNING id::text AS id, project, user_id::text AS user_id, purpose, create_time
    )
    SELECT id, project, user_id, purpose FROM claimed ORDER BY create_time
""")
_NEWEST = text("""
    SELECT DISTINCT ON (l.user_id, l.purpose) l.id::text AS id, l.project, l.user_id::text AS user_id, l.purpose, l.token_sha256,
           COALESCE(NULLIF(b.name, ''), NULLIF(p.display_name, ''), 'Clarion') AS brand
    FROM account_links l JOIN users u ON u.id = l.user_id AND lower(u.email) = lower(l.address)
    JOIN projects p ON p.id = l.project LEFT JOIN brands b ON b.project = l.project
    WHERE l.user_id = ANY(:users) AND l.use_time IS NULL AND l.expire_time > now()
        AND (l.purpose <> 'password_reset' OR l.credential_version = u.credential_version)
    ORDER BY l.user_id, l.purpose, l.create_time DESC, l.id DESC
""").bindparams(bindparam("users", type_=ARRAY(UUID(as_uuid=False))))

# Of the mails that a person has asked for each holds a link of its own, the same one however often it is tried. Who only looks binds none.
_OF_MAIL = """
    SELECT l.id FROM account_links l
    JOIN user_addresses a ON a.user_id = l.user_id AND a.address_key = lower(l.address) AND a.verify_time IS NULL
    WHERE l.user_id = :user_id AND l.purpose = 'new_address' AND l.use_time IS NULL AND l.expire_time > now()
        AND (l.notification_id = :notification_id OR l.notification_id IS NULL)
    ORDER BY l.notification_id NULLS LAST, l.create_time, l.id LIMIT 1
"""
_BIND = text(f"UPDATE account_links SET notification_id = :notification_id WHERE id = ({_OF_MAIL})")
_ADDRESS_LINK = text(f"""
    SELECT l.id::text AS id, l.project, l.user_id::text AS user_id, l.token_sha256, l.address,
           COALESCE(NULLIF(b.name, ''), NULLIF(p.display_name, ''), 'Clarion') AS brand
    FROM account_links l JOIN projects p ON p.id = l.project LEFT JOIN brands b ON b.project = l.project WHERE l.id = ({_OF_MAIL})
""")
_MAIL_IDS = (bindparam("user_id", type_=UUID(as_uuid=False)), bindparam("notification_id", type_=UUID(as_uuid=False)))
_BIND, _ADDRESS_LINK = _BIND.bindparams(*_MAIL_IDS), _ADDRESS_LINK.bindparams(*_MAIL_IDS)


class AccountRepository:
    """Implements `accounts.use_cases.LinkStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ask_for_reset(self, project: str, email_key: str, link: NewLink, life: timedelta) -> None:
        values = {**_values(link, Purpose.PASSWORD_RESET, life), "project": project, "email_key": email_key}
        async with self._database.begin() as connection:
            await connection.execute(LOCK, {"key": f"{project}\n{email_key}"})
            user_id = (await connection.execute(_ASK_FOR_RESET, values)).scalar_one_or_none()
            await record(connection, NewEvent(project, AuditKind.PASSWORD_RESET_REQUESTED, person(user_id)))

    async def ask_for_verification(self, project: str, user_id: str, link: NewLink, life: timedelta) -> Asked:
        values = {**_values(link, Purpose.ADDRESS_VERIFICATION, life), "project": project, "user_id": user_id}
        async with self._database.begin() as connection:
            await connection.execute(LOCK, {"key": user_id})
            row = (await connection.execute(_ASK_FOR_VERIFICATION, values)).one_or_none()
        if row is None:
            return Asked.NO_PERSON
        if row.no_address:
            return Asked.NO_ADDRESS
        if row.verified:
            return Asked.NEEDLESS
        return Asked.TOO_MANY if row.too_many else Asked.TO_BE_SENT

    async def claim(self) -> Sequence[AccountMail]:
        async with self._database.begin() as connection:
            rows = await connection.execute(_CLAIM)
            return [AccountMail(row.id, row.project, row.user_id, Purpose(row.purpose)) for row in rows]

    async def settle(self, link_ids: Collection[str]) -> None:
        statement = update(account_links).where(_LINK.id.in_(link_ids), _LINK.send_time.is_(None)).values(send_time=func.now())
        async with self._database.begin() as connection:
            await connection.execute(statement)

    async def find_open(self, sha256: bytes, purpose: Purpose) -> OpenLink | None:
        columns = (_LINK.id, _LINK.project, _LINK.user_id, _LINK.token_sha256, users.c.email, users.c.name)
        statement = select(*columns).join(users, users.c.id == _LINK.user_id).where(_works(sha256, purpose), _STILL_THEIRS)
        async with self._database.connect() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else OpenLink(row.id, row.project, row.user_id, row.token_sha256, (row.email, row.name))

    async def newest_open(self, wanted: Collection[tuple[str, Purpose]]) -> Mapping[tuple[str, Purpose], tuple[OpenLink, str]]:
        async with self._database.connect() as connection:
            rows = list(await connection.execute(_NEWEST, {"users": sorted({user_id for user_id, _ in wanted})}))
        found = {(row.user_id, Purpose(row.purpose)): row for row in rows}
        return {
            key: (OpenLink(row.id, row.project, row.user_id, row.token_sha256), row.brand) for key, row in found.items() if key in wanted
        }

    async def address_link(self, user_id: str, notification_id: str | None, *, bind: bool) -> AddressLink | None:
        given = {"user_id": user_id, "notification_id": notification_id}
        async with self._database.begin() as connection:
            if bind:
                await connection.execute(LOCK, {"key": user_id})
                await connection.execute(_BIND, given)
            row = (await connection.execute(_ADDRESS_LINK, given)).one_or_none()
        return None if row is None else AddressLink(OpenLink(row.id, row.project, row.user_id, row.token_sha256), row.address, row.brand)

    async def reset_password(self, link: OpenLink, password_hash: str) -> bool:
        async with self._database.begin() as connection:
            # the person first, as whatever else locks both does
            if not await _use(connection, link.user_id, link.sha256, Purpose.PASSWORD_RESET):
                return False
            proved = func.coalesce(users.c.email_verify_time, func.now())
            changed = update(users).where(users.c.id == link.user_id).values(password_hash=password_hash, email_verify_time=proved)
            await connection.execute(changed.values(**NEW_CREDENTIALS))
            ended = await end_all_sessions(connection, link.user_id)
            subject, details = person(link.user_id), {"sessions_ended": str(ended)}
            await record(connection, NewEvent(link.project, AuditKind.PASSWORD_RESET, subject, subject, details))
        return True

    async def verify_address(self, sha256: bytes) -> bool:
        link = await self.find_open(sha256, Purpose.ADDRESS_VERIFICATION)
        if link is None:
            return False
        async with self._database.begin() as connection:
            if not await _use(connection, link.user_id, sha256, Purpose.ADDRESS_VERIFICATION):
                return False
            await connection.execute(update(users).where(users.c.id == link.user_id).values(email_verify_time=func.now()))
            subject = person(link.user_id)
            await record(connection, NewEvent(link.project, AuditKind.EMAIL_VERIFIED, subject, subject))
        return True

    async def forget_ended(self) -> None:
        """A link that has ended an hour ago counts for no limit any more."""
        async with self._database.begin() as connection:
            await connection.execute(delete(account_links).where(_LINK.expire_time < func.now() - timedelta(hours=1)))


_STILL_THEIRS: ColumnElement[bool] = func.lower(users.c.email) == func.lower(_LINK.address)


def _works(sha256: bytes, purpose: Purpose) -> ColumnElement[bool]:
    """Of a link that is joined with its person."""
    fits = (_LINK.token_sha256 == sha256) & (_LINK.purpose == purpose.value)
    # a link that replaces a password is over once another one, or a second factor, has come in its place
    current = (_LINK.credential_version == users.c.credential_version) if purpose is Purpose.PASSWORD_RESET else true()
    return fits & current & _LINK.use_time.is_(None) & (_LINK.expire_time > func.now())


async def _use(connection: AsyncConnection, user_id: str, sha256: bytes, purpose: Purpose) -> bool:
    """Uses up the link and the person's others of its kind. False where it works no more, or the address is another one by now."""
    locked = await connection.execute(select(users.c.id).where(users.c.id == user_id).with_for_update(key_share=True))
    if locked.one_or_none() is None:
        return False
    # locked, nothing of these changes until the end of the transaction
    usable = select(_LINK.id).join(users, users.c.id == _LINK.user_id).where(_works(sha256, purpose), _STILL_THEIRS)
    if (await connection.execute(usable)).one_or_none() is None:
        return False
    others = (_LINK.user_id == user_id) & (_LINK.purpose == purpose.value) & _LINK.use_time.is_(None)
    await connection.execute(update(account_links).where(others).values(use_time=func.now()))
    return True


def _values(link: NewLink, purpose: Purpose, life: timedelta) -> dict[str, Any]:
    return {"id": link.id, "sha256": link.sha256, "purpose": purpose.value, "life": life, "most": MOST_AN_HOUR}
