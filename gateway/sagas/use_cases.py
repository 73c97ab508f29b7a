"""The rules of looking at sagas and of setting a suspended one going again."""

from typing import Protocol
from uuid import UUID

from gateway.sagas.errors import SagaNotFound
from gateway.sagas.models import SagaFilters
from mesh.context import Caller
from mesh.ids import parse
from mesh.rpc.paging import Page, page_size
from mesh.sagas.state import Saga


class SagaPages(Protocol):
    """Where sagas are read."""

    async def find_of(self, project: str, identifier: UUID) -> Saga | None:
        """The project's saga."""

    async def list_page(self, filters: SagaFilters, *, size: int, token: str) -> Page[Saga]:
        """A page, newest first. Raises InvalidArgument for a token that does not fit."""


class Resumer(Protocol):
    """Who runs sagas."""

    async def resume(self, saga: Saga) -> Saga:
        """Lets a suspended one go on; as it is now."""


class SagaDesk:
    """What operators see of sagas."""

    def __init__(self, store: SagaPages, resumer: Resumer) -> None:
        self._store = store
        self._resumer = resumer

    async def get(self, caller: Caller, identifier: str) -> Saga:
        """Raises SagaNotFound."""
        parsed = parse(identifier)
        found = await self._store.find_of(caller.project, parsed) if parsed is not None else None
        if found is None:
            raise SagaNotFound
        return found

    async def list_sagas(self, filters: SagaFilters, size: int, token: str) -> Page[Saga]:
        """A page, newest first. Raises InvalidArgument for a size or token that does not fit."""
        return await self._store.list_page(filters, size=page_size(size), token=token)

    async def resume(self, caller: Caller, identifier: str) -> Saga:
        """Lets a suspended saga go on; any other is left as it is. Raises SagaNotFound."""
        return await self._resumer.resume(await self.get(caller, identifier))
