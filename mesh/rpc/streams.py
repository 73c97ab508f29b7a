"""Open server streams: how many, how long, and what ends them besides their handler."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext

from google.protobuf.message import Message

from mesh.context import Caller, CallerKind
from mesh.errors import PermissionDenied, ServiceError, Unauthenticated, Unavailable
from mesh.rpc.settings import CallLimits
from mesh.rpc.slots import Slots

_END = object()


class OpenStreams:
    """The streams of a process, through whichever door they came."""

    def __init__(self, limits: CallLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._all = Slots("streams", total=limits.streams)
        self._uploads = Slots("uploads", total=limits.uploads)
        self._of_caller = Slots("streams", total=limits.streams, per_key=limits.streams_per_caller)
        self._ending = False
        self._ends: set[asyncio.Future[None]] = set()

    @contextmanager
    def place(self, *, upload: bool = False) -> Iterator[None]:
        """A place for one stream, taken before its caller is known. Raises ResourceExhausted, or Unavailable while the process stops."""
        if self._ending:
            raise _stopping()
        with self._all.hold(), self._uploads.hold() if upload else nullcontext():
            yield

    def end(self) -> None:
        """Ends all streams with Unavailable."""
        self._ending = True
        for end in self._ends:
            if not end.done():
                end.set_result(None)

    async def run(
        self, messages: AsyncIterator[Message], caller: Caller, prove_again: Callable[[], Awaitable[object]] | None
    ) -> AsyncGenerator[Message, None]:
        """The messages, until the process stops, the stream has reached its age, or its credential is good no longer.

        Raises ResourceExhausted when the caller has too many streams; Unavailable, Unauthenticated or PermissionDenied at such an end.
        """
        # services of the mesh speak for many callers
        place = nullcontext() if caller.kind is CallerKind.SERVICE else self._of_caller.hold(f"{caller.kind}:{caller.id}")
        end = asyncio.get_running_loop().create_future()
        pull: asyncio.Task[object] | None = None
        with place:
            self._ends.add(end)
            try:
                ends_at = self._clock() + self._limits.stream_age_s
                prove_at = float("inf") if prove_again is None else self._clock() + self._limits.stream_recheck_s
                while True:
                    pull = pull or asyncio.create_task(_next(messages))
                    pause_s = max(0.0, min(ends_at, prove_at) - self._clock())
                    await asyncio.wait({pull, end}, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
                    if self._ending:
                        raise _stopping()
                    if self._clock() >= ends_at:
                        raise Unavailable("the stream has reached its age; connect again", reason="STREAM_AGED", retry_after_s=1)
                    if prove_again is not None and self._clock() >= prove_at:
                        await _prove(prove_again)
                        prove_at = self._clock() + self._limits.stream_recheck_s
                    if pull.done():
                        message, pull = pull.result(), None
                        if not isinstance(message, Message):
                            return
                        yield message
            finally:
                self._ends.discard(end)
                end.cancel()
                await _close(messages, pull)


async def _next(messages: AsyncIterator[Message]) -> object:
    return await anext(messages, _END)


async def _close(messages: AsyncIterator[Message], pull: "asyncio.Task[object] | None") -> None:
    """Ends the handler, wherever it is."""
    if pull is not None:
        pull.cancel()
        await asyncio.gather(pull, return_exceptions=True)
    close = getattr(messages, "aclose", None)
    if close is not None:
        await close()


async def _prove(prove_again: Callable[[], Awaitable[object]]) -> None:
    try:
        await prove_again()
    except (Unauthenticated, PermissionDenied):
        raise
    except ServiceError:
        return  # the credential can't be checked now; the authenticator decides how long it is believed


def _stopping() -> Unavailable:
    return Unavailable("the server is stopping; connect again", reason="SERVER_STOPPING", retry_after_s=1)
