"""Streams of requests over HTTP: a body of lines (NDJSON), each an element of the list that the rule's `body` names.

The lines that have arrived together go to the method in one message. The method answers each element with one of the list that
`response_body` names, in order. A line that can't be read is answered by the edge, in its place, by an element whose `error` says why; the
others go on.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, MutableMapping
from typing import Any

from google.protobuf.message import Message

from mesh.errors import ServiceError
from mesh.rpc.status import to_status
from transcoding.asgi import Receive
from transcoding.errors import BodyTooLarge
from transcoding.transcoder import Binding

# Of lines that can't be read behind those that are not answered yet: then the next waits.
_MOST_REFUSED = 1000
_Out = Message | Exception | None


class Upload:
    """One request's body on its way to the method, and the answers on their way back.

    `base` is the request without its list, `most` the elements of one message. `taken` is called with the size of what is held no longer.
    """

    def __init__(
        self, binding: Binding, base: Message, receive: Receive, *, line_limit: int, most: int, taken: Callable[[int], None]
    ) -> None:
        self._binding = binding
        self._base = base
        self._receive = receive
        self._line_limit = line_limit
        self._most = most
        self._taken = taken
        self._pieces: asyncio.Queue[tuple[bytes, bool]] = asyncio.Queue(1)
        self._read = 0  # elements that were given to the method, or are about to be
        self._answered = 0
        self._refused: deque[tuple[int, Message]] = deque()  # each with the number of elements before it
        self._moved = asyncio.Event()
        # of one, so that a slow client slows the method
        self._out: asyncio.Queue[_Out] = asyncio.Queue(1)
        self._turn = asyncio.Lock()
        taken(0)

    async def receive(self) -> MutableMapping[str, Any]:
        """The connection's next event, of which the body is kept: the watch over the connection is what reads it."""
        event = await self._receive()
        if event["type"] == "http.request":
            await self._pieces.put((event.get("body", b""), event.get("more_body", False)))
        return event

    async def requests(self) -> AsyncIterator[Message]:
        """The method's requests."""
        group: list[Message] = []
        async for line in self._lines():
            try:
                group.append(self._binding.element(line) if line is not None else self._too_long())
                self._read += 1
            except ServiceError as error:
                if len(self._refused) >= _MOST_REFUSED:
                    if group:
                        yield self._message(group)
                        group = []
                    await self._room()
                await self._refuse(error)
            if group and (len(group) >= self._most or not self._more_lines):
                yield self._message(group)
                group = []
        if group:
            yield self._message(group)

    async def answers(self, responses: AsyncIterator[Message]) -> AsyncGenerator[Message, None]:
        """The method's responses with those of the edge in between. Raises ServiceError."""
        pump = asyncio.create_task(self._pump(responses), name="upload-answers")
        try:
            while (item := await self._out.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)

    async def _lines(self) -> AsyncIterator[bytes | None]:
        """The lines that are not blank; None for one that is too long."""
        rest, skipping, more = b"", False, True
        while more:
            piece, more = await self._pieces.get()
            *lines, rest = (rest + piece).split(b"\n")
            if not more:
                lines, rest = [*lines, rest], b""
            if skipping and lines:
                lines, skipping = lines[1:], False
            if len(rest) > self._line_limit:
                if not skipping:
                    lines.append(rest)
                rest, skipping = b"", True
            lines = [line for line in lines if line and not line.isspace()]
            for left, line in enumerate(lines, 1 - len(lines)):
                self._more_lines = left < 0
                yield line if len(line) <= self._line_limit else None
            self._taken(len(piece))

    def _too_long(self) -> Message:
        raise BodyTooLarge(f"a line must have at most {self._line_limit} bytes", metadata={"limit_bytes": str(self._line_limit)})

    def _message(self, group: list[Message]) -> Message:
        message = type(self._base)()
        message.CopyFrom(self._base)
        getattr(message, self._binding.body_name).extend(group)
        return message

    async def _refuse(self, error: ServiceError) -> None:
        refusal = self._binding.refusal(to_status(error))
        async with self._turn:
            if self._answered == self._read:
                await self._out.put(refusal)
            else:
                self._refused.append((self._read, refusal))

    async def _room(self) -> None:
        while len(self._refused) >= _MOST_REFUSED:
            self._moved.clear()
            await self._moved.wait()

    async def _pump(self, responses: AsyncIterator[Message]) -> None:
        last: Exception | None = None
        try:
            async for response in responses:
                async with self._turn:
                    await self._out.put(self._with_refused(response))
        except Exception as error:  # noqa: BLE001  it is raised where the answers are read
            last = error
        finally:
            close = getattr(responses, "aclose", None)
            if close is not None:
                await close()
        await self._out.put(last)

    def _with_refused(self, response: Message) -> Message:
        """The response with the refusals of the lines that stand between its elements, and behind the last."""
        elements = self._binding.elements(response)
        begin, self._answered = self._answered, self._answered + len(elements)
        if not self._refused or self._refused[0][0] > self._answered:
            return response
        merged = type(response)()
        mixed = self._binding.elements(merged)
        for number, element in enumerate(elements, begin):
            self._pass_refused(mixed, number)
            mixed.append(element)
        self._pass_refused(mixed, self._answered)
        self._moved.set()
        return merged

    def _pass_refused(self, mixed: Any, number: int) -> None:
        while self._refused and self._refused[0][0] <= number:
            mixed.extend(self._binding.elements(self._refused.popleft()[1]))
