"""Which of a channel's providers gets a job: by weight, past open breakers and spent rates, and to another one where the first is ill."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from delivery.errors import DeliveryError
from delivery.models import Attempt, OutcomeUnknown, ProviderUnavailable, ReadyDelivery, Sender
from delivery.provider_limit import ProviderLimit
from delivery.pushback import REASON as PROVIDER_DEFERS
from delivery.pushback import Pushback
from mesh.resilience.breaker import BreakerOpen, BreakerState
from mesh.resilience.shared_breaker import Permit, SharedBreaker

RATE_LIMITED = "PROVIDER_RATE_LIMITED"
# A failure inside the worker says nothing about the provider.
OUR_DEFECT = "INTERNAL"

# Longer than this no delivery waits for a token in a worker: it is deferred.
_MOST_WAIT_S = 1.0
_RAMP_FLOOR = 0.1

K = TypeVar("K", bound=Hashable)


@dataclass(eq=False, slots=True)
class Route:
    """One provider. `capacity` is how many jobs it takes at a time, `weight` its share beside the others; with 0 it stands in for them."""

    name: str
    sender: Sender
    breaker: SharedBreaker
    capacity: int
    weight: float = 1.0
    limit: ProviderLimit | None = None
    ramp_s: float = 60.0
    pushback: Pushback = field(init=False)

    def __post_init__(self) -> None:
        self.pushback = Pushback(self.name)

    @property
    def held_s(self) -> float:
        """Seconds until it lets a job through; 0 when it does now."""
        return max(self.breaker.retry_after_s, self.pushback.hold_s)

    @property
    def defer_s(self) -> float:
        """How long a job that it does not let through is to wait; 0 where only this worker is held back and another may take it."""
        return max(self.breaker.defer_s, self.pushback.hold_s)

    @property
    def share(self) -> float:
        """The weight at this moment."""
        return self.weight * ramp(self.breaker.recovered_s, self.ramp_s)


def ramp(recovered_s: float | None, ramp_s: float) -> float:
    """The part of its weight that a provider gets so long after its breaker closed: a tenth at first, growing to all of it."""
    if recovered_s is None or recovered_s >= ramp_s:
        return 1.0
    return _RAMP_FLOOR + (1 - _RAMP_FLOOR) * max(0.0, recovered_s) / ramp_s


def pick(credit: dict[K, float], weights: Mapping[K, float]) -> K:
    """Smooth weighted round robin: each gets its share, evenly spread. `credit` goes from call to call; the weights may change between."""
    total = sum(weights.values())
    if total <= 0:
        weights = dict.fromkeys(weights, 1.0)
        total = len(weights)
    for key, weight in weights.items():
        credit[key] = credit.get(key, 0.0) + weight / total
    # the first of equals, and never one that has no share
    best = max((key for key, weight in weights.items() if weight > 0), key=credit.__getitem__)
    credit[best] -= 1.0
    return best


class NoProviderAvailable(Exception):
    """No provider can take the job now; one may after `wait_s`."""

    def __init__(self, reason: str, wait_s: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait_s = wait_s


class SendPermit:
    """The right to hand one job to one provider. Ends with `settle` or `abandon`."""

    __slots__ = ("_delivery", "_finds_out", "_is_probe", "_permit", "_routing", "route")

    def __init__(self, routing: "Routing", route: Route, permit: Permit, *, is_probe: bool = False) -> None:
        self._routing = routing
        self.route = route
        self._is_probe = is_probe
        self._finds_out = route.pushback.enter()
        self._delivery = ""
        self._permit: Permit | None = permit

    async def send(self, job: ReadyDelivery) -> Attempt:
        """Raises DeliveryError."""
        self._delivery = job.delivery.notification_id
        return await self.route.sender.send(job)

    def settle(self, error: DeliveryError | None) -> None:
        """The provider has answered, or has not: its breaker learns of it."""
        if self._permit is None:
            return
        if isinstance(error, ProviderUnavailable):
            self.route.breaker.record_failure(self._permit)
        else:
            self.route.breaker.record_success(self._permit)
            if error is None or not error.of_recipient_only:
                refused = error is not None and error.retryable and error.reason != OUR_DEFECT
                self.route.pushback.note(self._delivery, refused=refused, found_out=self._finds_out)
        self._end()

    def unspent(self, attempt: Attempt) -> NoProviderAvailable | None:
        """Set where the attempt found out about the provider only, which surely does not have the job: it is not used up, and waits."""
        error = attempt.error
        if error is None or not error.retryable or error.reason == OUR_DEFECT or isinstance(error, OutcomeUnknown) or attempt.devices:
            return None
        if isinstance(error, ProviderUnavailable):
            return NoProviderAvailable(BreakerOpen.reason, self.route.defer_s) if self._is_probe else None
        if not self.route.pushback.active or error.of_recipient_only:
            return None
        return NoProviderAvailable(PROVIDER_DEFERS, max(self.route.defer_s, error.retry_after_s or 0.0))

    def abandon(self) -> None:
        """Nothing was learned about the provider. Does nothing to a permit that has ended."""
        if self._permit is not None:
            self.route.breaker.release(self._permit)
            self._end()

    def _end(self) -> None:
        self._permit = None
        self._routing.leave(self.route)


class Routing:
    """A channel's providers as one lane sees them; the lane's part of each capacity is `part(capacity)`."""

    def __init__(
        self,
        routes: Sequence[Route],
        *,
        part: Callable[[int], int] = lambda capacity: capacity,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._routes = tuple(routes)
        self._room = {route: part(route.capacity) for route in routes}
        self._credit: dict[Route, float] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._clock = clock

    @property
    def held_s(self) -> float:
        """Seconds until a provider lets a job through; 0 when one does now."""
        return min(route.held_s for route in self._routes)

    @property
    def held_reason(self) -> str:
        """Why."""
        return PROVIDER_DEFERS if any(route.breaker.retry_after_s <= 0 for route in self._routes) else BreakerOpen.reason

    @property
    def defer_s(self) -> float:
        """How long a delivery that finds no provider is to wait; 0 where only this worker is held back and another may take it at once."""
        return min(route.defer_s for route in self._routes)

    async def admit(self, tokens: int = 1, *, tried: Collection[Route] = ()) -> SendPermit:
        """A place at a provider that was not tried yet; waits for one to be free. `tokens` is what the job costs of the provider's rate.

        Raises NoProviderAvailable when all breakers are open or all rates are spent for more than a second.
        """
        if not tried and (permit := self._at_once()) is not None:
            return permit
        excluded = set(tried)
        while True:
            route = await self._enter(excluded, tokens)
            try:
                permit_of_breaker = await route.breaker.admit()
                is_probe = route.breaker.state is not BreakerState.CLOSED or route.breaker.isolated
                return SendPermit(self, route, permit_of_breaker, is_probe=is_probe)
            except BreakerOpen:
                self.leave(route)
                excluded.add(route)
            except BaseException:
                self.leave(route)
                raise

    def _at_once(self) -> SendPermit | None:
        """The short way for the common case: every provider is well and has a place, and none counts tokens."""
        for route in self._routes:
            if route.limit is not None or self._room[route] <= 0 or route.breaker.closed_permit is None or route.pushback.active:
                return None
        only = len(self._routes) == 1
        route = self._routes[0] if only else pick(self._credit, {route: route.share for route in self._routes})
        permit = route.breaker.closed_permit
        if permit is None:
            return None
        self._room[route] -= 1
        return SendPermit(self, route, permit)

    def leave(self, route: Route) -> None:
        """Gives the place back; who waits longest gets it."""
        self._room[route] += 1
        self._wake()

    async def _enter(self, excluded: Collection[Route], tokens: int) -> Route:
        """A place and the tokens for it. Within these, the breaker has yet to be asked."""
        spent: dict[Route, float] = {}
        waited = False
        while True:
            usable = [route for route in self._routes if route not in excluded and route.held_s <= 0]
            if not usable:
                self._wake()  # the next that waits for a place finds the same
                raise NoProviderAvailable(self.held_reason, self.defer_s)
            left = [route for route in usable if route not in spent]
            free = [route for route in left or usable if self._room[route] > 0]
            if not free:
                await self._until_room(overtaken=waited)
                waited = True
                continue
            if left:
                route = free[0] if len(free) == 1 else pick(self._credit, {route: route.share for route in free})
            else:
                route = min(free, key=spent.__getitem__)
            self._room[route] -= 1
            try:
                wait_s = await self._take(route, tokens, patient=not left or len(usable) == 1)
            except BaseException:
                self.leave(route)
                raise
            if wait_s <= 0:
                return route
            self.leave(route)
            if not left or len(usable) == 1:
                raise NoProviderAvailable(RATE_LIMITED, wait_s)
            spent[route] = wait_s

    async def _take(self, route: Route, tokens: int, *, patient: bool) -> float:
        """Takes tokens, waiting up to a second where `patient`. Seconds until there are some when there are none; else 0."""
        if route.limit is None:
            return 0.0
        turn = await route.limit.take(tokens, within_s=_MOST_WAIT_S if patient else 0.0)
        if not turn.granted:
            return turn.wait_s
        if turn.wait_s > 0:
            await asyncio.sleep(turn.wait_s)
        return 0.0

    async def _until_room(self, *, overtaken: bool) -> None:
        future = asyncio.get_running_loop().create_future()
        if overtaken:  # it was woken, but another delivery had taken the place: it keeps its turn
            self._waiting.appendleft(future)
        else:
            self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._wake()  # the place that was given to us goes to the next
            raise

    def _wake(self) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return


def may_try_another(error: DeliveryError | None) -> bool:
    """Whether the job may go to another provider in the same attempt: only where this one surely does not have it."""
    return isinstance(error, ProviderUnavailable) and not isinstance(error, OutcomeUnknown)
