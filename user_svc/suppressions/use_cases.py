"""The rules about suppressions."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from mesh.rpc.paging import Cursor, Page, page_size
from naming.email_address import check_email
from user_svc.fields import check_word
from user_svc.suppressions.errors import SuppressionNotFound
from user_svc.suppressions.models import Suppression

_PAGES = Cursor("suppressions", str)


class SuppressionStore(Protocol):
    """Where suppressions are kept."""

    async def add(self, project: str, suppression: Suppression) -> Suppression:
        """Stores it, or answers the one that the address already has."""

    async def delete(self, project: str, address: str) -> bool:
        """False when the address is not on the list."""

    async def find(self, project: str, address: str) -> Suppression | None: ...

    async def list_by_address(self, project: str, after_address: str, limit: int) -> Sequence[Suppression]: ...


class Suppressions:
    """Forbids and allows e-mail to addresses."""

    def __init__(self, store: SuppressionStore, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    async def create_suppression(self, project: str, address: str, reason: str, evidence: str = "") -> Suppression:
        """`evidence` is what was seen, such as a mail server's reply. Raises InvalidArgument."""
        checked = check_email("address", address).lower()
        word = check_word("reason", reason or "manual")
        return await self._store.add(project, Suppression(checked, word, self._now(), evidence))

    async def list_suppressions(self, project: str, requested_size: int, token: str, address: str = "") -> Page[Suppression]:
        """A page in the order of the address, or the entry of this one. Raises InvalidArgument for a size or token that does not fit."""
        size = page_size(requested_size)
        filters = {"project": project, "address": address}
        position = _PAGES.position(token, filters)
        if address:
            found = await self._store.find(project, check_email("address", address).lower())
            return Page((found,) if found else (), "")
        entries = await self._store.list_by_address(project, str(position[0]) if position else "", size + 1)
        return _PAGES.page([((entry.address,), entry) for entry in entries], size, filters)

    async def delete_suppression(self, project: str, address: str) -> None:
        """Raises SuppressionNotFound, or InvalidArgument for what is no address."""
        if not await self._store.delete(project, check_email("address", address).lower()):
            raise SuppressionNotFound
