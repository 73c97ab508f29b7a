"""What was sent in a stream of items and is not answered yet, so that a stream that breaks off can be resumed."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from clarion_client import _values as v
from clarion_client.errors import ConnectionFailed


class Sending:
    """The items of one upload. An item without a `request_id` gets one, under which the server knows it when it is sent again."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._source = iter(items)
        self._waiting: deque[Any] = deque()
        # of grpcio, which reads the items in a thread of its own, also of a stream that has just broken off
        self._lock = threading.Lock()
        self._turn = 0
        self._exhausted = False

    @property
    def done(self) -> bool:
        """Whether all were answered."""
        return self._exhausted and not self._waiting

    def answered(self) -> None:
        """The first of those that wait has its answer."""
        self._waiting.popleft()

    def check_ended(self) -> None:
        """Raises ConnectionFailed where the server has ended the stream before all were answered."""
        if not self.done:
            raise ConnectionFailed("the stream ended before all items were answered")

    def items(self) -> Iterator[Any]:
        """Those that wait, then those that were not sent yet. It takes the place of the iterator before."""
        with self._lock:
            self._turn += 1
            turn, again = self._turn, list(self._waiting)
        yield from again
        while True:
            with self._lock:
                if turn != self._turn or self._exhausted:
                    return
                try:
                    item = v.encode(next(self._source))
                except StopIteration:
                    self._exhausted = True
                    return
                if not item.get("request_id"):
                    item["request_id"] = str(uuid.uuid4())
                self._waiting.append(item)
            yield item
