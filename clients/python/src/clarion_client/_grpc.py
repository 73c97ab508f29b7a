"""Calls over gRPC, from the schema that the package ships. Needs the extra `clarion-client[grpc]`."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from clarion_client._calls import Call, Options
from clarion_client._enums import long_enums, short_enums
from clarion_client.errors import ClarionError, ConnectionFailed, InvalidRequest, Timeout, from_status

try:
    import grpc
    import grpc.aio
    from google.protobuf import descriptor_pb2, json_format
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message_factory import GetMessageClass
    from google.rpc import error_details_pb2, status_pb2
except ImportError as error:  # pragma: no cover  the environment without the extra has a test of its own
    raise ImportError("gRPC needs an extra: pip install 'clarion-client[grpc]'") from error

_DETAILS = "grpc-status-details-bin"
_CORRELATION_ID = "x-correlation-id"
# Of a connection that is half open nothing is heard: it is asked every 20 s while a call runs, and given up 10 s later. gRPC's core (1.78)
# goes by the time for pings, which is a minute by default, and not by that for keepalive.
_ALIVE = (("grpc.keepalive_time_ms", 20_000), ("grpc.keepalive_timeout_ms", 10_000), ("grpc.http2.ping_timeout_ms", 10_000))
_UPLOADED = 200  # items of one message: the more, the less each costs


@cache
def _pool() -> Any:
    pool = DescriptorPool()
    described = descriptor_pb2.FileDescriptorSet.FromString(files("clarion_client").joinpath("schema.binpb").read_bytes())
    for file in described.file:
        pool.Add(file)
    # what stands in the errors of single items, which the schema does not name
    details = descriptor_pb2.FileDescriptorProto()
    error_details_pb2.DESCRIPTOR.CopyToProto(details)
    pool.Add(details)
    return pool


class _Method:
    """A method's messages, from and to JSON as the REST edge spells it."""

    def __init__(self, call: Call) -> None:
        service, name = call.rpc.strip("/").split("/")
        method = _pool().FindServiceByName(service).methods_by_name[name]
        self.call = call
        self._input, self._output = method.input_type, method.output_type
        self.request = GetMessageClass(method.input_type)
        self.response = GetMessageClass(method.output_type)

    def build(self, fields: Mapping[str, Any]) -> Any:
        """The request. Raises InvalidRequest for a field that it does not have, and for a value that it can't hold."""
        try:
            return json_format.ParseDict(long_enums(self._input, dict(fields)), self.request(), descriptor_pool=_pool())
        except (json_format.ParseError, UnicodeError) as error:
            raise InvalidRequest(f"the request can't be written: {error}", reason="INVALID_ARGUMENT") from None

    def answers(self, message: Any) -> Any:
        """The JSON of each answer in a response of an upload."""
        data = json_format.MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=_pool())
        return short_enums(self._output, data).get(self.call.answer, ())

    def read(self, message: Any) -> Any:
        """The JSON of the answer."""
        data = json_format.MessageToDict(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, descriptor_pool=_pool()
        )
        short = short_enums(self._output, data)
        return short.get(self.call.answer, {}) if self.call.answer else short


class _Groups:
    """The items of an upload in messages. What goes wrong with an item is kept, since gRPC would hide it: the stream ends there."""

    def __init__(self, method: _Method, items: Iterator[Any]) -> None:
        self._method = method
        self._items = items
        self._problem: Exception | None = None

    def requests(self) -> Iterator[Any]:
        try:
            while group := list(itertools.islice(self._items, _UPLOADED)):
                yield self._method.build({self._method.call.body: group})
        except Exception as error:  # noqa: BLE001  raised once the items before are answered
            self._problem = error

    def check(self) -> None:
        """Raises what went wrong, such as InvalidRequest for a field that an item does not have."""
        if self._problem is not None:
            raise self._problem


@cache
def _method(call: Call) -> _Method:
    return _Method(call)


