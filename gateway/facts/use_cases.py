"""The rules of later facts: each is recorded once, and some forbid more mail to the address."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from gateway.facts.models import SUPPRESSING, Fresh, Report
from gateway.notifications.models import Fact
from mesh.errors import DeadlineExceeded, InvalidArgument, ServiceError, Unavailable

# So many addresses are suppressed at once, and the facts about them recorded before the next ones are: a request may hold thousands.
_AT_ONCE = 25
# After one of these the others would only wait for the same.
_AWAY = (Unavailable, DeadlineExceeded)


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
        """How many of them were new. Raises ServiceError where some could not be recorded: then the reporter is to repeat all.

        The address is suppressed first, so that a fact that stands has had its effect. What is recorded by then is not done again, and one
        that can't be recorded does not keep the others from it.
        """
        wanted = [one for one in reports if self._opens or one.fact is not Fact.OPENED]
        fresh = await self._store.fresh(wanted) if wanted else []
        recorded, failed = 0, list[ServiceError]()
        for at in range(0, len(fresh), _AT_ONCE):
            part = fresh[at : at + _AT_ONCE]
            errors = await asyncio.gather(*map(self._suppress, part))
            had_effect = [one.report for one, error in zip(part, errors, strict=True) if error is None]
            recorded += await self._store.record(had_effect) if had_effect else 0
            failed += [error for error in errors if error is not None]
            if any(isinstance(error, _AWAY) for error in failed):
                break
        if failed:
            raise failed[0]
        return recorded

    async def _suppress(self, fresh: Fresh) -> ServiceError | None:
        """Why it could not be done."""
        report = fresh.report
        reason = SUPPRESSING.get(report.fact)
        if reason is None or not report.address:
            return None
        evidence = " ".join(part for part in (report.provider, report.reason, report.detail) if part)[:500]
        try:
            await self._suppressions.suppress(
                fresh.project, str(fresh.user_id), report.address, evidence, reason=reason, only_their_own=not report.trusted
            )
        except InvalidArgument:
            return None  # what is no address can't be sent to either
        except ServiceError as error:
            return error
        return None
