"""How many bytes of requests a process holds at once, whatever door they came through."""

from typing import Self

from mesh.errors import Unavailable
from mesh.process.settings import CommonSettings


class MemoryBudget:
    """One count for all doors of a process: a limit for each door would let callers fill them all.

    Bytes are taken as they arrive, never as they are announced: an announcement costs its sender nothing.
    """

    @classmethod
    def of(cls, common: CommonSettings) -> Self:
        """As the process's settings say."""
        return cls(common.held_mib * 1024 * 1024)

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.held_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Counts bytes that are held from now on. Raises Unavailable, counting nothing, when they do not fit."""
        if self.held_bytes + size_bytes > self._limit_bytes:
            raise Unavailable("the server holds too many requests at the moment; try again", reason="SERVER_BUSY", retry_after_s=1)
        self.held_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Counts bytes that are held no longer."""
        self.held_bytes -= size_bytes
