"""The console at /console/: files that `make console` has built, read once at start-up and served from memory.

Every address below /console/ that names no file is a page of the console, whose script reads the rest of the address (deep links). The
pages ask no one but this gateway for anything, and hold nothing that a caller may not see: all data comes from the public API.
"""

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from transcoding.asgi import Receive, Scope, Send, send_response

CONSOLE = "/console/"
BUILT = Path(__file__).resolve().parent / "built"
_ASSETS = "assets/"
# The page in which the console shows a message, and in which nothing but its styles and the pictures that it holds itself have an effect.
_FRAME = "frame.html"
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'"
_POLICY = f"{_NOTHING}; frame-ancestors 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'"
_FRAME_POLICY = f"{_NOTHING}; frame-ancestors 'self'; style-src 'unsafe-inline'; img-src data:; sandbox allow-same-origin"
_ALWAYS = [
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-robots-tag", "noindex"),
]
_SAFE = [("content-security-policy", _POLICY), *_ALWAYS]
_FRAMED = [("content-security-policy", _FRAME_POLICY), *_ALWAYS]
# The name of an asset holds a hash of what is in it.
_FOREVER = ("cache-control", "public, max-age=31536000, immutable")
_ASK_AGAIN = ("cache-control", "no-cache")
_TEXT = ("content-type", "text/plain; charset=utf-8")
_NOT_BUILT = (
    b"The console is not built in this installation. The image and the wheel hold it.\n"
    b"In a checkout, run `make console` and start the gateway again.\n"
    b"Everything that it does can be done with the API too: see /docs.\n"
)


@dataclass(frozen=True, slots=True)
class _File:
    content_type: str
    body: bytes
    packed: bytes  # gzip
    tag: str


def read_built(folder: Path = BUILT) -> dict[str, _File]:
    """The files by their path below /console/; none when the console is not built."""
    if not (folder / "index.html").is_file():
        return {}
    paths = [*folder.glob("*.html"), *sorted((folder / "assets").iterdir())]
    return {str(path.relative_to(folder)): _read(path) for path in paths}


class ConsolePages:
    """Serves the console."""

    def __init__(self, files: Mapping[str, _File]) -> None:
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  ASGI gives it; these requests have no body
        """Serves one request."""
        path = scope["path"]
        head = scope["method"] == "HEAD"
        if scope["method"] not in {"GET", "HEAD"}:
            await send_response(send, HTTPStatus.METHOD_NOT_ALLOWED, [*_SAFE, ("allow", "GET, HEAD")], b"")
        elif path == CONSOLE[:-1]:
            await send_response(send, HTTPStatus.PERMANENT_REDIRECT, [*_SAFE, ("location", CONSOLE)], b"", head=head)
        elif not self._files:
            await send_response(send, HTTPStatus.SERVICE_UNAVAILABLE, [*_SAFE, _TEXT, ("cache-control", "no-store")], _NOT_BUILT, head=head)
        else:
            await self._serve(path.removeprefix(CONSOLE), dict(scope["headers"]), send, head=head)

    async def _serve(self, name: str, headers: Mapping[bytes, bytes], send: Send, *, head: bool) -> None:
        is_asset = name.startswith(_ASSETS)
        is_frame = name == _FRAME
        file = self._files.get(name if is_asset or is_frame else "index.html")
        if file is None:
            # a page that was open while a new version was deployed asks for files that are no more
            await send_response(send, HTTPStatus.NOT_FOUND, [*_SAFE, _TEXT, ("cache-control", "no-store")], b"No such file.\n", head=head)
            return
        answer = [*(_FRAMED if is_frame else _SAFE), ("etag", file.tag), ("vary", "accept-encoding"), _FOREVER if is_asset else _ASK_AGAIN]
        if headers.get(b"if-none-match", b"").decode("latin-1") == file.tag:
            await send_response(send, HTTPStatus.NOT_MODIFIED, answer, b"", head=True)
            return
        answer.append(("content-type", file.content_type))
        packed = b"gzip" in headers.get(b"accept-encoding", b"")
        if packed:
            answer.append(("content-encoding", "gzip"))
        await send_response(send, HTTPStatus.OK, answer, file.packed if packed else file.body, head=head)


def _read(path: Path) -> _File:
    body = path.read_bytes()
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    content_type = f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
    # one tag for both forms must be weak: their bytes differ
    return _File(content_type, body, gzip.compress(body, 9, mtime=0), f'W/"{hashlib.sha256(body).hexdigest()[:32]}"')
