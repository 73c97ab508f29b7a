"""A channel over TLS that takes renewed certificates up while it is in use: a second one with the new files is connected, then used."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Self

import grpc
import grpc.aio

from mesh.errors import Unavailable

log = logging.getLogger(__name__)

# What stands in each file; None where none is named.
Files = tuple[bytes | None, ...]

# What a new connection may take, before the files are looked at again and the channel with the old ones goes on.
_CONNECT_S = 5.0
# A call that got the old channel at the very moment of the change begins on it; then calls that are under way there may end.
_BEGIN_S = 1.0
_CALLS_S = 30.0


class CertificatesNotTaken(Unavailable):
    """No server takes what the changed files hold, or none answers: the connections made with what they held before stay."""

    reason = "CERTIFICATES_NOT_TAKEN"

    def __init__(self) -> None:
        super().__init__("the changed certificates lead to no connection", retry_after_s=1)


class RenewingChannel(grpc.aio.Channel):
    """Calls go over the channel that `make` has made of what the files held at the last `renew`."""

    def __init__(self, paths: Sequence[str], make: Callable[[Files], grpc.aio.Channel]) -> None:
        self._paths = [Path(path) if path else None for path in paths]
        self._make = make
        self._files = self._read()
        self.channel = make(self._files)
        self._replaced = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()

    async def renew(self) -> bool:
        """Whether the files have changed and are used now. Raises CertificatesNotTaken or OSError; then all stays as it is."""
        files = self._read()
        if files == self._files:
            return False
        channel = self._make(files)
        try:
            async with asyncio.timeout(_CONNECT_S):
                await channel.channel_ready()
        except BaseException as error:
            await channel.close()
            if isinstance(error, TimeoutError):
                raise CertificatesNotTaken from None
            raise
        old, self.channel, self._files = self.channel, channel, files
        self._replaced.set()
        self._replaced = asyncio.Event()
        closing = asyncio.create_task(_close_later(old), name="close-channel")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        log.info("changed certificates are used for calls")
        return True

    def _read(self) -> Files:
        return tuple(path.read_bytes() if path else None for path in self._paths)

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        """As grpc.aio has it."""
        return _Calls(self, "unary_unary", args, kwargs)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        """As grpc.aio has it."""
        return _Calls(self, "unary_stream", args, kwargs)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        """As grpc.aio has it."""
        return _Calls(self, "stream_unary", args, kwargs)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        """As grpc.aio has it."""
        return _Calls(self, "stream_stream", args, kwargs)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """The state of the channel in use."""
        return self.channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Returns when the state differs from the one given, or another channel is in use."""
        waits: list[Coroutine[Any, Any, Any]] = [self.channel.wait_for_state_change(last_observed_state), self._replaced.wait()]
        tasks = [asyncio.create_task(wait) for wait in waits]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def channel_ready(self) -> None:
        """Returns when the channel in use is connected."""
        while (state := self.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
            await self.wait_for_state_change(state)

    async def close(self, grace: float | None = None) -> None:
        """Closes the channel in use and those that were."""
        closing = list(self._closing)
        for task in closing:
            task.cancel()
        await asyncio.gather(*closing, return_exceptions=True)
        await self.channel.close(grace)

    async def __aenter__(self) -> Self:
        """The channel itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes it."""
        await self.close()


class _Calls:
    """A method's calls, each over the channel that is in use when it begins."""

    def __init__(self, channel: RenewingChannel, kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._channel, self._kind, self._args, self._kwargs = channel, kind, args, kwargs
        self._made_by: grpc.aio.Channel | None = None
        self._call: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._made_by is not self._channel.channel:
            self._made_by = self._channel.channel
            self._call = getattr(self._made_by, self._kind)(*self._args, **self._kwargs)
        return self._call(*args, **kwargs)


async def _close_later(channel: grpc.aio.Channel) -> None:
    try:
        await asyncio.sleep(_BEGIN_S)
        await channel.close(_CALLS_S)
    finally:
        await channel.close()
