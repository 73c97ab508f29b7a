"""What was used last, up to a total weight."""

from collections import OrderedDict
from typing import Generic, TypeVar

# An entry costs memory even when it is short.
MIN_WEIGHT = 500

K = TypeVar("K")
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """Keeps what was used last, up to a total weight."""

    def __init__(self, max_weight: int, min_weight: int = MIN_WEIGHT) -> None:
        self._max_weight = max_weight
        self._min_weight = min_weight
        self._weight = 0
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def find(self, key: K) -> V | None:
        """The entry, which becomes the last to go; None when it is not kept."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, weight: int) -> list[K]:
        """Keeps the entry, even one that is heavier than all that may be kept, until the next comes. Returns the keys that had to go."""
        self.drop(key)
        weight = max(weight, self._min_weight)
        gone: list[K] = []
        while self._entries and self._weight + weight > self._max_weight:
            old, (_, old_weight) = self._entries.popitem(last=False)
            self._weight -= old_weight
            gone.append(old)
        self._entries[key] = (value, weight)
        self._weight += weight
        return gone

    def drop(self, key: K) -> V | None:
        """Forgets the entry, and returns it if there was one."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        self._weight -= entry[1]
        return entry[0]

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def kept(self) -> list[K]:
        """All keys, the first to go first."""
        return list(self._entries)
