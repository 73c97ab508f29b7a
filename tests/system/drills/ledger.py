"""The ledger equation: what was accepted against the gateway's rows and against what arrived at the providers.

accepted = sent + failed (in review) + skipped + cancelled + expired, each exactly once. Lost are those that are told as sent and have
never arrived.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from gateway.notifications.models import Status
from tests.system.drills.rig import HOLDS, Rig

_TERMINAL = tuple(status.value for status in (Status.SENT, Status.FAILED, Status.SKIPPED, Status.CANCELLED, Status.EXPIRED))
_OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
_LOOK_EVERY_S = 0.2
_QUERY_TIMEOUT_S = 10.0
_MOST_EXAMPLES = 5
# The notification's id and the run.
_MESSAGE_ID = re.compile(rb"^Message-ID: <([0-9a-f-]{36})\.\d+@", re.MULTILINE)

_OPEN = "SELECT count(*) FROM notifications WHERE id = ANY($1::uuid[]) AND status <> ALL($2::smallint[])"
_ROWS = """
SELECT n.id, n.status, n.reason, n.attempt, n.template,
    (SELECT count(*) FROM dead_letters d WHERE d.notification_id = n.id AND d.state = 1) AS letters,
    EXISTS (SELECT 1 FROM timeline t WHERE t.notification_id = n.id AND t.status = n.status) AS told
FROM notifications n WHERE n.metadata ->> 'drill' = $1
"""
_TIMELINE = """
SELECT run, attempt, status, time, reason, detail FROM timeline WHERE notification_id = $1 ORDER BY time, attempt
"""


@dataclass(frozen=True, slots=True)
class Account:
    """One round's books. `suspects` are the notifications that a violation is about."""

    accepted: int
    totals: Mapping[Status, int]
    sent: frozenset[str]
    held: frozenset[str] = frozenset()
    """FAILED with OUTCOME_UNKNOWN."""
    holding: frozenset[str] = frozenset()
    """Those of templates with `on_unknown: HOLD`."""
    violations: Sequence[str] = ()
    suspects: Collection[str] = ()


@dataclass
class Arrivals:
    """How often each notification has arrived at its provider. What got no answer counts: it may have been delivered."""

    rig: Rig
    seen: Counter[str] = field(default_factory=Counter)

    def take(self) -> None:
        """Counts what has come since, and forgets the messages themselves."""
        smtp, fcm = self.rig.smtp, self.rig.fcm
        while smtp.mails:
            self._count_mail(smtp.mails.popleft().raw)
        while smtp.unanswered:
            self._count_mail(smtp.unanswered.popleft())
        while fcm.pushes:
            self.seen[str(fcm.pushes.popleft().message["android"]["collapse_key"])] += 1

    def _count_mail(self, raw: bytes) -> None:
        found = _MESSAGE_ID.search(raw)
        assert found is not None, "a mail without a Message-ID"
        self.seen[found[1].decode()] += 1

    def lost(self, sent: Collection[str]) -> list[str]:
        """Those told as sent that have never arrived."""
        return [identifier for identifier in sent if not self.seen[identifier]]

    def arrived(self, identifiers: Collection[str]) -> list[str]:
        """Those that have arrived."""
        return [identifier for identifier in identifiers if self.seen[identifier]]

    def doubles(self, accepted: Collection[str]) -> int:
        """Arrivals beyond the first of each."""
        return sum(max(0, self.seen[identifier] - 1) for identifier in accepted)


class Books:
    """Reads the gateway's database, directly. Lives through the database's own drills."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Any = None
        self._one_at_a_time = asyncio.Lock()

    async def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            await self._connection.close()

    async def settled(self, identifiers: Collection[str], *, timeout_s: float) -> bool:
        """Returns when all are terminal, or after the time-out with False."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    if await self.fetch(_OPEN, list(map(UUID, identifiers)), _TERMINAL) == [(0,)]:
                        return True
                    await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError:
            return False

    async def audit(self, tag: str, accepted: Mapping[str, str]) -> Account:
        """The books of the notifications whose metadata have this tag; `accepted` is what their sender was told, by key."""
        rows = {str(row["id"]): row for row in await self.fetch(_ROWS, tag)}
        ids = frozenset(accepted.values())
        findings = {
            "answered with one id for several keys": [key for key, count in Counter(accepted.values()).items() if count > 1],
            "accepted and not in the database": ids - rows.keys(),
            "in the database twice": rows.keys() - ids,
            "not terminal": [key for key, row in rows.items() if row["status"] not in _TERMINAL],
            "failed without a dead letter": [key for key, row in rows.items() if row["status"] == Status.FAILED and row["letters"] != 1],
            "a dead letter of what has not failed": [key for key, row in rows.items() if row["status"] != Status.FAILED and row["letters"]],
            "not explained by the timeline": [key for key, row in rows.items() if row["status"] in _TERMINAL and not row["told"]],
        }
        suspects = [identifier for found in findings.values() for identifier in found]
        return Account(
            accepted=len(ids),
            totals=Counter(Status(row["status"]) for row in rows.values()),
            sent=frozenset(key for key, row in rows.items() if row["status"] == Status.SENT),
            held=frozenset(key for key, row in rows.items() if row["status"] == Status.FAILED and row["reason"] == _OUTCOME_UNKNOWN),
            holding=frozenset(key for key, row in rows.items() if row["template"] in HOLDS),
            violations=[f"{len(found)} {what}" for what, found in findings.items() if found],
            suspects=suspects[:_MOST_EXAMPLES],
        )

    async def story(self, identifier: str) -> str:
        """The notification's timeline, a line per entry."""
        rows = await self.fetch("SELECT status, attempt, reason, dispatch_at FROM notifications WHERE id = $1", UUID(identifier))
        lines = [f"notification {identifier}: {[tuple(row) for row in rows]}"]
        for row in await self.fetch(_TIMELINE, UUID(identifier)):
            what = f"run {row['run']} attempt {row['attempt']} {Status(row['status']).name} {row['reason']} {row['detail']}"
            lines.append(f"  {row['time']:%H:%M:%S.%f} {what}")
        return "\n".join(lines)

    async def fetch(self, statement: str, *arguments: object) -> list[Any]:
        """The rows, as soon as there is a database."""
        async with self._one_at_a_time:
            return await self._fetch(statement, *arguments)

    async def _fetch(self, statement: str, *arguments: object) -> list[Any]:
        while True:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(self._url, timeout=_QUERY_TIMEOUT_S)
                rows: list[Any] = await self._connection.fetch(statement, *arguments, timeout=_QUERY_TIMEOUT_S)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
                if self._connection is not None:
                    self._connection.terminate()
                    self._connection = None
                await asyncio.sleep(_LOOK_EVERY_S)
            else:
                return rows


async def balance(url: str, tag: str, accepted: Mapping[str, str], *, timeout_s: float) -> tuple[bool, Account]:
    """The books of one tag in the gateway's database at `url`, and whether all that was accepted was settled in time before them."""
    books = Books(url)
    try:
        settled = await books.settled(list(accepted.values()), timeout_s=timeout_s)
        return settled, await books.audit(tag, accepted)
    finally:
        await books.close()
