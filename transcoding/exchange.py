"""One request at the edge and how to answer it: the headers that every answer carries, and compression of large ones."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass

from mesh.correlation import CORRELATION_ID
from transcoding.asgi import Receive, Send, send_response
from transcoding.request import RequestHead

NO_STORE = ("cache-control", "no-store")
NO_SNIFF = ("x-content-type-options", "nosniff")

# Below, the headers and the work cost more than the bytes that are saved: one TCP segment takes about this much.
_LEAST_BYTES = 1400
# zlib's level: 4 costs a third of 9 and gives JSON within a few per cent of it.
_LEVEL = 4


@dataclass(slots=True)
class Exchange:
    """One request. `path` and `query` are raw, `address` is the client's; empty where the server does not know it.

    `body_taken` is to be called when so many bytes of a body, read as a stream, are held no longer.
    """

    method: str
    path: str
    query: str
    head: RequestHead
    correlation_id: str
    address: str
    receive: Receive
    send: Send
    body_taken: Callable[[int], None] = lambda size: None

    async def respond(self, status: int, headers: list[tuple[str, str]], body: bytes, *, compress: bool = True) -> None:
        """One whole response. A large body is compressed where the caller takes gzip; its entity tag is weak then (other bytes)."""
        names = {name for name, _ in headers}
        extra = [(CORRELATION_ID, self.correlation_id), NO_SNIFF]
        if "cache-control" not in names:
            extra.append(NO_STORE)
        if compress and len(body) >= _LEAST_BYTES:
            extra.append(("vary", "accept-encoding"))
            if self.head.takes_gzip:
                body = gzip.compress(body, _LEVEL, mtime=0)
                extra.append(("content-encoding", "gzip"))
                headers = [(name, f"W/{value}" if name == "etag" else value) for name, value in headers]
        await send_response(self.send, status, [*headers, *extra], body, head=self.method == "HEAD")
