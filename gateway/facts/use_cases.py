"""The rules of later facts: each is recorded once, and some forbid more mail to the address."""

from collections.abc import Sequence
from typing import Protocol

from gateway.facts.models import SUPPRESSING, Fresh, Report
from gateway.notifications.models import Fact
from mesh.errors import InvalidArgument


class FactStore(Protocol):
    """Where facts are kept."""

    async def fresh(self, reports: Sequence[Report]) -> list[Fresh]:
        """Those that are about an e-mail of ours and not recorded yet."""

    async def record(self, reports: Sequence[Report]) -> int:
        """Records them; how many of them were new."""


class SuppressionList(Protocol):
    """The addresses that get no e-mail."""

    async def suppress(
        self, project: str, user_id: str, address: str, evidence: str, *, reason: str = "", only_their_own: bool = False
    ) -> None:
        """Adds an address. Raises ServiceError."""


class Facts:
    """Takes reports. A repeated one has no effect, also where an operator has allowed mail to the address again in between.

    `opens` asks for OPENED.
    """

    def __init__(self, store: FactStore, suppressions: SuppressionList, *, opens: bool = False) -> None:
        self._store = store
        self._opens = opens
        self._suppressions = suppressions

    async def take(self, reports: Sequence[Report]) -> int:
        """How many of them were new. Raises ServiceError while user_svc or the database is down: then the reporter is to repeat all.

        The address is suppressed first, so that a fact that stands has had its effect.
        """
        wanted = [one for one in reports if self._opens or one.fact is not Fact.OPENED]
        fresh = await self._store.fresh(wanted) if wanted else []
        for one in fresh:
            await self._suppress(one)
        return await self._store.record([one.report for one in fresh]) if fresh else 0

    async def _suppress(self, fresh: Fresh) -> None:
        report = fresh.report
        reason = SUPPRESSING.get(report.fact)
        if reason is None or not report.address:
            return
        evidence = " ".join(part for part in (report.provider, report.reason, report.detail) if part)[:500]
        try:
            await self._suppressions.suppress(
                fresh.project, str(fresh.user_id), report.address, evidence, reason=reason, only_their_own=not report.trusted
            )
        except InvalidArgument:
            return  # what is no address can't be sent to either
