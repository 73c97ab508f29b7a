"""A local Firebase Cloud Messaging server (HTTP v1) that shows what it received and misbehaves on demand."""

import asyncio
import json
import secrets
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from delivery.fcm_fields import BLOCKS, faults
from delivery.push_message import MAX_PUSH_BYTES, size_of
from devstack.fcm_connection import Action, Answer, Connection, Request
from devstack.tls import LocalTls, private_pem

PROJECT = "clarion-local"

_KEPT = 10_000
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
# google-auth names this audience whatever the token endpoint
_AUDIENCE = "https://oauth2.googleapis.com/token"
_NO_SUCH = "The registration token is not a valid FCM registration token"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def fails(status: int, name: str, code: str = "", *, retry_after: str = "", violation: str = "", message: str = "") -> Answer:
    """An error as Google words it: `name` is the canonical code, `code` FCM's own, `violation` the field of a bad payload."""
    details: list[dict[str, Any]] = []
    if code:
        details.append({"@type": _FCM_ERROR, "errorCode": code})
    if violation:
        details.append({"@type": _BAD_REQUEST, "fieldViolations": [{"field": violation, "description": "not valid"}]})
    error = {"code": status, "message": message or f"The request failed with {code or name}.", "status": name, "details": details}
    headers = (("retry-after", retry_after),) if retry_after else ()
    return Answer(status, json.dumps({"error": error}).encode(), headers)


def answers(status: int, body: bytes, content_type: str = "text/html") -> Answer:
    """Any response at all."""
    return Answer(status, body, (("content-type", content_type),))


RESETS = Answer(action=Action.RESET)
HANGS = Answer(action=Action.HANG)

