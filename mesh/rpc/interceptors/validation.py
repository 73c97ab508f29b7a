"""The schema's field rules, before the handler."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from google.protobuf.message import Message

from mesh.rpc.calls import ServerCall
from mesh.rpc.validation import validate


class ValidationInterceptor:
    """Refuses a request that breaks its schema's rules. Of a stream of requests it ends the stream, once those before are answered."""

    @asynccontextmanager
    async def around(self, call: ServerCall) -> AsyncIterator[None]:
        """Raises InvalidArgument with every breach."""
        if isinstance(call.request, Message):
            validate(call.request)
        else:
            call.request = _valid(call.request)
        yield


async def _valid(requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
    async for request in requests:
        validate(request)
        yield request
