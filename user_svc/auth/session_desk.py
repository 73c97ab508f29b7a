"""The rules of looking at sessions and ending them."""

import logging
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from mesh import ids
from mesh.context import Caller
from mesh.rpc.revocations import session_subject
from user_svc.access import check_reach
from user_svc.users.errors import UserNotFound
from user_svc.users.use_cases import existing_id

log = logging.getLogger(__name__)

ADMIN_SCOPE = "users:admin"
MOST_SESSIONS = 100
ALL_OTHERS = "-"


class Session(NamedTuple):
    """What began with one sign-in. `last_use_time` is when its newest token was made."""

    id: str
    create_time: datetime
    last_use_time: datetime
    expire_time: datetime


class SessionRows(Protocol):
    """Where sessions are kept. People of another project are as if they did not exist."""

    async def list_sessions(self, project: str, user_id: str, limit: int) -> Sequence[Session] | None:
        """Those that have not ended, the one that was used last first; None when there is no such person."""

    async def end_sessions(self, project: str, user_id: str, *, only: str | None = None, but: Collection[str] = ()) -> int | None:
        """Ends one session, or all but those of some subjects; how many there were to end, None when there is no such person."""


class SessionDesk:
    """Serves people about their own sessions, and administrators about everyone's."""

    def __init__(self, rows: SessionRows) -> None:
        self._rows = rows

    async def list_sessions(self, caller: Caller, user_id: str) -> list[tuple[Session, bool]]:
        """The sessions, each with whether the caller's own token is of it. Raises UserNotFound or NotOwner."""
        check_reach(caller, user_id, ADMIN_SCOPE)
        found = await self._rows.list_sessions(caller.project, existing_id(user_id), MOST_SESSIONS)
        if found is None:
            raise UserNotFound
        return [(session, session_subject(session.id) in caller.subjects) for session in found]

    async def end_session(self, caller: Caller, user_id: str, session_id: str) -> int:
        """How many have ended; of a person who is gone, none. Raises NotOwner, and UserNotFound for all of such a person's."""
        check_reach(caller, user_id, ADMIN_SCOPE)
        person = existing_id(user_id)
        if session_id == ALL_OTHERS:
            ended = await self._rows.end_sessions(caller.project, person, but=caller.subjects)
            if ended is None:
                raise UserNotFound
        else:
            known_form = ids.canonical(session_id)
            ended = await self._rows.end_sessions(caller.project, person, only=known_form) if known_form else 0
        log.info("sessions were ended", extra={"user_id": person, "caller": caller.label, "count": ended or 0})
        return ended or 0