# What becomes of a token by its beginning, so that anybody can try each case by hand.
_BY_PREFIX = {
    "unregistered-": fails(404, "NOT_FOUND", "UNREGISTERED"),
    "invalid-": fails(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", message=_NO_SUCH),
    "toobig-": fails(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", message="Android message is too big"),
    "mismatch-": fails(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
    "thirdparty-": fails(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
    "quota-": fails(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", retry_after="60"),
    "unavailable-": fails(503, "UNAVAILABLE", "UNAVAILABLE"),
    "internal-": fails(500, "INTERNAL", "INTERNAL"),
}


@dataclass(frozen=True, slots=True)
class ReceivedPush:
    """A message that was accepted; `message` is the JSON object that FCM calls Message."""

    token: str
    message: dict[str, Any]
    http2: bool

    @property
    def title(self) -> str:
        """The notification's title."""
        return str(self.message.get("notification", {}).get("title", ""))


@dataclass
class FcmServer:
    """The running server. `everyone` is what all messages are answered while it is set.

    Its folder keeps the CA, the certificate and the service account over restarts.
    While `token_gate` is set and not yet open, requests for access tokens wait for it.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 0
    pushes: deque[ReceivedPush] = field(default_factory=lambda: deque(maxlen=_KEPT))
    everyone: Answer | None = None
    requests: int = 0
    token_requests: int = 0
    token_lifetime_s: int = 3600
    token_gate: asyncio.Event | None = None
    token_requested: asyncio.Event = field(default_factory=asyncio.Event)
    token_answers: deque[Answer] = field(default_factory=deque)
    _scripts: dict[str, deque[Answer]] = field(default_factory=lambda: defaultdict(deque))
    _access_tokens: set[str] = field(default_factory=set)
    _unread: deque[ReceivedPush] = field(default_factory=lambda: deque(maxlen=_KEPT))
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _open: set[Connection] = field(default_factory=set)
    _waiting: set[asyncio.Task[None]] = field(default_factory=set)
    _listener: asyncio.Server | None = None
    _public_key: Any = None

    @property
    def connections(self) -> int:
        """HTTP/2 connections that are open."""
        return sum(connection.http2 for connection in self._open)

    async def start(self) -> None:
        """Listens; `port` then is where. Writes the service account, whose token endpoint is this server too."""
        tls = LocalTls.in_folder(self.folder)
        context = tls.server_context(("h2", "http/1.1"))
        self._listener = await asyncio.get_running_loop().create_server(lambda: Connection(self), self.host, self.port, ssl=context)
        self.port = self._listener.sockets[0].getsockname()[1]
        self._write_account()

    async def stop(self) -> None:
        """Stops listening and closes every connection; starting again keeps the port."""
        for task in list(self._waiting):
            task.cancel()
        if self._listener is not None:
            self._listener.close()
            self.close_connections()
            await self._listener.wait_closed()
            self._listener = None

    def close_connections(self) -> None:
        """Closes every connection without a word."""
        for connection in list(self._open):
            connection.abort()

    def environ(self) -> dict[str, str]:
        """The variables that make a push_worker use this server."""
        return {
            "CLARION_FCM_CREDENTIALS_FILE": str(self._account_file),
            "CLARION_FCM_PROJECT_ID": PROJECT,
            "CLARION_FCM_ENDPOINT": f"https://localhost:{self.port}",
            "CLARION_FCM_CA_FILE": str(self.folder / "ca.pem"),
        }

    def script(self, token: str, *next_answers: Answer) -> None:
        """What the next messages to this token are answered, one each; after them it is served again."""
        self._scripts[token].extend(next_answers)

    def revoke_access_tokens(self) -> None:
        """Every access token given out so far is refused with 401."""
        self._access_tokens.clear()

    async def next_message(self) -> ReceivedPush:
        """The oldest message that this method has not returned yet; waits for one."""
        while not self._unread:
            self._arrived.clear()
            await self._arrived.wait()
        return self._unread.popleft()

    def add(self, connection: Connection) -> None:
        """A client has come."""
        self._open.add(connection)

    def discard(self, connection: Connection) -> None:
        """A client has gone."""
        self._open.discard(connection)

    def answer(self, request: Request, reply: Callable[[Answer], None]) -> None:
        """Answers one request, by its path."""
        if request.path == "/token":
            self._later(self._give_token(request, reply))
        elif request.path == f"/v1/projects/{PROJECT}/messages:send":
            self.requests += 1
            reply(self._take(request))
        else:
            reply(fails(404, "NOT_FOUND"))

    async def _give_token(self, request: Request, reply: Callable[[Answer], None]) -> None:
        self.token_requests += 1
        self.token_requested.set()
        if self.token_gate is not None:
            await self.token_gate.wait()
        if self.token_answers:
            reply(self.token_answers.popleft())
            return
        form = parse_qs(request.body.decode())
        try:
            jwt.decode(form["assertion"][0], self._public_key, algorithms=["RS256"], audience=_AUDIENCE)
        except (jwt.InvalidTokenError, KeyError):
            reply(Answer(400, json.dumps({"error": "invalid_grant", "error_description": "bad assertion"}).encode()))
            return
        if form.get("grant_type") != [_GRANT]:
            reply(Answer(400, json.dumps({"error": "unsupported_grant_type"}).encode()))
            return
        token = secrets.token_urlsafe(24)
        self._access_tokens.add(token)
        answer = {"access_token": token, "expires_in": self.token_lifetime_s, "token_type": "Bearer"}
        reply(Answer(200, json.dumps(answer).encode()))

    def _take(self, request: Request) -> Answer:
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self._access_tokens:
            return fails(401, "UNAUTHENTICATED")
        try:
            message = json.loads(request.body)["message"]
            token = str(message["token"])
        except (ValueError, KeyError, TypeError):
            return fails(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", violation="message")
        if self.everyone is not None:
            return self.everyone
        if self._scripts.get(token):
            return self._scripts[token].popleft()
        for prefix, answer in _BY_PREFIX.items():
            if token.startswith(prefix):
                return answer
        if size_of(message) > MAX_PUSH_BYTES:
            return fails(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", message="Android message is too big")
        for platform in BLOCKS:
            for path, _ in faults(platform, message.get(platform, {})):
                return fails(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", violation=f"message.{platform}.{path}")
        push = ReceivedPush(token, message, request.http2)
        self.pushes.append(push)
        self._unread.append(push)
        self._arrived.set()
        return Answer(200, json.dumps({"name": f"projects/{PROJECT}/messages/{self.requests}"}).encode())

    @property
    def _account_file(self) -> Path:
        return self.folder / "service-account.json"

    def _write_account(self) -> None:
        account: dict[str, str] = {}
        if self._account_file.exists():
            account = json.loads(self._account_file.read_bytes())
        if "private_key" not in account:
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            account = {
                "type": "service_account", "project_id": PROJECT, "private_key_id": secrets.token_hex(8),
                "private_key": private_pem(key).decode(), "client_email": f"push@{PROJECT}.iam.example", "client_id": "1",
            }  # fmt: skip
        # it was made here; to prove that again takes as long as all else that a server needs to start
        private = load_pem_private_key(account["private_key"].encode(), None, unsafe_skip_rsa_key_validation=True)
        self._public_key = private.public_key()
        account["token_uri"] = f"https://localhost:{self.port}/token"
        self._account_file.touch(mode=0o600)
        self._account_file.write_text(json.dumps(account, indent=1))

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work, name="fcm-token")
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)


@asynccontextmanager
async def open_fcm_server(folder: Path, *, port: int = 0) -> AsyncIterator[FcmServer]:
    """A server on loopback for the length of the block; what it needs is made in the folder."""
    server = FcmServer(folder, port=port)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
