"""Publishes revocations to the other processes. They were recorded with what they revoke, so that a crash in between loses none."""

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol


class RevocationStore(Protocol):
    """Where revocations are recorded."""

    async def unpublished(self) -> Sequence[tuple[int, str]]:
        """Ids and subjects, oldest first; a bounded number."""

    async def mark_published(self, ids: Collection[int]) -> None: ...

    async def publish_all_again(self) -> None:
        """Marks all that are kept as unpublished."""

    async def forget_old(self) -> None:
        """Removes what no process can believe any more."""


class RevocationBoard(Protocol):
    """Where the other processes read them."""

    async def publish(self, subjects: Iterable[str]) -> None: ...

    async def lost(self) -> bool:
        """Whether the board was wiped."""


class RevocationPublisher:
    """One run publishes what is waiting. Replicas may do so together: publishing twice changes nothing."""

    def __init__(self, store: RevocationStore, board: RevocationBoard) -> None:
        self._store = store
        self._board = board

    async def run(self) -> None:
        """Raises Unavailable; the next run goes on."""
        if await self._board.lost():
            await self._store.publish_all_again()
            await self._board.publish(())
        while waiting := await self._store.unpublished():
            await self._board.publish([subject for _, subject in waiting])
            await self._store.mark_published([identifier for identifier, _ in waiting])

    async def forget_old(self) -> None:
        """Removes what no process can believe any more."""
        await self._store.forget_old()
