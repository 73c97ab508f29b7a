"""The shared breakers in Redis."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from redis.exceptions import RedisError

from gateway.breakers.errors import BreakersUnavailable
from gateway.breakers.models import Breaker, Force, State, Wish, Worker
from mesh.resilience import breaker_store
from mesh.resilience.breaker_store import BreakerStore, Snapshot

_FORCES = {Force.OPEN: breaker_store.Force.OPEN, Force.CLOSED: breaker_store.Force.CLOSED, Force.AUTO: breaker_store.Force.AUTO}


class BreakerRepository:
    """Reads and forces. Raises BreakersUnavailable while Redis is down."""

    def __init__(self, store: BreakerStore) -> None:
        self._store = store

    async def list_all(self) -> list[Breaker]:
        """Every breaker that a worker has ever asked for, by name."""
        async with _reachable():
            names = await self._store.names()
            snapshots = await self._store.peek([name for name, _ in names])
        now_s = time.time()
        return [_breaker(snapshot, now_s, seen_s) for snapshot, (_, seen_s) in zip(snapshots, names, strict=True)]

    async def find(self, name: str) -> Breaker | None:
        """One of them."""
        return next((breaker for breaker in await self.list_all() if breaker.name == name), None)

    async def workers(self) -> list[Worker]:
        """Those that have asked for a breaker within some seconds, by provider."""
        async with _reachable():
            names = [name for name, _ in await self._store.names()]
            found: dict[str, list[tuple[str, float]]] = {}
            for name, replicas in zip(names, await self._store.replicas(names), strict=True):
                for replica, age_s in replicas.items():
                    found.setdefault(replica, []).append((name, age_s))
        workers = [Worker(id_, tuple(name for name, _ in seen), min(age_s for _, age_s in seen)) for id_, seen in found.items()]
        return sorted(workers, key=lambda worker: (worker.providers, worker.id))

    async def force(self, name: str, wish: Wish) -> None:
        """Writes the wish down, where workers see it."""
        async with _reachable():
            await self._store.force(name, _FORCES[wish.force], duration_s=wish.duration_s, by=wish.by, note=wish.note)


@asynccontextmanager
async def _reachable() -> AsyncIterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise BreakersUnavailable from error


def _breaker(snapshot: Snapshot, now_s: float, seen_s: float) -> Breaker:
    state = State[snapshot.state.name]
    forced = snapshot.forced
    retry_s = now_s + snapshot.wait_s if state is State.OPEN and snapshot.wait_s is not None else None
    return Breaker(
        name=snapshot.name,
        state=state,
        failures=snapshot.failures,
        retry_time=_time(retry_s),
        change_time=_time(snapshot.changed_s),
        force=Force.AUTO if forced is None else Force[forced.force.name],
        force_time=_time(forced.since_s if forced else None),
        force_expire_time=_time(forced.until_s if forced else None),
        forced_by=forced.by if forced else "",
        note=forced.note if forced else "",
        seen_time=_time(seen_s),
    )


def _time(unix_s: float | None) -> datetime | None:
    return None if unix_s is None else datetime.fromtimestamp(unix_s, UTC)
