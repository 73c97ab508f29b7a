"""What the library asks of the RPC side: the methods, and something that serves them. `mesh.rpc.dispatcher.Dispatcher` fits, or a fake."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message


class RpcMethod(Protocol):
    """One RPC, with what the library needs to know of it beyond its descriptor."""

    @property
    def full_name(self) -> str:
        """The path of gRPC, such as `/library.v1.Books/GetBook`."""

    @property
    def name(self) -> str:
        """The method's own name."""

    @property
    def request_type(self) -> type[Message]:
        """The class of its requests."""

    @property
    def client_streaming(self) -> bool:
        """Whether it takes a stream."""

    @property
    def server_streaming(self) -> bool:
        """Whether it answers with a stream."""

    @property
    def success_status(self) -> int:
        """HTTP status of a success."""

    @property
    def descriptor(self) -> MethodDescriptor:
        """The method in the schema, with the options that the schema gave it."""


class RpcReply(Protocol):
    """An answer."""

    @property
    def message(self) -> Message:
        """The response."""

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """Response headers that the handler has set."""


class Invoker(Protocol):
    """What serves the calls."""

    @property
    def methods(self) -> Mapping[str, RpcMethod]:
        """Every method by its full name."""

    async def unary(self, full_name: str, request: Message, *, metadata: Mapping[str, str], timeout_s: float | None = None) -> RpcReply:
        """Serves one call. Raises ServiceError only."""

    def stream(
        self,
        full_name: str,
        request: Message | AsyncIterator[Message],
        *,
        metadata: Mapping[str, str],
        timeout_s: float | None = None,
    ) -> AsyncIterator[Message]:
        """Serves one server-streaming call; `request` is an iterator where the method takes a stream. Raises ServiceError only."""
