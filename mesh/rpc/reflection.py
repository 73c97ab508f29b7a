"""grpc.reflection v1 and v1alpha: which services there are, and their schema.

grpcio-reflection serves v1alpha only, which newer clients no longer ask for, and its pool does not find a method by its name.
The two versions have the same messages on the wire (grpc/proposal A15), so one servicer answers both.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_reflection.v1alpha import reflection, reflection_pb2

SERVICE_NAMES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
METHOD = "ServerReflectionInfo"


class Reflection:
    """Answers for these services and for itself."""

    def __init__(self, services: Sequence[str]) -> None:
        _add_v1()
        self._servicer: Any = reflection.aio.ReflectionServicer((*services, *SERVICE_NAMES))

    async def answer(self, requests: AsyncIterator[bytes], *, idle_s: float) -> AsyncIterator[bytes]:
        """The responses in their wire form, until no request arrives for `idle_s` seconds. Raises DecodeError."""
        asked: list[reflection_pb2.ServerReflectionRequest] = []
        async for response in self._servicer.ServerReflectionInfo(_read(requests, asked, idle_s), None):
            response.original_request.CopyFrom(asked.pop())
            yield response.SerializeToString()


async def _read(
    requests: AsyncIterator[bytes], asked: list[reflection_pb2.ServerReflectionRequest], idle_s: float
) -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
    """The requests as the library understands them; `asked` gets each as it came."""
    with suppress(TimeoutError, StopAsyncIteration):
        while True:
            async with asyncio.timeout(idle_s):
                raw = await anext(requests)
            request = reflection_pb2.ServerReflectionRequest.FromString(raw)
            asked.append(reflection_pb2.ServerReflectionRequest.FromString(raw))
            if request.HasField("file_containing_symbol"):
                request.file_containing_symbol = _symbol_with_file(request.file_containing_symbol)
            yield request


def _add_v1() -> None:
    """Puts the schema of v1 into the pool, made from that of v1alpha: it describes itself too."""
    file = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    old, new = f".{file.package}.", ".grpc.reflection.v1."
    file.name, file.package = "grpc/reflection/v1/reflection.proto", "grpc.reflection.v1"
    for message in file.message_type:
        for field in message.field:
            if field.type_name:  # an empty one would make it a message
                field.type_name = field.type_name.replace(old, new)
    for method in file.service[0].method:
        method.input_type, method.output_type = method.input_type.replace(old, new), method.output_type.replace(old, new)
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())


def _symbol_with_file(symbol: str) -> str:
    """The symbol, or the service or message around it: the pool knows no file of a method."""
    pool, name = descriptor_pool.Default(), symbol.removeprefix(".")
    with suppress(KeyError):
        pool.FindFileContainingSymbol(name)
        return name
    owner, _, member = name.rpartition(".")
    with suppress(KeyError):
        if member in pool.FindServiceByName(owner).methods_by_name:
            return owner
    return name
