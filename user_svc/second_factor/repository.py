"""Second factors in PostgreSQL, whose clock says how long wrong codes are to wait."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from mesh.stores.database import Database
from user_svc.audit.models import AuditKind, NewEvent, person
from user_svc.audit.repository import record
from user_svc.auth.repository import NEW_CREDENTIALS, end_families, families_of
from user_svc.second_factor.models import Kept, Standing
from user_svc.tables import recovery_codes, second_factors, users
from user_svc.users.repository import is_user

_FACTOR, _CODE = second_factors.c, recovery_codes.c
# Wrong codes in a row, after which one is looked at each quarter of an hour: a guesser, who has the password, gets 100 of 333,333 a day.
MOST_WRONG = 5
PAUSE_S = 900
_WAIT = text(f"""
    SELECT CASE WHEN wrong_count >= {MOST_WRONG}
           THEN GREATEST(0, {PAUSE_S} - extract(epoch FROM clock_timestamp() - wrong_time))::float8 ELSE 0 END
    FROM second_factors WHERE user_id = :user_id
""")


class SecondFactorRepository:
    """Implements `second_factor.use_cases.SecondFactorStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, user_id: str) -> Kept | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(select(second_factors).where(_FACTOR.user_id == user_id))).one_or_none()
        return None if row is None else Kept(row.sealed_secret, row.confirm_time is not None)

    async def begin(self, user_id: str, sealed_secret: bytes) -> bool:
        fresh = {"sealed_secret": sealed_secret, "create_time": func.now(), "last_step": None, "wrong_count": 0, "wrong_time": None}
        statement = insert(second_factors).values(user_id=user_id, sealed_secret=sealed_secret)
        statement = statement.on_conflict_do_update(index_elements=[_FACTOR.user_id], set_=fresh, where=_FACTOR.confirm_time.is_(None))
        try:
            async with self._database.begin() as connection:
                return bool((await connection.execute(statement)).rowcount)
        except IntegrityError:
            return False  # the person is gone

    async def take_turn(self, user_id: str) -> Kept | None:
        """The row is locked, so that guesses at the same time are counted one by one."""
        wanted = select(second_factors).where(_FACTOR.user_id == user_id).with_for_update()
        async with self._database.begin() as connection:
            row = (await connection.execute(wanted)).one_or_none()
            if row is None:
                return None
            wait_s = float((await connection.execute(_WAIT, {"user_id": user_id})).scalar_one())
            if not wait_s:
                counted = {"wrong_count": _FACTOR.wrong_count + 1, "wrong_time": func.clock_timestamp()}
                await connection.execute(update(second_factors).where(_FACTOR.user_id == user_id).values(**counted))
        return Kept(row.sealed_secret, row.confirm_time is not None, wait_s)

    async def accept(self, user_id: str, step: int) -> bool:
        unused = (_FACTOR.user_id == user_id) & (func.coalesce(_FACTOR.last_step, -1) < step)
        async with self._database.begin() as connection:
            used = await connection.execute(update(second_factors).where(unused).values(last_step=step, wrong_count=0, wrong_time=None))
            return bool(used.rowcount)

    async def confirm(
        self, project: str, user_id: str, sealed_secret: bytes, hashes: Collection[bytes], *, but: Collection[str] = ()
    ) -> bool:
        """The person is changed first: a sign-in with the password alone either is over by then, and its session ends, or is refused."""
        proven = (_FACTOR.user_id == user_id) & _FACTOR.confirm_time.is_(None) & (_FACTOR.sealed_secret == sealed_secret)
        async with self._database.begin() as connection:
            locked = select(users.c.id).where(is_user(project, user_id)).with_for_update(key_share=True)
            await connection.execute(locked)
            if not (await connection.execute(update(second_factors).where(proven).values(confirm_time=func.now()))).rowcount:
                return False
            await connection.execute(update(users).where(is_user(project, user_id)).values(**NEW_CREDENTIALS))
            await _replace(connection, user_id, hashes)
            await record(connection, NewEvent(project, AuditKind.SECOND_FACTOR_ADDED, person(user_id)))
            await end_families(connection, project, user_id, families_of(user_id), but=but)
        return True

    async def replace_recovery_codes(self, project: str, user_id: str, hashes: Collection[bytes]) -> bool:
        # locked, so that of two at the same time the codes of one are left, and none where it is removed
        locked = select(_FACTOR.user_id).where(_FACTOR.user_id == user_id, _FACTOR.confirm_time.is_not(None)).with_for_update()
        async with self._database.begin() as connection:
            if (await connection.execute(locked)).one_or_none() is None:
                return False
            await _replace(connection, user_id, hashes)
            await record(connection, NewEvent(project, AuditKind.RECOVERY_CODES_CREATED, person(user_id)))
        return True

    async def use_recovery_code(self, project: str, user_id: str, sha256: bytes) -> bool:
        used = delete(recovery_codes).where(_CODE.user_id == user_id, _CODE.code_sha256 == sha256)
        async with self._database.begin() as connection:
            if not (await connection.execute(used)).rowcount:
                return False
            # the app's own codes are looked at again
            await connection.execute(update(second_factors).where(_FACTOR.user_id == user_id).values(wrong_count=0, wrong_time=None))
            left = await _left(connection, user_id)
            subject = person(user_id)
            await record(connection, NewEvent(project, AuditKind.RECOVERY_CODE_USED, subject, subject, {"left": str(left)}))
        return True

    async def remove(self, project: str, user_id: str) -> bool:
        of_project = select(users.c.id).where(is_user(project, user_id))
        async with self._database.begin() as connection:
            gone = await connection.execute(delete(second_factors).where(_FACTOR.user_id.in_(of_project)))
            if gone.rowcount:
                await record(connection, NewEvent(project, AuditKind.SECOND_FACTOR_REMOVED, person(user_id)))
            return bool(gone.rowcount)

    async def standing(self, project: str, user_id: str) -> Standing | None:
        joined = users.outerjoin(second_factors, _FACTOR.user_id == users.c.id)
        wanted = select(_FACTOR.confirm_time).select_from(joined).where(is_user(project, user_id))
        async with self._database.connect() as connection:
            row = (await connection.execute(wanted)).one_or_none()
            return None if row is None else Standing(row.confirm_time, await _left(connection, user_id))


async def _replace(connection: AsyncConnection, user_id: str, hashes: Collection[bytes]) -> None:
    rows: list[dict[str, Any]] = [{"user_id": user_id, "code_sha256": one} for one in hashes]
    await connection.execute(delete(recovery_codes).where(_CODE.user_id == user_id))
    await connection.execute(insert(recovery_codes), rows)


async def _left(connection: AsyncConnection, user_id: str) -> int:
    return int((await connection.execute(select(func.count()).where(_CODE.user_id == user_id))).scalar_one())
