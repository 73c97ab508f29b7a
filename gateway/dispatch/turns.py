"""What waits in this process for one work queue: each caller gets its turn, and the queue is kept short enough for that to count."""

import math
from collections import deque

from gateway.notifications.models import OutboxItem

_RECENT_S = 1.0  # what a queue has lost since an older look says nothing of its speed

_Queue = deque[tuple[float, OutboxItem]]


class Turns:
    """Jobs of many callers: one of each in turn. A caller's jobs of the backlog, which are older, come before its new ones.

    Each job is ours until a moment on the monotonic clock; then another replica may publish it.
    """

    __slots__ = ("_callers", "_order", "backlog", "count")

    def __init__(self) -> None:
        self._callers: dict[str, tuple[_Queue, _Queue]] = {}
        self._order: deque[str] = deque()
        self.count = 0
        self.backlog = 0

    def add(self, job: OutboxItem, until: float, *, backlog: bool = False) -> None:
        """To be taken before `until`, or dropped."""
        queues = self._callers.get(job.caller)
        if queues is None:
            queues = self._callers[job.caller] = (deque(), deque())
            self._order.append(job.caller)
        queues[not backlog].append((until, job))
        self.count += 1
        self.backlog += backlog

    def take(self, now: float) -> OutboxItem | None:
        """The job whose turn it is; None when there is none that is ours any longer."""
        order = self._order
        while order:
            older, newer = self._callers[order[0]]
            while queue := older or newer:
                until, job = queue.popleft()
                self.count -= 1
                self.backlog -= queue is older
                if until > now:
                    order.rotate(-1)
                    return job
            del self._callers[order.popleft()]
        return None

    def prune(self, now: float) -> None:
        """Drops those that are not ours any longer."""
        for older, newer in self._callers.values():
            for queue in (older, newer):
                while queue and queue[0][0] <= now:
                    queue.popleft()
                    self.count -= 1
                    self.backlog -= queue is older

    def clear(self) -> None:
        """Drops all."""
        self._callers.clear()
        self._order.clear()
        self.count = self.backlog = 0


class Capacity:
    """How many envelopes a queue may still get before its depth has to be read again.

    What it has lost since the last look is granted on top: a queue that is emptied fast gets more, so that its workers never starve.
    """

    __slots__ = ("_confirmed", "_depth", "_least", "_most", "left", "looked_at")

    def __init__(self, most: float) -> None:
        self._most = most
        self._least = 0 if math.isinf(most) else most // 4
        self._confirmed = 0
        self._depth = 0
        self.left = most
        self.looked_at = -math.inf

    @property
    def low(self) -> bool:
        """Whether it is time to look."""
        return self.left <= self._least

    def confirmed(self) -> None:
        """The queue has got an envelope."""
        self._confirmed += 1

    def update(self, depth: int, *, in_flight: int, now: float) -> None:
        """The queue has just had this depth, while `in_flight` envelopes were on their way to it."""
        recent = now - self.looked_at < _RECENT_S
        lost = max(0, self._confirmed - (depth - self._depth)) if recent else 0
        self.left = max(0, self._most - depth - in_flight + lost)
        self._confirmed, self._depth, self.looked_at = 0, depth, now

    def unknown(self, now: float) -> None:
        """The depth is unknown: rather out of turn than not at all."""
        self.left = self._most
        self._confirmed, self._depth, self.looked_at = 0, 0, now
