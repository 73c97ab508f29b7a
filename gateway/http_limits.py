"""What a client of the REST door may hold of this process, and which connections there are."""

import ipaddress
from collections import Counter
from dataclasses import dataclass
from typing import Protocol, Self

from mesh.process.memory_budget import MemoryBudget
from mesh.process.settings import Env


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Sizes in bytes, times in seconds. `head_s` and `body_s` are for the whole head or body: a byte now and then does not extend them.

    `write_s` is how long a client may leave a response unread.
    """

    head_bytes: int = 32 * 1024
    header_count: int = 100
    head_s: float = 10.0
    body_s: float = 30.0
    idle_s: float = 75.0  # longer than the idle time of the usual load balancers, which would otherwise send into a connection being closed
    write_s: float = 30.0
    pipelined: int = 16
    connections: int = 2000
    connections_per_address: int = 500

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """The number of requests that may wait on one connection is fixed: no client of today sends that way."""
        return cls(
            head_bytes=env.integer("CLARION_HTTP_HEAD_BYTES", 32 * 1024, minimum=1024, maximum=1024 * 1024),
            header_count=env.integer("CLARION_HTTP_HEADER_COUNT", 100, minimum=10, maximum=10_000),
            head_s=env.number("CLARION_HTTP_HEAD_S", 10, minimum=0.1, maximum=3600),
            body_s=env.number("CLARION_HTTP_BODY_S", 30, minimum=0.1, maximum=3600),
            idle_s=env.number("CLARION_HTTP_IDLE_S", 75, minimum=0.1, maximum=3600),
            write_s=env.number("CLARION_HTTP_WRITE_S", 30, minimum=0.1, maximum=3600),
            connections=env.integer("CLARION_HTTP_CONNECTIONS", 2000, minimum=1, maximum=1_000_000),
            connections_per_address=env.integer("CLARION_HTTP_CONNECTIONS_PER_ADDRESS", 500, minimum=1, maximum=1_000_000),
        )


def address_group(address: str) -> str:
    """What counts as one address: an IPv4 address, or the 64 bits of an IPv6 network that one client usually has to itself."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    return str(parsed.ipv4_mapped or ipaddress.IPv6Address(int(parsed) >> 64 << 64))


class Connection(Protocol):
    """One client's connection."""

    def evict(self) -> None:
        """Closes it at once."""


class Connections:
    """The open connections. When there is no room, the one that has waited longest for a request makes room.

    So clients that only hold connections open can't keep out those that use them: an idle one, or one with an unfinished head, is worth
    less than a new one. An address at its own limit gives up one of its own.
    """

    def __init__(self, limits: HttpLimits, budget: MemoryBudget) -> None:
        self.limits = limits
        self.budget = budget
        self._addresses: dict[Connection, str] = {}
        self._per_address: Counter[str] = Counter()
        self._waiting: dict[str, dict[Connection, None]] = {}  # by address, the longest waiting first
        self._order: dict[Connection, None] = {}  # the same connections whatever their address

    def __len__(self) -> int:
        return len(self._addresses)

    def add(self, connection: Connection, address: str) -> bool:
        """Whether there is room, if need be in place of a connection that waits. It counts in either case until `remove`."""
        own_full = self._per_address[address] >= self.limits.connections_per_address
        full = len(self._addresses) >= self.limits.connections
        self._addresses[connection] = address
        self._per_address[address] += 1
        if not (own_full or full):
            return True
        victims = self._waiting.get(address, {}) if own_full else self._order
        victim = next(iter(victims), None)
        if victim is None:
            return False
        self.busy(victim)
        victim.evict()
        return True

    def remove(self, connection: Connection) -> None:
        """The connection is closed."""
        self.busy(connection)
        address = self._addresses.pop(connection)
        self._per_address[address] -= 1
        if not self._per_address[address]:
            del self._per_address[address]

    def waits(self, connection: Connection) -> None:
        """The connection has no complete request in hand."""
        self._order[connection] = None
        self._waiting.setdefault(self._addresses[connection], {})[connection] = None

    def busy(self, connection: Connection) -> None:
        """The connection has a request in hand, or is being closed."""
        if connection not in self._order:
            return
        del self._order[connection]
        address = self._addresses[connection]
        own = self._waiting[address]
        del own[connection]
        if not own:
            del self._waiting[address]
