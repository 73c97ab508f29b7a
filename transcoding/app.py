"""The REST edge as an ASGI application: every HTTP binding of the process's methods, and the pages that are no RPCs."""

import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from mesh.correlation import CORRELATION_ID
from mesh.errors import Internal, NotFound, ServiceError
from mesh.rpc.metadata import CLIENT_ADDRESS
from transcoding.accept import JSON_TYPE, NDJSON_TYPE, PROBLEM_TYPE, SSE_TYPE, choose
from transcoding.annotations import Annotations, NoAnnotations
from transcoding.asgi import BODY_TAKEN, ClientGone, DisconnectWatch, Receive, Scope, Send
from transcoding.codec import Codec
from transcoding.docs_page import docs_page
from transcoding.docs_viewer import PLAIN_PATH, SCRIPT_PATH, VIEWER_POLICY, viewer_page
from transcoding.errors import ErrorRenderer, MalformedUrl, MethodNotAllowed, NotAcceptable, Rendered
from transcoding.exchange import NO_SNIFF, NO_STORE, Exchange
from transcoding.http_rule import ANY_METHOD, MalformedPath, Match, NoMatch
from transcoding.json_text import write_json
from transcoding.openapi import ApiInfo, openapi_document
from transcoding.request import RequestHead
from transcoding.resource import ResourceRules, is_known, tag_of_bytes
from transcoding.rpc import Invoker, RpcReply
from transcoding.streaming import EventStream
from transcoding.transcoder import Binding, bind_all
from transcoding.uploads import Upload

log = logging.getLogger(__name__)

_ANY = ("GET", "POST", "PUT", "PATCH", "DELETE")  # what `custom { kind: "*" }` stands for
_ELEMENTS = 100  # of one message of a stream, where the schema says nothing
_DOCUMENT_CACHE = ("cache-control", "public, max-age=300")  # it changes with a release only
_HTML_TYPE = "text/html; charset=utf-8"
_HTML_POLICY = ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'")


class Readiness(Protocol):
    """What /livez and /readyz ask; mesh.process.health.HealthMonitor is one."""

    @property
    def alive(self) -> bool:
        """Whether the process is sound."""

    @property
    def ready(self) -> bool:
        """Whether the process wants traffic."""

    def report(self) -> Mapping[str, bool]:
        """Each dependency and whether it is up."""


@dataclass(frozen=True, slots=True)
class RestOptions:
    """How the edge speaks. `reason_status` gives reasons of ErrorInfo an HTTP status other than their code's."""

    short_enums: bool = True
    print_defaults: bool = True
    body_limit: int = 1024 * 1024  # bytes
    reason_status: Mapping[str, int] = field(default_factory=dict)
    watch_after_s: float = 0.15  # how long a call runs before the edge looks whether its client is still there
    beat_s: float = 15.0  # silence after which an SSE stream shows that it lives
    info: ApiInfo = field(default_factory=ApiInfo)
    cache: Mapping[str, str] = field(default_factory=dict)  # Cache-Control of reads that may be kept, by path
    samples: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)  # examples for the document, by full method name
    viewer: bytes = field(default=b"", repr=False)  # the script of a viewer for /docs; without it /docs is the plain page
    domain: str = "api"  # the realm of the credentials, and part of the problem types


