"""The rules of deciding about many dead letters at once."""

import hashlib
from typing import NamedTuple, Protocol
from uuid import UUID

from gateway.dead_letters.bulk_errors import BulkOperationNotFound
from gateway.dead_letters.bulk_models import BulkOperation, NewBulkOperation
from gateway.dead_letters.models import DeadLetterFilters, State
from gateway.dead_letters.use_cases import actor_of, tidy
from mesh.context import Caller
from mesh.errors import InvalidArgument
from mesh.idempotency.errors import IdempotencyKeyReused
from mesh.ids import new_uuid, parse
from mesh.rpc.paging import Page, page_size

_RATE_PER_S = 100
_MOST = 10_000


class JobStore(Protocol):
    """Where jobs are kept."""

    async def create(self, new: NewBulkOperation) -> tuple[BulkOperation, bytes]:
        """Stores a job with the letters that it is about, or finds the one that has its key. The job and the fingerprint under its key."""

    async def find(self, project: str, identifier: UUID) -> BulkOperation | None:
        """The project's job with its counts."""

    async def list_page(self, project: str, *, size: int, token: str) -> Page[BulkOperation]:
        """A page, newest first. Raises InvalidArgument for a token that does not fit."""

    async def cancel(self, identifier: UUID) -> None:
        """Stops a job that runs."""


class Worker(Protocol):
    """Works jobs off in the background."""

    def wake(self) -> None:
        """There is a new job."""


class Order(NamedTuple):
    """What a reviewer asks for; 0 means the usual. `key` is an idempotency key or empty, `fingerprint` what is asked under it."""

    decision: State
    filters: DeadLetterFilters
    rate_per_s: int
    most: int
    note: str
    key: str
    fingerprint: bytes


class BulkOperations:
    """Starts operations and reports how far they are. A repeated order returns the first one's operation."""

    def __init__(self, store: JobStore, worker: Worker) -> None:
        self._store = store
        self._worker = worker

    async def order(self, caller: Caller, order: Order) -> BulkOperation:
        """A job about the letters that the filters find now. Raises InvalidArgument or IdempotencyKeyReused."""
        if order.decision is State.DISCARDED and order.filters == DeadLetterFilters(order.filters.project):
            raise InvalidArgument.of("filter", "must name something: discarding every dead letter at once is not possible")
        actor = actor_of(caller)
        digest = hashlib.sha256(f"{order.decision.name}\n{actor}\n{order.key}".encode()).digest() if order.key else None
        new = NewBulkOperation(
            id=new_uuid(),
            decision=order.decision,
            filters=order.filters,
            rate_per_s=order.rate_per_s or _RATE_PER_S,
            most=order.most or _MOST,
            note=tidy(order.note),
            actor=actor,
            digest=digest,
            fingerprint=order.fingerprint,
            test=caller.test,
        )
        job, fingerprint = await self._store.create(new)
        if fingerprint != order.fingerprint:
            raise IdempotencyKeyReused
        self._worker.wake()
        return job

    async def get(self, caller: Caller, identifier: str) -> BulkOperation:
        """The job with its counts. Raises BulkOperationNotFound."""
        found = await self._store.find(caller.project, _id_of(identifier))
        if found is None:
            raise BulkOperationNotFound
        return found

    async def list_jobs(self, caller: Caller, size: int, token: str) -> Page[BulkOperation]:
        """A page, newest first."""
        return await self._store.list_page(caller.project, size=page_size(size), token=token)

    async def cancel(self, caller: Caller, identifier: str) -> BulkOperation:
        """Stops a job; one that has ended stays as it is. Raises BulkOperationNotFound."""
        found = await self.get(caller, identifier)
        await self._store.cancel(found.id)
        return await self.get(caller, identifier)


def _id_of(text: str) -> UUID:
    parsed = parse(text)
    if parsed is None:
        raise BulkOperationNotFound
    return parsed
