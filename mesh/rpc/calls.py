"""What interceptors see of a call, on either side of the wire."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from google.protobuf.message import Message

from mesh.context import CallContext
from mesh.rpc.methods import Method


@dataclass(slots=True)
class ServerCall:
    """A call that came in. `request` is an iterator where the method takes a stream; `context` is replaced as more is known.

    `prove_again` checks the caller's credential and rights once more; None where the call needs none. A stream outlives the first check.
    """

    method: Method
    request: Message | AsyncIterator[Message]
    metadata: Mapping[str, str]
    context: CallContext
    prove_again: Callable[[], Awaitable[object]] | None = None


@dataclass(slots=True)
class ClientCall:
    """A call that goes out. Interceptors fill in `metadata` (lower-case keys) and `timeout_s`."""

    method: Method
    target: str
    timeout_s: float | None = None
    metadata: dict[str, str] = field(default_factory=dict)


class ServerInterceptor(Protocol):
    """One concern around every incoming call, unary or streaming: what it does before, and after the last message or the error."""

    def around(self, call: ServerCall) -> AbstractAsyncContextManager[None]:
        """Surrounds the call; may raise ServiceError to refuse it, or replace an error on its way out."""


class ClientInterceptor(Protocol):
    """One concern around every outgoing call."""

    def around(self, call: ClientCall) -> AbstractAsyncContextManager[None]:
        """Surrounds the call; sees failures as ServiceError."""
