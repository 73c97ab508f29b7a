"""How a request's message gets in: one per call, in time, and within what the process may hold.

Every method is served as if its requests were a stream. On the wire that is the same, but the message is read by us and not by grpc.aio,
which waits for it without a deadline, admits it before anything is counted, and answers what does not parse with a Python class name.
Until a message is read, HTTP/2's flow control keeps the client at 64 KiB of it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from google.protobuf.message import DecodeError, Message

from mesh.errors import DeadlineExceeded, InvalidArgument, ResourceExhausted, ServiceError
from mesh.process.memory_budget import MemoryBudget
from mesh.rpc.metadata import address_of
from mesh.rpc.slots import Slots


@dataclass(frozen=True, slots=True)
class ReceiveLimits:
    """A message that is not complete after `quick_s` seconds needs one of a few places, and has to be complete within `deadline_s`.

    The places bound the memory: each may hold one message of the largest size.
    """

    pending: int = 1000
    quick_s: float = 0.1
    deadline_s: float = 10.0
    slow: int = 16
    slow_per_address: int = 4


class Receiver:
    """Reads messages for all calls of a process."""

    def __init__(self, limits: ReceiveLimits, budget: MemoryBudget) -> None:
        self._limits = limits
        self.budget = budget
        self._pending = Slots("unfinished calls", total=limits.pending)
        self._slow = Slots("slow messages", total=limits.slow, per_key=limits.slow_per_address, key="address")

    async def read(self, requests: AsyncIterator[bytes], peer: str) -> bytes:
        """The call's message; its size is taken from the budget, and the caller of this gives it back.

        `peer` is gRPC's name of the connection. Raises InvalidArgument without a message, DeadlineExceeded, ResourceExhausted, Unavailable.
        """
        with self._pending.hold():
            arrival = _Arrival(self._limits, self._slow, address_of(peer))
            messages = aiter(requests)
            try:
                raw = await anext(messages)
            except StopAsyncIteration:
                raise InvalidArgument("the call has no request message", reason="MALFORMED_MESSAGE") from None
            except asyncio.CancelledError:
                arrival.raise_if_late()
                raise
            finally:
                arrival.close()
            if isinstance(messages, AsyncGenerator):
                # grpc.aio's, which stops behind the message and holds it until the collector runs, which is seldom
                await messages.aclose()
        self.budget.take(len(raw))
        return raw


def parse(kind: type[Message], raw: bytes) -> Message:
    """The message. Raises InvalidArgument, naming the type that was expected."""
    try:
        return kind.FromString(raw)
    except DecodeError:
        name = kind.DESCRIPTOR.full_name
        raise InvalidArgument(f"the request is not a {name} in protobuf's binary form", reason="MALFORMED_MESSAGE") from None


class _Arrival:
    """The clock of one message. It interrupts the task that waits when the time is over."""

    def __init__(self, limits: ReceiveLimits, slow: Slots, address: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._limits = limits
        self._slow = slow
        self._address = address
        self._is_slow = False
        self._error: ServiceError | None = None
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(limits.quick_s, self._not_quick)

    def close(self) -> None:
        """The message is here, or is waited for no longer."""
        self._timer.cancel()
        if self._is_slow:
            self._slow.give_back(self._address)

    def raise_if_late(self) -> None:
        """Raises what the interruption stands for, if it came from here."""
        error, self._error = self._error, None
        if error is not None:
            self._task.uncancel()
            try:
                raise error
            finally:
                # the error's traceback holds this frame: without this the two keep each other, and the call with them, until the collector
                # runs, which is seldom (mesh/process/runtime.py), and a client that half-sends calls by the thousand would fill the memory
                del error

    def _not_quick(self) -> None:
        try:
            self._slow.take(self._address)
        except ResourceExhausted as error:
            self._interrupt(error)
            return
        self._is_slow = True
        self._timer = self._loop.call_later(self._limits.deadline_s, self._too_late)

    def _too_late(self) -> None:
        limit = self._limits.quick_s + self._limits.deadline_s
        self._interrupt(DeadlineExceeded(f"the request's message must arrive within {limit:g} s", reason="REQUEST_TIMEOUT"))

    def _interrupt(self, error: ServiceError) -> None:
        self._error = error
        self._task.cancel()