class RestApp:
    """ASGI 3. Raises RouteConflict, BindingError or TemplateError at start-up when the schema's HTTP rules don't fit together.

    `comments` is the schema with its source info, for the words of /openapi.json and /docs; without it they have names only. `annotations`
    reads what the schema says in options of its own.
    """

    def __init__(
        self,
        invoker: Invoker,
        *,
        readiness: Readiness,
        options: RestOptions | None = None,
        comments: FileDescriptorSet | None = None,
        annotations: Annotations | None = None,
    ) -> None:
        self._invoker = invoker
        self._readiness = readiness
        self._annotations = annotations or NoAnnotations()
        self._options = options or RestOptions()
        codec = Codec(short_enums=self._options.short_enums, print_defaults=self._options.print_defaults)
        # errors leave out what is empty: a detail has many fields and few that matter
        plain = Codec(short_enums=self._options.short_enums)
        self._errors = ErrorRenderer(plain, reasons=self._options.reason_status, domain=self._options.domain)
        self._router, bindings = bind_all(invoker.methods, codec)
        self._resources = ResourceRules(bindings)
        document = openapi_document(bindings, codec, self._options.info, comments, self._annotations, samples=self._options.samples)
        self._openapi = write_json(document)
        self._openapi_tag = tag_of_bytes(self._openapi)
        self._plain_docs = docs_page(document)
        self._docs = (viewer_page(self._options.info.title), VIEWER_POLICY) if self._options.viewer else (self._plain_docs, _HTML_POLICY)
        self._viewer_tag = tag_of_bytes(self._options.viewer)
        self._pages: dict[str, Callable[[Exchange], Awaitable[None]]] = {
            "/": self._to_docs,
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/openapi.json": self._openapi_json,
            "/docs": self._docs_html,
            PLAIN_PATH: self._docs_plain,
            SCRIPT_PATH: self._viewer_script,
        }
        for path in self._pages:
            found = self._router.find("GET", path)
            if isinstance(found, Match) or found.allowed:
                raise ValueError(f"a binding claims {path}, which is the edge's own")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection scope."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1003})
        else:
            head = RequestHead.read(scope["headers"])
            raw_path = scope["raw_path"].decode("latin-1")
            query = scope["query_string"].decode("latin-1")
            client = scope.get("client")
            address = client[0] if client else ""
            exchange = Exchange(scope["method"], raw_path, query, head, head.correlation_id(), address, receive, send)
            exchange.body_taken = (scope.get("extensions") or {}).get(BODY_TAKEN, exchange.body_taken)
            await self._serve(exchange)

    def refusal(self, error: ServiceError) -> Rendered:
        """The response to a request that the HTTP server refuses before it is one: malformed, too large, too slow."""
        correlation_id = uuid.uuid4().hex
        rendered = self._errors.render(error, accept="", authenticated=False, correlation_id=correlation_id)
        return Rendered(rendered.status, [*rendered.headers, (CORRELATION_ID, correlation_id), NO_SNIFF, NO_STORE], rendered.body)

    async def _serve(self, exchange: Exchange) -> None:
        try:
            await self._answer(exchange)
        except ServiceError as error:
            await self._refuse(exchange, error)
        except ClientGone:
            log.debug("the client went away", extra={"correlation_id": exchange.correlation_id})
        except Exception:
            log.exception("the edge failed unexpectedly", extra={"correlation_id": exchange.correlation_id})
            await self._refuse(exchange, Internal(f"internal error; quote correlation id {exchange.correlation_id}"))

    async def _refuse(self, exchange: Exchange, error: ServiceError) -> None:
        rendered = self._errors.render(
            error,
            accept=exchange.head.accept,
            authenticated="authorization" in exchange.head.headers,
            correlation_id=exchange.correlation_id,
        )
        await exchange.respond(rendered.status, rendered.headers, rendered.body)

    async def _answer(self, exchange: Exchange) -> None:
        page = self._pages.get(exchange.path)
        if page is not None:
            if exchange.method not in {"GET", "HEAD"}:
                await self._no_such_method(exchange, {"GET"})
            else:
                await page(exchange)
            return
        try:
            found = self._find(exchange)
        except MalformedPath as error:
            raise MalformedUrl(str(error)) from None
        if isinstance(found, Match):
            await self._call(exchange, found.target, found.values)
        elif exchange.method == "OPTIONS" and exchange.path == "*":
            await exchange.respond(HTTPStatus.NO_CONTENT, [], b"")
        elif not found.allowed:
            raise NotFound("there is nothing at this path; GET /openapi.json lists what there is", reason="NO_SUCH_PATH")
        else:
            await self._no_such_method(exchange, found.allowed, head=self._has_head(exchange.path))

    def _has_head(self, path: str) -> bool:
        """A stream has no HEAD: its first message decides the status, and it may take its time."""
        reading = self._router.find("GET", path)
        return isinstance(reading, Match) and not reading.target.method.server_streaming

    def _find(self, exchange: Exchange) -> Match[Binding] | NoMatch:
        found = self._router.find(exchange.method, exchange.path)
        if isinstance(found, NoMatch) and exchange.method == "HEAD":
            reading = self._router.find("GET", exchange.path)
            if isinstance(reading, Match) and not reading.target.method.server_streaming:
                return reading
        return found

    @staticmethod
    async def _no_such_method(exchange: Exchange, allowed: "set[str] | frozenset[str]", *, head: bool = True) -> None:
        """405 with Allow, or the answer to OPTIONS."""
        methods = {*allowed, "OPTIONS"} | ({"HEAD"} if head and "GET" in allowed else set())
        if ANY_METHOD in methods:
            methods = methods - {ANY_METHOD} | {*_ANY} | ({"HEAD"} if head else set())
        allow = ", ".join(sorted(methods))
        if exchange.method != "OPTIONS":
            raise MethodNotAllowed(allow)
        await exchange.respond(HTTPStatus.NO_CONTENT, [("allow", allow)], b"")

    async def _call(self, exchange: Exchange, binding: Binding, values: Mapping[str, str]) -> None:
        head = exchange.head
        metadata, timeout_s = head.metadata(exchange.correlation_id), head.timeout_s()
        metadata[CLIENT_ADDRESS] = exchange.address
        sse = _negotiate(head.accept, streaming=binding.method.server_streaming) == SSE_TYPE
        if binding.method.client_streaming:
            await self._upload(exchange, binding, values, metadata, timeout_s, sse=sse)
            return
        body = b""
        if head.has_body:
            if binding.takes_body:
                head.check_content()
            own = self._annotations.body_limit(binding.method.descriptor)
            body = await head.body(exchange.receive, max(own, self._options.body_limit))
        request = binding.request(values, exchange.query, body)
        if_match = head.headers.get("if-match")
        if if_match is not None:
            self._resources.bind_tag(binding, request, if_match)
        name = binding.method.full_name
        if binding.method.server_streaming:
            resume_by = self._annotations.resume_by(binding.method.descriptor)
            last_id = head.headers.get("last-event-id")
            if resume_by and last_id:
                # a browser that connects again asks under the address that it began with, so its header is the later word
                setattr(request, resume_by, last_id)
            messages = self._invoker.stream(name, request, metadata=metadata, timeout_s=timeout_s)
            status_value = self._errors.status_value
            stream = EventStream(messages, write=binding.responses, status_value=status_value, sse=sse, id_field=resume_by)
            await self._stream(exchange, stream, exchange.receive)
            return
        async with DisconnectWatch(exchange.receive, after_s=self._options.watch_after_s):
            reply = await self._invoker.unary(name, request, metadata=metadata, timeout_s=timeout_s)
        await self._reply(exchange, binding, values, reply)

    async def _upload(
        self,
        exchange: Exchange,
        binding: Binding,
        values: Mapping[str, str],
        metadata: Mapping[str, str],
        timeout_s: float | None,
        *,
        sse: bool,
    ) -> None:
        """A call whose body is a stream."""
        exchange.head.check_content(NDJSON_TYPE)
        assert binding.body_field is not None
        upload = Upload(
            binding,
            binding.request(values, exchange.query, b""),
            exchange.receive,
            line_limit=self._options.body_limit,
            most=self._annotations.limits(binding.body_field).max_items or _ELEMENTS,
            taken=exchange.body_taken,
        )
        responses = self._invoker.stream(binding.method.full_name, upload.requests(), metadata=metadata, timeout_s=timeout_s)
        status_value = self._errors.status_value
        stream = EventStream(upload.answers(responses), write=binding.responses, status_value=status_value, sse=sse)
        await self._stream(exchange, stream, upload.receive)

    async def _reply(self, exchange: Exchange, binding: Binding, values: Mapping[str, str], reply: RpcReply) -> None:
        """The response to a unary call, or 304 when the caller has it."""
        body = binding.response(reply.message)
        headers = [("content-type", JSON_TYPE), *reply.headers]
        tag = self._resources.own_tag(binding, reply.message)
        if exchange.method in {"GET", "HEAD"}:
            # a tag of the resource's own must stay strong for If-Match, so that its representation has one form only
            await self._respond_to_read(exchange, headers, body, tag or tag_of_bytes(body), compress=not tag)
            return
        if tag:
            headers.append(("etag", f'"{tag}"'))
        location = self._resources.location(binding, values, reply.message)
        if location is not None:
            headers.append(("location", location))
        await exchange.respond(binding.method.success_status, headers, body)

    async def _respond_to_read(
        self, exchange: Exchange, headers: list[tuple[str, str]], body: bytes, tag: str, *, compress: bool = True
    ) -> None:
        headers = [*headers, ("etag", f'"{tag}"')]
        if exchange.path in self._options.cache:
            headers.append(("cache-control", self._options.cache[exchange.path]))
        known = exchange.head.headers.get("if-none-match")
        if known is not None and is_known(known, tag):
            await exchange.respond(HTTPStatus.NOT_MODIFIED, [item for item in headers if item[0] != "content-type"], b"")
        else:
            await exchange.respond(HTTPStatus.OK, headers, body, compress=compress)

    async def _stream(self, exchange: Exchange, stream: EventStream, receive: Receive) -> None:
        headers = [
            ("content-type", stream.content_type),
            (CORRELATION_ID, exchange.correlation_id),
            NO_STORE,
            NO_SNIFF,
            ("x-accel-buffering", "no"),  # nginx then passes each line on at once
        ]
        try:
            async with DisconnectWatch(receive, after_s=0):
                await stream.first()
                await stream.send_to(exchange.send, headers, beat_s=self._options.beat_s)
        finally:
            await stream.close()

    async def _livez(self, exchange: Exchange) -> None:
        alive = self._readiness.alive
        await exchange.respond(
            HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE, [("content-type", JSON_TYPE)], write_json({"live": alive})
        )

    async def _readyz(self, exchange: Exchange) -> None:
        ready = self._readiness.ready
        body = write_json({"ready": ready, "dependencies": dict(self._readiness.report())})
        await exchange.respond(HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE, [("content-type", JSON_TYPE)], body)

    async def _openapi_json(self, exchange: Exchange) -> None:
        await self._respond_to_read(exchange, [("content-type", JSON_TYPE), _DOCUMENT_CACHE], self._openapi, self._openapi_tag)

    async def _to_docs(self, exchange: Exchange) -> None:
        await exchange.respond(HTTPStatus.TEMPORARY_REDIRECT, [("location", "/docs")], b"")

    async def _docs_html(self, exchange: Exchange) -> None:
        page, policy = self._docs
        await exchange.respond(HTTPStatus.OK, [("content-type", _HTML_TYPE), policy, NO_SNIFF], page)

    async def _docs_plain(self, exchange: Exchange) -> None:
        await exchange.respond(HTTPStatus.OK, [("content-type", _HTML_TYPE), _HTML_POLICY], self._plain_docs)

    async def _viewer_script(self, exchange: Exchange) -> None:
        if not self._options.viewer:
            raise NotFound("this installation has no viewer; the plain page is at /docs", reason="NO_SUCH_PATH")
        headers = [("content-type", "text/javascript; charset=utf-8"), _DOCUMENT_CACHE, NO_SNIFF]
        await self._respond_to_read(exchange, headers, self._options.viewer, self._viewer_tag)


def _negotiate(accept: str, *, streaming: bool) -> str:
    """The form of a success. Raises NotAcceptable. Who asks for JSON alone gets a stream as NDJSON, and problem+json goes with JSON."""
    offers = (NDJSON_TYPE, SSE_TYPE, JSON_TYPE, PROBLEM_TYPE) if streaming else (JSON_TYPE, PROBLEM_TYPE)
    chosen = choose(accept, offers)
    if chosen is None:
        raise NotAcceptable(f"the answer comes as {' or '.join(offers[:2] if streaming else offers[:1])}")
    return chosen


async def _lifespan(receive: Receive, send: Send) -> None:
    """Opening and closing is the composition root's business; a server that asks gets "complete"."""
    while True:
        event: Any = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return
