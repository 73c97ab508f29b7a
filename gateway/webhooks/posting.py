"""Posts changes to endpoints: each endpoint at its own pace, by one process at a time.

A batch is posted first and recorded then, in one transaction with the place in the feed: what a crash interrupts is posted again under the
same id. An endpoint that keeps failing is asked with one event at a time, and its place in the feed hardly moves meanwhile.
"""

import asyncio
import logging
import os
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple, Protocol
from uuid import UUID, uuid5

from gateway.changes.models import Change, ChangeFilters, Window
from gateway.webhooks.events import change_body, event_body, event_type
from gateway.webhooks.models import (
    FAILING_AFTER,
    MOST_RETRY_AFTER_S,
    PAUSED_AFTER,
    TEST_TYPE,
    Attempt,
    Delivery,
    DeliveryState,
    EndpointState,
    hold_s,
    wait_s,
)
from gateway.webhooks.signing import signed_headers
from gateway.webhooks.work_repository import Standing, Tried, Work
from mesh.errors import Unavailable
from mesh.process.telemetry import meter
from mesh.resilience.periodic import Periodic
from mesh.sealing import SealBroken, Sealer

log = logging.getLogger(__name__)

LEASE_S = 10.0
_RENEW_S = 3.0
_POLL_S = 0.25
_MOST_ENDPOINTS = 2000
_PAGE = 100
_LONG_BATCH_S = 2.0
_NARROW_WINDOW = 1000
_AT_A_TIME = 10  # calls of one endpoint
_MOST_FAILURES = 1_000_000
FORGOTTEN = "CHANGE_FORGOTTEN"

_ATTEMPTS = meter().create_histogram("clarion.webhooks.attempt", "s", "Calls of webhook endpoints, by result.")
_STOPPED = meter().create_counter("clarion.webhooks.stopped", "1", "Endpoints that were paused after three days or have answered 410.")


