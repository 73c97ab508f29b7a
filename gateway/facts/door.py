"""The addresses at /provider-events/{provider} to which providers post what became of mails."""

import logging
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus

from gateway.facts.events import EventSource
from gateway.facts.models import Report
from gateway.facts.use_cases import Facts
from mesh import context
from mesh.context import CallContext
from mesh.correlation import CORRELATION_ID, with_correlation_id
from mesh.deadline import Deadline
from mesh.errors import InvalidArgument, NotFound, ServiceError, Unavailable
from mesh.process.telemetry import meter
from transcoding.asgi import Receive, Scope, Send, send_response
from transcoding.errors import MethodNotAllowed, Rendered

log = logging.getLogger(__name__)

PROVIDER_EVENTS = "/provider-events/"
_DEADLINE_S = 10.0
_MOST_BYTES = 2 * 1024 * 1024  # SendGrid's batches have up to 768 kB
_MOST_REPORTS = 5000


class ProviderEvents:
    """Serves these addresses; `render` makes the answer to what is refused. Only providers that are configured are there."""

    def __init__(self, render: Callable[[ServiceError], Rendered], sources: Mapping[str, EventSource], facts: Facts) -> None:
        self._render = render
        self._sources = sources
        self._facts = facts
        self._recorded = meter().create_counter("clarion.facts.recorded", description="Facts that providers reported, by provider.")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        try:
            await self._take(scope, receive)
        except ServiceError as error:
            log.info("a provider's events were refused", extra={"path": scope["path"][:64], "reason": error.reason})
            refused = self._render(error)
            await send_response(send, refused.status, refused.headers, refused.body)
        else:
            await send_response(send, HTTPStatus.OK, [("content-type", "application/json")], b"{}")

    async def _take(self, scope: Scope, receive: Receive) -> None:
        name = scope["path"].removeprefix(PROVIDER_EVENTS)
        source = self._sources.get(name)
        if source is None:
            raise NotFound("no provider of this name is configured; see docs/bounces.md")
        if scope["method"] != "POST":
            raise MethodNotAllowed("POST")
        body = await _body(receive)
        correlation_id = with_correlation_id({})[CORRELATION_ID]
        context.enter(CallContext(method="provider-events", correlation_id=correlation_id, deadline=Deadline.after(_DEADLINE_S)))
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        reports = await source.read(headers, body)
        if len(reports) > _MOST_REPORTS:
            raise InvalidArgument.of("body", f"must hold at most {_MOST_REPORTS} events")
        recorded = await self._record(reports)
        if recorded:
            self._recorded.add(recorded, {"provider": name})

    async def _record(self, reports: Sequence[Report]) -> int:
        """Raises Unavailable, whatever keeps them from being recorded: it is ours, and most providers repeat what is answered with 5xx."""
        try:
            return await self._facts.take(reports)
        except ServiceError as error:
            log.warning("a provider's events were not recorded", extra={"reason": error.reason})
            raise Unavailable("the events can't be recorded at the moment; post them again", retry_after_s=error.retry_after_s) from error


async def _body(receive: Receive) -> bytes:
    """The whole body. Raises InvalidArgument for one that is too long or does not end."""
    found, more = bytearray(), True
    while more:
        event = await receive()
        if event["type"] != "http.request":
            raise InvalidArgument.of("body", "ended before it was whole")
        found += event.get("body", b"")
        more = event.get("more_body", False)
        if len(found) > _MOST_BYTES:
            raise InvalidArgument.of("body", f"must have at most {_MOST_BYTES} bytes", reason="BODY_TOO_LARGE")
    return bytes(found)
