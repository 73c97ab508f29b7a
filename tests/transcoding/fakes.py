"""A dispatcher by hand: it answers what a test tells it to and keeps what it was asked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from mesh.rpc.dispatcher import Reply
from mesh.rpc.methods import Method, methods_of


@dataclass(frozen=True)
class Call:
    """One call that arrived. Its request and metadata are kept as they came."""

    name: str
    request: Any
    metadata: Mapping[str, str]
    timeout_s: float | None


class FakeInvoker:
    """Serves the methods of the services: by a handler where the test has set one, else with an empty response."""

    def __init__(self, *services: ServiceDescriptor) -> None:
        self.methods: dict[str, Method] = {name: method for service in services for name, method in methods_of(service).items()}
        self.reset()

    def reset(self) -> None:
        """Forgets what a test has set and seen."""
        self.calls: list[Call] = []
        self.handlers: dict[str, Callable[[Any], Awaitable[Message]]] = {}
        self.streams: dict[str, Callable[[Any], AsyncIterator[Message]]] = {}
        self.headers: list[tuple[str, str]] = []
        self.ended = asyncio.Event()

    @property
    def call(self) -> Call:
        """The only call."""
        (call,) = self.calls
        return call

    async def unary(self, full_name: str, request: Message, *, metadata: Mapping[str, str], timeout_s: float | None = None) -> Reply:
        """Answers by the method's handler; sets `ended` when a handler is done, whatever the way."""
        method = self.methods[full_name]
        self.calls.append(Call(method.name, request, metadata, timeout_s))
        handler = self.handlers.get(method.name)
        if handler is None:
            return Reply(method.response_type(), self.headers)
        try:
            return Reply(await handler(request), self.headers)
        finally:
            self.ended.set()

    async def stream(
        self, full_name: str, request: Message | AsyncIterator[Message], *, metadata: Mapping[str, str], timeout_s: float | None = None
    ) -> AsyncIterator[Message]:
        """Answers by the method's stream; sets `ended` when it is done, whatever the way."""
        method = self.methods[full_name]
        self.calls.append(Call(method.name, request, metadata, timeout_s))
        try:
            async for message in self.streams[method.name](request):
                yield message
        finally:
            self.ended.set()


class FakeReadiness:
    """Ready or not, as a test says."""

    def __init__(self) -> None:
        self.ready = True
        self.alive = True

    def report(self) -> Mapping[str, bool]:
        """One dependency."""
        return {"database": self.ready}
