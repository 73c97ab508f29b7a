"""The rules about suppressions."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from mesh.errors import InvalidArgument
from mesh.rpc.paging import Cursor, Page, page_size
from naming.email_address import check_email
from user_svc.fields import check_word
from user_svc.suppressions.errors import SuppressionNotFound
from user_svc.suppressions.models import Suppression

_PAGES = Cursor("suppressions", str, str)
BOUNCE = "bounce"


class SuppressionStore(Protocol):
    """Where suppressions are kept: one of each address for all mail, and one for each category."""

    async def add(self, project: str, suppression: Suppression, *, of: str | None = None) -> Suppression:
        """Stores it, or answers the one that is there, unless the new one outlasts that. Raises TooManyCategories.

        With `of` only while the project has this person: one that is being erased at the same time leaves none.
        """

    async def delete(self, project: str, address: str, category: str) -> bool:
        """False when the list does not hold it."""

    async def of_address(self, project: str, address: str) -> Sequence[Suppression]:
        """All of an address, those that have ended too; first the one for all mail."""

    async def list_in_order(
        self, project: str, after: tuple[str, str], limit: int, *, now: datetime, address: str = ""
    ) -> Sequence[Suppression]:
        """Those that hold, in the order of address and category."""

    async def forget_ended(self, now: datetime) -> None:
        """Deletes what has ended."""


class Suppressions:
    """Forbids and allows e-mail to addresses. An entry for a bounce ends after `bounce_days`, of 0 never."""

    def __init__(self, store: SuppressionStore, *, now: Callable[[], datetime], bounce_days: int = 0) -> None:
        self._store = store
        self._now = now
        self._bounce_life = timedelta(days=bounce_days)

    async def create_suppression(
        self, project: str, address: str, reason: str, evidence: str = "", *, category: str = "", expire_time: datetime | None = None
    ) -> Suppression:
        """`evidence` is what was seen, such as a mail server's reply. Raises InvalidArgument, or TooManyCategories."""
        now = self._now()
        if expire_time is not None and expire_time <= now:
            raise InvalidArgument.of("expire_time", "must be in the future")
        return await self._store.add(project, _checked(address, reason, now, evidence, category=category, end=expire_time))

    async def suppress(self, project: str, address: str, reason: str, evidence: str, *, of: str | None = None) -> None:
        """For what became of a mail to a person, `of` by our id; None for one that is no one's.

        A bounce may be tried again some day, and comes back to the list by itself; a complaint stays. Raises InvalidArgument.
        """
        now = self._now()
        end = now + self._bounce_life if self._bounce_life and reason == BOUNCE else None
        await self._store.add(project, _checked(address, reason, now, evidence, end=end), of=of)

    async def list_suppressions(self, project: str, requested_size: int, token: str, address: str = "") -> Page[Suppression]:
        """A page in the order of address and category, of one address if it is given. Raises InvalidArgument for what does not fit."""
        size = page_size(requested_size)
        filters = {"project": project, "address": address}
        position = _PAGES.position(token, filters)
        after = (str(position[0]), str(position[1])) if position else ("", "")
        only = check_email("address", address).lower() if address else ""
        entries = await self._store.list_in_order(project, after, size + 1, now=self._now(), address=only)
        return _PAGES.page([((entry.address, entry.category), entry) for entry in entries], size, filters)

    async def delete_suppression(self, project: str, address: str, category: str = "") -> None:
        """Raises SuppressionNotFound, or InvalidArgument for what is no address."""
        checked = check_email("address", address).lower()
        if not await self._store.delete(project, checked, _checked_scope(category)):
            raise SuppressionNotFound

    async def forget_ended(self) -> None:
        """Deletes what has ended and decides no more."""
        await self._store.forget_ended(self._now())


def _checked(address: str, reason: str, now: datetime, evidence: str, *, category: str = "", end: datetime | None = None) -> Suppression:
    word = check_word("reason", reason or "manual")
    return Suppression(check_email("address", address).lower(), word, now, evidence, _checked_scope(category), end)


def _checked_scope(category: str) -> str:
    """A name that no notification can have would forbid nothing."""
    return check_word("category", category) if category else ""
