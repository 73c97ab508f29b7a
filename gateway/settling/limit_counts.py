"""Taking back what a notification counts for the limit of its category, where it has ended unsent.

user_svc counts before the provider is called. Else a person whose mails all expire while their provider is away would have had "enough"
without having got one.
"""

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol

import grpc.aio

from clarion.user.v1.recipient_service_pb2 import BatchUncountNotificationsRequest
from clarion.user.v1.recipient_service_pb2_grpc import RecipientServiceStub
from gateway.notifications.models import Unsent
from mesh.resilience.periodic import Periodic

_AT_ONCE = 100
_MOST_WAITING = 10_000
_INTERVAL_S, _RETRY_S = 60.0, 5.0


class Budget(Protocol):
    """Something that accepting or sending takes of a person's share."""

    def give_back(self, unsent: Sequence[Unsent]) -> None:
        """Gives back what these notifications took of it, in the background."""


class Budgets:
    """All of them."""

    def __init__(self, *budgets: Budget) -> None:
        self._budgets = budgets

    def give_back(self, unsent: Sequence[Unsent]) -> None:
        """Returns at once."""
        if unsent:
            for one in self._budgets:
                one.give_back(unsent)


class LimitCounts:
    """Gives back in the background, also later where user_svc is away. What a crash keeps from it counts until its window is over."""

    def __init__(self, channel: grpc.aio.Channel, *, retry_s: float = _RETRY_S) -> None:
        self._stub: Any = RecipientServiceStub(channel)
        self._waiting: deque[Unsent] = deque(maxlen=_MOST_WAITING)
        self._work = Periodic("limits.uncount", self._give_all_back, interval_s=_INTERVAL_S, retry_s=retry_s, at_once=False)

    def start(self) -> None:
        """Begins to give back."""
        self._work.start()

    async def close(self) -> None:
        """Gives up what still waits."""
        await self._work.close()

    def give_back(self, unsent: Sequence[Unsent]) -> None:
        """Returns at once."""
        self._waiting.extend(unsent)
        self._work.wake()

    async def _give_all_back(self) -> None:
        """Raises ServiceError while user_svc is away; the next run goes on."""
        while part := list(islice(self._waiting, _AT_ONCE)):
            request = BatchUncountNotificationsRequest(
                notification_ids=[str(one.id) for one in part], user_ids=[str(one.user_id) for one in part]
            )
            await self._stub.BatchUncountNotifications(request)
            done = set(part)
            while self._waiting and self._waiting[0] in done:
                self._waiting.popleft()
