"""An SMTP server for mails about mails: takes those to addresses of ours and answers once what they say is recorded."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from gateway.facts.reports import reports_of
from gateway.facts.settings import BounceSettings
from gateway.facts.use_cases import Facts
from mesh import context
from mesh.context import CallContext
from mesh.correlation import CORRELATION_ID, with_correlation_id
from mesh.deadline import Deadline
from mesh.errors import ServiceError
from mesh.process.telemetry import meter
from naming.bounce_address import BounceAddresses

log = logging.getLogger(__name__)

# Where abuse reports go, which name the notification inside.
COMPLAINTS = "complaints"
_MOST_BYTES = 1024 * 1024
_MOST_CONNECTIONS = 100
_IDLE_S = 60.0
# So long may a connection last where there is no room for another: one that sends a letter now and then is never idle.
_LIFE_S = 120.0
_DEADLINE_S = 20.0


class Reports:
    """The mails. Methods are named by aiosmtpd."""

    def __init__(self, addresses: BounceAddresses, facts: Facts) -> None:
        self._addresses = addresses
        self._facts = facts
        self._mails = meter().create_counter("clarion.facts.mails", description="Mails about mails, by whether they held a fact.")

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: ARG002, N802  aiosmtpd calls it so
        """One recipient per mail, and only one that we have made: nothing else is taken, so that nothing has to be sent back."""
        local, _, domain = address.rpartition("@")
        complaint = local.lower() == COMPLAINTS and domain.lower() == self._addresses.domain
        if not complaint and self._addresses.notification_of(address) is None:
            return "550 5.1.1 There is no such mailbox here"
        if envelope.rcpt_tos:
            return "452 4.5.3 One recipient at a time"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802  aiosmtpd calls it so
        """Records what the mail says. What can't be recorded now is tried again by the other server."""
        correlation_id = with_correlation_id({})[CORRELATION_ID]
        context.enter(CallContext(method="bounces", correlation_id=correlation_id, deadline=Deadline.after(_DEADLINE_S)))
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        try:
            # of a mail that anyone may have written, in a thread of its own
            reports = await asyncio.to_thread(reports_of, content, envelope.rcpt_tos[0], self._addresses)
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            log.info("a mail about a mail can't be read", extra={"error": type(error).__name__})
            reports = ()
        try:
            await self._facts.take(reports)
        except ServiceError as error:
            log.warning("a mail about a mail was not recorded", extra={"reason": error.reason})
            return "451 4.3.0 Try again later"
        self._mails.add(1, {"holds_fact": bool(reports)})
        return "250 2.0.0 OK"

    async def handle_exception(self, error: Exception) -> str:
        """What else goes wrong: the other server hears no more of it than that it may try again."""
        log.error("a mail about a mail was not taken", exc_info=error)
        return "451 4.3.0 Try again later"


class _Full(asyncio.Protocol):
    """A connection for which there is no room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(b"421 4.3.2 Too many connections\r\n")
        transport.close()


@asynccontextmanager
async def open_listener(
    settings: BounceSettings, facts: Facts, *, most: int = _MOST_CONNECTIONS, life_s: float = _LIFE_S
) -> AsyncIterator[int]:
    """Listens until the end of the block, on the port that it answers."""
    handler = Reports(BounceAddresses(settings.domain, settings.secret), facts)

    def connection() -> Any:
        for one in [one for one in alive if one.transport is None]:
            del alive[one]
        if len(alive) >= most and not _make_room(alive, older_than=loop.time() - life_s):
            return _Full()
        made = SMTP(handler, data_size_limit=_MOST_BYTES, hostname=settings.domain, ident="Clarion", timeout=_IDLE_S, loop=loop)
        alive[made] = loop.time()
        return made

    alive: dict[SMTP, float] = {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, settings.host, settings.port)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for one in alive:
            if one.transport is not None:
                one.transport.close()


def _make_room(alive: dict[SMTP, float], *, older_than: float) -> bool:
    """Ends the connection that has lasted the longest, if it has lasted too long."""
    oldest = next(iter(alive))
    if alive[oldest] > older_than:
        return False
    del alive[oldest]
    if isinstance(oldest.transport, asyncio.WriteTransport):
        oldest.transport.abort()
    return True
