"""From gRPC's calls to the dispatcher: a request or a stream in, a response or a stream out, every refusal as google.rpc.Status."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import Message

from mesh.correlation import CORRELATION_ID, with_correlation_id
from mesh.errors import NotFound, ServiceError
from mesh.rpc.dispatcher import Dispatcher, Reply
from mesh.rpc.metadata import CLIENT_ADDRESS, address_of, read_metadata
from mesh.rpc.methods import Method
from mesh.rpc.receiving import Receiver, parse
from mesh.rpc.slots import Slots
from mesh.rpc.status import to_status

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_DETAILS = "grpc-status-details-bin"
# How many tries of the call there were before, by gRPC's own retries (gRFC A6).
_TRIES_BEFORE = "grpc-previous-rpc-attempts"

Rpc: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Requests: TypeAlias = AsyncIterator[bytes]


class Handlers:
    """Makes gRPC's handlers. `streams` are the places of server streams, by connection."""

    def __init__(self, dispatcher: Dispatcher, receiver: Receiver, streams: Slots) -> None:
        self._dispatcher = dispatcher
        self._receiver = receiver
        self._streams = streams

    def method(self, method: Method) -> "grpc.RpcMethodHandler[Any, Any]":
        """The handler of one method; see mesh.rpc.receiving for why its requests are a stream."""
        make = grpc.stream_stream_rpc_method_handler if method.server_streaming else grpc.stream_unary_rpc_method_handler
        behaviour: Any = self._streaming(method) if method.server_streaming else self._unary(method)
        return make(behaviour, request_deserializer=None, response_serializer=method.response_type.SerializeToString)

    def _unary(self, method: Method) -> Any:
        async def handle(requests: Requests, rpc: Rpc) -> Message:
            metadata, held = _metadata(rpc), 0
            try:
                metadata.update(_rest_of_metadata(rpc))
                raw = await self._receiver.read(requests, rpc.peer())
                held = len(raw)
                request = parse(method.request_type, raw)
                reply = await self._dispatcher.unary(method.full_name, request, metadata=metadata, timeout_s=rpc.time_remaining())
            except NotFound as error:
                if not (_removes(method) and metadata.get(_TRIES_BEFORE, "0") != "0"):
                    await abort_with(rpc, error, metadata)
                    raise
                # by a try before, of which the answer was lost
                reply = Reply(method.response_type(), error.headers)
            except ServiceError as error:
                await abort_with(rpc, error, metadata)
                raise
            finally:
                self._receiver.budget.give_back(held)
            rpc.set_trailing_metadata(((CORRELATION_ID, metadata[CORRELATION_ID]), *reply.headers))
            return reply.message

        return handle

    def _streaming(self, method: Method) -> Any:
        async def handle(requests: Requests, rpc: Rpc) -> AsyncIterator[Message]:
            metadata = _metadata(rpc)
            try:
                with self._streams.hold(rpc.peer()):
                    metadata.update(_rest_of_metadata(rpc))
                    request = self._each(method, requests) if method.client_streaming else await self._request(method, requests, rpc)
                    messages = self._dispatcher.stream(method.full_name, request, metadata=metadata, timeout_s=rpc.time_remaining())
                    # at once, since a stream's trailers come only with its end
                    correlation = ((CORRELATION_ID, metadata[CORRELATION_ID]),)
                    await rpc.send_initial_metadata(correlation)
                    rpc.set_trailing_metadata(correlation)
                    async for message in messages:
                        yield message
            except ServiceError as error:
                await abort_with(rpc, error, metadata)
                raise

        return handle

    async def _each(self, method: Method, requests: Requests) -> AsyncIterator[Message]:
        """The messages of a stream. They are read as the handler asks for them, once its caller is known; between two it may be silent."""
        async for raw in requests:
            self._receiver.budget.take(len(raw))
            try:
                yield parse(method.request_type, raw)
            finally:
                self._receiver.budget.give_back(len(raw))

    async def _request(self, method: Method, requests: Requests, rpc: Rpc) -> Message:
        raw = await self._receiver.read(requests, rpc.peer())
        try:
            return parse(method.request_type, raw)
        finally:
            self._receiver.budget.give_back(len(raw))


def _removes(method: Method) -> bool:
    """Whether all that its answer says is that something is no more."""
    return method.idempotent and method.name.startswith("Delete") and not method.response_type.DESCRIPTOR.fields


def _metadata(rpc: Rpc) -> dict[str, str]:
    """The correlation id first: a refusal of the rest carries it too."""
    given = {key: value for key, value in rpc.invocation_metadata() or () if key == CORRELATION_ID and isinstance(value, str)}
    return with_correlation_id(given)


def _rest_of_metadata(rpc: Rpc) -> dict[str, str]:
    """What the caller has sent, and the address that the call comes from, which no caller sets. Raises InvalidArgument."""
    return {**read_metadata(rpc.invocation_metadata() or ()), CLIENT_ADDRESS: address_of(rpc.peer())}


async def abort_with(rpc: Rpc, error: ServiceError, metadata: Mapping[str, str] | None = None) -> None:
    """Ends the call with the error as its caller gets it."""
    correlation_id = (metadata or _metadata(rpc))[CORRELATION_ID]
    trailers = ((CORRELATION_ID, correlation_id), *error.headers, (_DETAILS, to_status(error).SerializeToString()))
    await rpc.abort(_CODES[error.code.value], error.message, trailing_metadata=trailers)