class Poster(Protocol):
    """Calls an address."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Attempt:
        """What came of it. Never fails."""


class ChangeReader(Protocol):
    """The feed."""

    async def read(self, filters: ChangeFilters, *, after: int, positions: int) -> Window:
        """Looks at up to `positions` positions behind `after`."""


class WorkStore(Protocol):
    """Where endpoints and deliveries are kept."""

    async def claim(self, token: bytes, *, lease_s: float, most: int) -> list[Work]: ...

    async def renew(self, endpoint: UUID, token: bytes, *, lease_s: float) -> None: ...

    async def release(self, endpoint: UUID, token: bytes) -> None: ...

    async def due(self, endpoint: UUID, most: int) -> list[Delivery]: ...

    async def oldest(self, endpoint: UUID) -> list[Delivery]: ...

    async def record(self, endpoint: UUID, token: bytes, tried: Sequence[Tried], standing: Standing) -> Work | None: ...


class Webhooks:
    """Looks four times a second for endpoints that have something to do, and works for each in a task of its own."""

    def __init__(self, store: WorkStore, changes: ChangeReader, poster: Poster, sealer: Sealer) -> None:
        self._store = store
        self._changes = changes
        self._poster = poster
        self._sealer = sealer
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._poll = Periodic("webhooks", self._claim, interval_s=_POLL_S)

    def start(self) -> None:
        """Begins."""
        self._poll.start()

    async def close(self, *, within_s: float = 0.0) -> None:
        """Begins no call any more, and waits for those under way.

        What has no answer after `within_s` is posted again by the next process, under the same ids.
        """
        self._closing = True
        await self._poll.close()
        tasks = list(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=within_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _claim(self) -> None:
        room = _MOST_ENDPOINTS - len(self._tasks)
        if room <= 0:
            return
        # a token of its own for each claim: a task that has lost its lease meanwhile fits no later one, not even of this process
        token = os.urandom(16)
        for work in await self._store.claim(token, lease_s=LEASE_S, most=room):
            task = asyncio.create_task(self._work_for(work, token), name=f"webhooks-{work.id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work_for(self, work: Work, token: bytes) -> None:
        renewing = Periodic(
            "webhooks.renew", lambda: self._store.renew(work.id, token, lease_s=LEASE_S), interval_s=_RENEW_S, at_once=False
        )
        renewing.start()
        try:
            present: Work | None = work
            most = _AT_A_TIME
            while present is not None and present.state is EndpointState.ENABLED and not self._closing:
                began = time.monotonic()
                present = await self._batch(present, token, most)
                most = next_page(most, time.monotonic() - began)
        except Unavailable as error:
            log.warning("webhooks wait for the database", extra={"endpoint_id": str(work.id), "reason": error.reason})
        except Exception:
            log.exception("the work for a webhook endpoint broke down", extra={"endpoint_id": str(work.id)})
        finally:
            await renewing.close()
            with suppress(Unavailable):
                await self._store.release(work.id, token)

    async def _batch(self, work: Work, token: bytes, most: int) -> Work | None:
        """Posts what there is; where the endpoint stands then, None where there was nothing to do or it is to be left alone."""
        probing = work.failures >= FAILING_AFTER
        items, position = await (self._probe(work) if probing else self._page(work, most))
        if not items and position == work.position:
            return None
        tried = await self._post_all(work, items, probing=probing)
        standing = standing_after(work, tried, position)
        if standing.state is not EndpointState.ENABLED:
            _STOPPED.add(1)
            log.warning("a webhook endpoint gets no more events", extra={"endpoint_id": str(work.id), "reason": standing.reason})
        after = await self._store.record(work.id, token, tried, standing)
        return None if standing.hold_s > 0 else after

    async def _page(self, work: Work, most: int) -> tuple[list["_Item"], int]:
        """What is due, and what is new."""
        due = [await self._again(work, delivery) for delivery in await self._store.due(work.id, most)]
        fresh, position = await self._fresh(work, most)
        return due + fresh, position

    async def _probe(self, work: Work) -> tuple[list["_Item"], int]:
        """One event for an endpoint that keeps failing. By turns the oldest and a new one: it may be well but for the one event."""
        oldest = await self._store.oldest(work.id)
        if oldest and (work.failures % 2 or oldest[0].type == TEST_TYPE):
            return [await self._again(work, oldest[0])], work.position
        fresh, position = await self._fresh(work, 1)
        return fresh or [await self._again(work, delivery) for delivery in oldest], position

    async def _fresh(self, work: Work, most: int) -> tuple[list["_Item"], int]:
        """Events of changes behind the place in the feed, and the new place."""
        filters = work.selection.filters(work.project)
        window = await self._changes.read(filters, after=work.position, positions=_NARROW_WINDOW if filters.narrow else most)
        changes = window.changes[:most]
        position = changes[-1].position if len(changes) < len(window.changes) else window.last
        return [_Item(_delivery(work, change), change_body(change)) for change in changes], position

    async def _again(self, work: Work, delivery: Delivery) -> "_Item":
        """What is posted again; without a body where the feed has forgotten the change."""
        if delivery.position is None:
            return _Item(delivery, event_body(delivery.type, delivery.create_time, {"endpoint_id": str(work.id)}))
        window = await self._changes.read(ChangeFilters(work.project), after=delivery.position - 1, positions=1)
        return _Item(delivery, next((change_body(change) for change in window.changes if change.position == delivery.position), None))

    async def _post_all(self, work: Work, items: Sequence["_Item"], *, probing: bool) -> list[Tried]:
        """Those of one notification one after the other, different ones side by side."""
        secrets = self._secrets(work)
        ways: dict[object, list[_Item]] = {}
        for item in items:
            ways.setdefault(item.delivery.notification_id or item.delivery.id, []).append(item)
        places = asyncio.Semaphore(_AT_A_TIME)

        async def go(way: Sequence[_Item]) -> list[Tried]:
            async with places:
                return [await self._try(work, secrets, item, counts=not probing) for item in way]

        return [one for way in await asyncio.gather(*map(go, ways.values())) for one in way]

    async def _try(self, work: Work, secrets: Sequence[str], item: "_Item", *, counts: bool) -> Tried:
        if self._closing:  # it waits for the next process
            return Tried(item.delivery, 0.0, posted=False)
        return tried_once(item.delivery, await self._post(work, secrets, item), counts=counts)

    async def _post(self, work: Work, secrets: Sequence[str], item: "_Item") -> Attempt:
        if item.body is None or not secrets:
            return Attempt(datetime.now(UTC), 0, 0, FORGOTTEN if secrets else "SECRET_UNREADABLE")
        began = time.perf_counter()
        headers = signed_headers(item.delivery.id, int(time.time()), item.body, secrets)
        attempt = await self._poster.post(work.url, item.body, headers)
        result = "taken" if attempt.taken else attempt.reason or f"{attempt.status // 100}xx"
        _ATTEMPTS.record(time.perf_counter() - began, {"result": result})
        return attempt

    def _secrets(self, work: Work) -> list[str]:
        try:
            return [self._sealer.open(sealed, str(work.id)).decode() for sealed in work.sealed_secrets]
        except SealBroken:
            log.error("the secret of a webhook endpoint was sealed under another one; rotate it", extra={"endpoint_id": str(work.id)})  # noqa: TRY400  the message says all
            return []


class _Item(NamedTuple):
    delivery: Delivery
    body: bytes | None


def _delivery(work: Work, change: Change) -> Delivery:
    """Its id is the same in every process, so that the receiver can leave out what a crash repeats."""
    identifier = f"msg_{uuid5(work.id, str(change.position)).hex}"
    kind, now = event_type(change), datetime.now(UTC)
    return Delivery(identifier, kind, change.position, change.notification_id, DeliveryState.WAITING, None, now)


def next_page(most: int, lasted_s: float) -> int:
    """How many events to take after a batch that has lasted so long: few for a slow endpoint, whose tests and retries wait."""
    return _AT_A_TIME if lasted_s > _LONG_BATCH_S else min(_PAGE, most * 2)


def tried_once(delivery: Delivery, attempt: Attempt, *, counts: bool = True) -> Tried:
    """The delivery after an attempt. One that only probes an endpoint that keeps failing does not `count` for the schedule."""
    tries = delivery.tries + counts
    tried = replace(delivery, attempts=(*delivery.attempts, attempt), tries=tries)
    if attempt.taken:
        return Tried(replace(tried, state=DeliveryState.DELIVERED), None)
    pause_s = wait_s(max(1, tries))
    if pause_s is None or delivery.type == TEST_TYPE or attempt.reason == FORGOTTEN:
        return Tried(replace(tried, state=DeliveryState.FAILED), None)
    asked_s = min(attempt.retry_after_s or 0.0, MOST_RETRY_AFTER_S)
    return Tried(replace(tried, state=DeliveryState.WAITING), max(pause_s, asked_s))


def standing_after(work: Work, tried: Sequence[Tried], position: int) -> Standing:
    """Where an endpoint stands after a batch. One that takes anything is well; one that takes nothing is asked less and less often."""
    attempts = [one.delivery.attempts[-1] for one in tried if one.posted]
    if any(attempt.gone for attempt in attempts):
        return Standing(position, work.failures, state=EndpointState.GONE, reason="the endpoint has answered 410 (Gone)")
    if not attempts:
        return Standing(position, work.failures)
    asked_s = max((attempt.retry_after_s or 0.0 for attempt in attempts if attempt.status in {429, 503}), default=0.0)
    hold = min(asked_s, MOST_RETRY_AFTER_S)
    if any(attempt.taken for attempt in attempts):
        return Standing(position, 0, hold)
    # calls that fail side by side are one outage: they end what goes side by side, and no more
    failures = min(max(work.failures + 1, min(work.failures + len(attempts), FAILING_AFTER)), _MOST_FAILURES)
    if work.failing_s > PAUSED_AFTER.total_seconds():
        last = attempts[-1]
        reason = f"nothing was taken for {PAUSED_AFTER.days} days; the last answer was {last.status or last.reason}"
        return Standing(position, failures, state=EndpointState.PAUSED, reason=reason)
    return Standing(position, failures, max(hold, hold_s(failures) * random.uniform(0.8, 1.2)))  # noqa: S311  no secret
