"""All RPCs of a process behind one chain of interceptors, whether they arrive over gRPC or from the REST edge beside it."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from clarion.options.v1 import options_pb2
from mesh import context
from mesh.context import CallContext, CallerKind
from mesh.correlation import CORRELATION_ID
from mesh.deadline import Deadline
from mesh.errors import ServiceError, Unimplemented
from mesh.rpc.calls import ServerCall, ServerInterceptor
from mesh.rpc.metadata import write_idempotency_key
from mesh.rpc.methods import Method, methods_of
from mesh.rpc.settings import CallLimits
from mesh.rpc.slots import Slots
from mesh.rpc.streams import OpenStreams

# what a forwarded call takes along; everything else is the edge's own business
_FORWARDED = ("authorization", "accept-language")
_KEY = "idempotency-key"

Unary = Callable[[Message], Awaitable[Message]]
Stream = Callable[[Message | AsyncIterator[Message]], AsyncIterator[Message]]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with the response headers that the handler set."""

    message: Message
    headers: Sequence[tuple[str, str]]


class Dispatcher:
    """Binds handlers to methods at start-up. Raises PolicyMissing there for a method without policy."""

    def __init__(self, chain: Sequence[ServerInterceptor]) -> None:
        self._chain = tuple(chain)
        self.limit_to(CallLimits())
        self._methods: dict[str, Method] = {}
        self._unary: dict[str, Unary] = {}
        self._stream: dict[str, Stream] = {}
        self.service_names: list[str] = []

    def limit_to(self, limits: CallLimits) -> None:
        """Sets how much may be in hand at once, before the first call."""
        self._calls = Slots("calls", total=limits.calls)
        # half for each caller, strangers together being one: no caller fills the process alone
        self._calls_of = Slots("calls", total=limits.calls, per_key=max(1, limits.calls // 2))
        self._streams = OpenStreams(limits)

    @property
    def methods(self) -> Mapping[str, Method]:
        """Every bound method by gRPC's path."""
        return self._methods

    def add(self, service: ServiceDescriptor, servicer: Any) -> None:
        """Binds a servicer's methods. They get None in place of gRPC's context: `mesh.context.current()` serves both doors."""
        for name, method in methods_of(service).items():
            handler = getattr(servicer, method.name)
            if method.server_streaming:
                self._stream[name] = _bind(handler)
            else:
                self._unary[name] = _bind(handler)
            self._methods[name] = method
        self.service_names.append(service.full_name)

    def add_remote(self, service: ServiceDescriptor, channel: grpc.aio.Channel) -> None:
        """Binds another process's unary methods: calls are forwarded in the name of their caller. Internal methods are left out."""
        for name, method in methods_of(service).items():
            if method.server_streaming or method.access == options_pb2.ACCESS_INTERNAL:
                continue
            self._unary[name] = _forward(method, channel)
            self._methods[name] = method
        self.service_names.append(service.full_name)

    def override(self, full_name: str, handler: Callable[[Any, None], Awaitable[Message]]) -> None:
        """Serves one unary method of a bound service here instead, under the same policy. Raises KeyError when it is not bound."""
        if full_name not in self._unary:
            raise KeyError(full_name)
        self._unary[full_name] = _bind(handler)

    def decorate(self, wrap: Callable[[Method, Unary], Unary]) -> None:
        """Wraps the handler of every unary method that is bound by now: for what needs the answer, which no interceptor sees."""
        for name, handler in self._unary.items():
            self._unary[name] = wrap(self._methods[name], handler)

    async def unary(self, full_name: str, request: Message, *, metadata: Mapping[str, str], timeout_s: float | None = None) -> Reply:
        """Serves one call. Raises ServiceError only, with the headers set so far."""
        handler = self._unary.get(full_name)
        if handler is None:
            raise Unimplemented("there is no such method")
        call = self._call(self._methods[full_name], request, metadata, timeout_s)
        with self._calls.hold(), context.use(call.context):
            try:
                return Reply(await self._within(0, call, partial(handler, request)), call.context.headers)
            except ServiceError as error:
                error.headers = tuple(call.context.headers)
                raise

    async def _within(self, depth: int, call: ServerCall, handler: Callable[[], Awaitable[Message]]) -> Message:
        """The handler inside the chain from `depth` on. Recursion, since an exit stack costs twice as much as all it holds."""
        if depth == len(self._chain):
            caller = context.current().caller
            if caller.kind is CallerKind.SERVICE:  # speaks for many callers
                return await handler()
            with self._calls_of.hold(caller.id):
                return await handler()
        async with self._chain[depth].around(call):
            return await self._within(depth + 1, call, handler)
        raise AssertionError("unreachable: an interceptor swallowed an error")

    async def stream(
        self,
        full_name: str,
        request: Message | AsyncIterator[Message],
        *,
        metadata: Mapping[str, str],
        timeout_s: float | None = None,
    ) -> AsyncIterator[Message]:
        """Serves one server-streaming call; `request` is an iterator where the method takes a stream. Raises ServiceError only."""
        handler = self._stream.get(full_name)
        if handler is None:
            raise Unimplemented("there is no such method")
        method = self._methods[full_name]
        call = self._call(method, request, metadata, timeout_s)
        context.enter(call.context)
        async with AsyncExitStack() as stack:
            stack.enter_context(self._streams.place(upload=method.client_streaming))
            for interceptor in self._chain:
                await stack.enter_async_context(interceptor.around(call))
            async with aclosing(self._streams.run(handler(call.request), context.current().caller, call.prove_again)) as messages:
                async for message in messages:
                    yield message

    def end_streams(self) -> None:
        """Ends all streams, and those that are asked for later, with UNAVAILABLE: their clients connect to another replica."""
        self._streams.end()

    @staticmethod
    def _call(
        method: Method, request: Message | AsyncIterator[Message], metadata: Mapping[str, str], timeout_s: float | None
    ) -> ServerCall:
        limits = [limit for limit in (timeout_s, method.deadline_s or None) if limit is not None]
        served = CallContext(
            method=method.full_name,
            correlation_id=metadata.get(CORRELATION_ID) or uuid.uuid4().hex,
            deadline=Deadline.after(min(limits)) if limits else None,
            metadata=metadata,
        )
        return ServerCall(method, request, metadata, served)


def _bind(handler: Callable[[Any, None], Any]) -> Callable[[Any], Any]:
    return lambda request: handler(request, None)


def _forward(method: Method, channel: grpc.aio.Channel) -> Unary:
    remote = channel.unary_unary(
        method.full_name,
        request_serializer=method.request_type.SerializeToString,
        response_deserializer=method.response_type.FromString,
    )

    async def forward(request: Message) -> Message:
        served = context.current()
        metadata = [(key, served.metadata[key]) for key in _FORWARDED if key in served.metadata]
        if _KEY in served.metadata:
            # the owner remembers its answer, too, which may be lost on its way to us
            metadata.append((_KEY, write_idempotency_key(served.metadata[_KEY])))
        response: Message = await remote(request, metadata=metadata)
        return response

    return forward