class GrpcTransport:
    """One channel to one target, such as `clarion.example.com:9000`."""

    def __init__(self, target: str, headers: Mapping[str, str], *, tls: bool) -> None:
        secure = grpc.ssl_channel_credentials() if tls else None
        self._channel = grpc.secure_channel(target, secure, _ALIVE) if secure else grpc.insecure_channel(target, _ALIVE)
        self._headers = _metadata(headers)

    def unary(self, call: Call, fields: Mapping[str, Any], options: Options, timeout_s: float) -> Any:
        """The JSON of the answer. Raises ClarionError."""
        method = _method(call)
        invoke = self._channel.unary_unary(call.rpc, method.request.SerializeToString, method.response.FromString)
        try:
            return method.read(invoke(method.build(fields), timeout=timeout_s, metadata=(*self._headers, *_options(options))))
        except grpc.RpcError as error:
            raise _failure(error) from error

    def stream(self, call: Call, fields: Mapping[str, Any], options: Options) -> Iterator[Any]:
        """The JSON of each message. Raises ClarionError."""
        method = _method(call)
        invoke = self._channel.unary_stream(call.rpc, method.request.SerializeToString, method.response.FromString)
        running = invoke(method.build(fields), metadata=(*self._headers, *_options(options)))
        try:
            for message in running:
                yield method.read(message)
        except grpc.RpcError as error:
            raise _failure(error) from error
        finally:
            running.cancel()

    def upload(self, call: Call, items: Iterator[Any], options: Options) -> Iterator[Any]:
        """The JSON of the answer to each item, in order. Raises ClarionError."""
        method = _method(call)
        invoke = self._channel.stream_stream(call.rpc, method.request.SerializeToString, method.response.FromString)
        groups = _Groups(method, items)
        running = invoke(groups.requests(), metadata=(*self._headers, *_options(options)))
        try:
            for message in running:
                yield from method.answers(message)
        except grpc.RpcError as error:
            groups.check()
            raise _failure(error) from error
        finally:
            running.cancel()
        groups.check()

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()


class AsyncGrpcTransport:
    """The same for asyncio."""

    def __init__(self, target: str, headers: Mapping[str, str], *, tls: bool) -> None:
        self._open: Callable[[], Any] = lambda: (
            grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), _ALIVE) if tls else grpc.aio.insecure_channel(target, _ALIVE)
        )
        self._opened: Any = None
        self._headers = _metadata(headers)

    @property
    def _channel(self) -> Any:
        # opened on first use, since it belongs to the running event loop
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    async def unary(self, call: Call, fields: Mapping[str, Any], options: Options, timeout_s: float) -> Any:
        """The JSON of the answer. Raises ClarionError."""
        method = _method(call)
        invoke = self._channel.unary_unary(call.rpc, method.request.SerializeToString, method.response.FromString)
        try:
            return method.read(await invoke(method.build(fields), timeout=timeout_s, metadata=(*self._headers, *_options(options))))
        except grpc.RpcError as error:
            raise _failure(error) from error

    async def stream(self, call: Call, fields: Mapping[str, Any], options: Options) -> AsyncIterator[Any]:
        """The JSON of each message. Raises ClarionError."""
        method = _method(call)
        invoke = self._channel.unary_stream(call.rpc, method.request.SerializeToString, method.response.FromString)
        running = invoke(method.build(fields), metadata=(*self._headers, *_options(options)))
        try:
            async for message in running:
                yield method.read(message)
        except grpc.RpcError as error:
            raise _failure(error) from error
        finally:
            running.cancel()

    async def upload(self, call: Call, items: Iterator[Any], options: Options) -> AsyncIterator[Any]:
        """The JSON of the answer to each item, in order. Raises ClarionError."""
        method = _method(call)
        invoke = self._channel.stream_stream(call.rpc, method.request.SerializeToString, method.response.FromString)
        groups = _Groups(method, items)
        running = invoke(groups.requests(), metadata=(*self._headers, *_options(options)))
        try:
            async for message in running:
                for answer in method.answers(message):
                    yield answer
        except grpc.RpcError as error:
            groups.check()
            raise _failure(error) from error
        finally:
            running.cancel()
        groups.check()

    async def close(self) -> None:
        """Closes the channel."""
        if self._opened is not None:
            await self._opened.close()


def _metadata(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in headers.items())


def _options(options: Options) -> tuple[tuple[str, str], ...]:
    key = (("idempotency-key", options.key),) if options.key else ()
    return (*_metadata(options.headers), *key)


def _failure(error: Any) -> ClarionError:
    trailing = {key: value for key, value in error.trailing_metadata() or ()}
    correlation_id = str(trailing.get(_CORRELATION_ID, ""))
    details = trailing.get(_DETAILS)
    if details:
        status = json_format.MessageToDict(status_pb2.Status.FromString(details), preserving_proto_field_name=True)
        return from_status(status, correlation_id=correlation_id)
    code: grpc.StatusCode = error.code()
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Timeout("the server did not answer in time", code=code.value[0])
    if code is grpc.StatusCode.UNAVAILABLE:
        return ConnectionFailed(f"the server was not reached: {error.details()}", code=code.value[0])
    status = {"code": code.value[0], "message": error.details()}
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        # gRPC's own, at either end, and about the size of a message: Clarion's come with details
        status["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "MESSAGE_TOO_LARGE", "domain": "grpc"}]
    return from_status(status, correlation_id=correlation_id)
