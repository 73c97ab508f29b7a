"""Handing entries over to the audit log, while user_svc is there."""

from collections.abc import Sequence
from typing import Protocol

from template_svc.auditing.models import WaitingEntry

_AT_ONCE = 100


class Outbox(Protocol):
    """Where entries wait."""

    async def waiting(self, limit: int) -> Sequence[WaitingEntry]:
        """The oldest first."""
        ...

    async def forget(self, entries: Sequence[WaitingEntry]) -> None: ...


class Log(Protocol):
    """The audit log."""

    async def keep(self, entries: Sequence[WaitingEntry]) -> None:
        """Each once, however often it is handed over. Raises ServiceError."""
        ...


class Handover:
    """Any number of replicas may hand over, also the same entries."""

    def __init__(self, outbox: Outbox, log: Log) -> None:
        self._outbox = outbox
        self._log = log

    async def hand_over(self) -> None:
        """All that waits. Raises ServiceError; what was not taken waits on."""
        while entries := await self._outbox.waiting(_AT_ONCE):
            await self._log.keep(entries)
            await self._outbox.forget(entries)
