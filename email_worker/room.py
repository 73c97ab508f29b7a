"""Room for files: what mails that are being sent hold of them at once, so that no number of large mails fills the memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from email_worker.errors import AttachmentUnavailable

# Two of the largest mails. Each byte of a file is some four in memory until the server has answered: in base64, in the mail, in the socket.
MOST_BYTES = 20 * 1024 * 1024
# Most files are a logo or an invoice. Mails with no more than this have some room that larger ones can't take, so as not to wait for those.
SMALL_BYTES = 256 * 1024
_KEPT_FOR_SMALL = 8
_WAIT_S = 5.0


class Room:
    """One for all servers of a process. A mail that does not fit within `wait_s` makes room for others: it is tried again later.

    Beyond `most_bytes` there is room for eight mails of up to `small_bytes`.
    """

    def __init__(self, most_bytes: int = MOST_BYTES, *, small_bytes: int = SMALL_BYTES, wait_s: float = _WAIT_S) -> None:
        self._most = most_bytes
        self._small = small_bytes
        self._wait_s = wait_s
        self._waiting: set[asyncio.Future[None]] = set()
        self.held_bytes = 0

    @asynccontextmanager
    async def hold(self, size_bytes: int) -> AsyncIterator[None]:
        """For the length of the block; one that is larger than all the room has it alone. Raises AttachmentUnavailable."""
        wanted = min(size_bytes, self._most)
        most = self._most + (_KEPT_FOR_SMALL * self._small if wanted <= self._small else 0)
        try:
            async with asyncio.timeout(self._wait_s):
                while self.held_bytes + wanted > most:
                    await self._change()
        except TimeoutError:
            raise AttachmentUnavailable("ATTACHMENT_UNAVAILABLE", "other mails with large files are being sent") from None
        self.held_bytes += wanted
        try:
            yield
        finally:
            self.held_bytes -= wanted
            for each in self._waiting:
                if not each.done():
                    each.set_result(None)

    async def _change(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)
