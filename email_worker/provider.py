"""SMTP: a pool of kept connections, and the dialogue over them. Raises DeliveryError only."""

import asyncio
import logging
import re
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiosmtplib
from aiosmtplib import (
    SMTPAuthenticationError,
    SMTPConnectResponseError,
    SMTPException,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from delivery.errors import DeliveryError, Fault
from delivery.models import ProviderUnavailable
from email_worker.errors import SmtpOutcomeUnknown, SmtpRejected, SmtpSenderRefused, SmtpUnavailable
from email_worker.models import ComposedMail
from email_worker.replies import Reply, Step, refusal
from email_worker.settings import SmtpSettings
from mesh.resilience.periodic import Periodic

log = logging.getLogger(__name__)

_ENDED = (SMTPServerDisconnected, SMTPTimeoutError, TimeoutError, OSError)
_CHECK_TIMEOUT_S = 5.0
_UNANSWERED_S = 20
_QUIT_TIMEOUT_S = 2.0
_CLOSING = 421
_START_MAIL = 354
_LEADING_DOT = re.compile(rb"(?m)^\.")


@dataclass(slots=True)
class _Connection:
    smtp: aiosmtplib.SMTP
    sent: int = 0
    idle_since_s: float = 0.0


class _Stale(Exception):
    """The kept connection had ended before anything was handed over."""


class SmtpProvider:
    """Sends through at most `pool_size` connections, opened when they are needed. Close it with `close`."""

    def __init__(self, settings: SmtpSettings, *, sender: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._from = f"FROM:<{sender}>".encode("ascii")
        self._clock = clock
        self._tls = None if settings.tls == "none" else ssl.create_default_context(cafile=settings.ca_file or None)
        self._slots = asyncio.Semaphore(settings.pool_size)
        self._idle: list[_Connection] = []

    async def send(self, mail: ComposedMail) -> None:
        """Returns when the server has taken the mail.

        Raises one of `email_worker/errors.py`, as `email_worker/replies.py` decides.
        """
        async with self._slots:
            connection = await self._take()
            try:
                await self._send_over(connection, mail)
            except _Stale:
                await self._send_over(await self._open(), mail)

    async def close(self) -> None:
        """Says goodbye on the connections that are idle."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(_quit(connection) for connection in idle))

    async def close_idle(self) -> None:
        """Closes the connections that were not needed for `idle_s`."""
        now_s = self._clock()
        old = [connection for connection in self._idle if now_s - connection.idle_since_s > self._settings.idle_s]
        self._idle = [connection for connection in self._idle if connection not in old]
        await asyncio.gather(*(_quit(connection) for connection in old))

    async def _take(self) -> _Connection:
        """The connection that was used last, if it still answers; else a new one."""
        while self._idle:
            connection = self._idle.pop()
            idle_s = self._clock() - connection.idle_since_s
            fresh = idle_s <= self._settings.check_after_s
            if connection.smtp.is_connected and idle_s <= self._settings.idle_s and (fresh or await _answers(connection.smtp)):
                return connection
            connection.smtp.close()
        return await self._open()

    async def _open(self) -> _Connection:
        settings = self._settings
        smtp = aiosmtplib.SMTP(
            hostname=settings.host, port=settings.port, timeout=settings.connect_timeout_s, local_hostname=settings.helo,
            use_tls=settings.tls == "tls", start_tls=settings.tls == "starttls", tls_context=self._tls,
            username=settings.user or None, password=settings.password or None,
        )  # fmt: skip
        try:
            async with asyncio.timeout(settings.connect_timeout_s):
                await smtp.connect()
                if smtp.is_ehlo_or_helo_needed:
                    await smtp.ehlo()
        except (SMTPException, OSError, TimeoutError, ValueError) as error:
            smtp.close()
            raise _not_opened(error) from error
        except BaseException:
            smtp.close()
            raise
        smtp.timeout = settings.timeout_s
        _notice_a_dead_network(smtp.transport)
        return _Connection(smtp)

    async def _send_over(self, connection: _Connection, mail: ComposedMail) -> None:
        """One transaction. Afterwards the connection is kept or closed, whatever happened."""
        keep = False
        try:
            await self._transact(connection, mail)
            connection.sent += 1
            keep = connection.sent < self._settings.max_messages
        except DeliveryError as error:
            keep = not isinstance(error, ProviderUnavailable) and await _answers(connection.smtp)
            raise
        finally:
            if keep and connection.smtp.is_connected:
                connection.idle_since_s = self._clock()
                self._idle.append(connection)
            elif connection.smtp.is_connected and connection.sent >= self._settings.max_messages:
                await _quit(connection)
            else:
                connection.smtp.close()

    async def _transact(self, connection: _Connection, mail: ComposedMail) -> None:
        smtp = connection.smtp
        encoding = "utf-8" if mail.utf8 else "ascii"
        if mail.utf8 and not smtp.supports_extension("smtputf8"):
            raise SmtpRejected("SMTP_NO_SMTPUTF8", "the server takes no addresses outside ASCII", fault=Fault.RECIPIENT)
        options = (b"SMTPUTF8", b"BODY=8BITMIME") if mail.utf8 else ()
        commands = (
            (Step.MAIL, (b"MAIL", f"FROM:<{mail.returns_to}>".encode("ascii") if mail.returns_to else self._from, *options)),
            (Step.RCPT, (b"RCPT", f"TO:<{mail.recipient}>".encode(encoding))),
            (Step.DATA, (b"DATA",)),
        )
        try:
            for step, command in commands:
                reply = Reply(*await smtp.execute_command(*command))
                if reply.code == _CLOSING and connection.sent:
                    raise _Stale
                if not (reply.code == _START_MAIL if step is Step.DATA else reply.accepted):
                    raise refusal(reply, step, mail.recipient)
        except _ENDED as error:
            if connection.sent and not isinstance(error, TimeoutError):
                raise _Stale from error
            raise _unavailable(error) from error
        except SMTPResponseException as error:
            raise SmtpUnavailable("SMTP_PROTOCOL", "the server does not speak SMTP") from error
        await self._hand_over(smtp, mail)

    async def _hand_over(self, smtp: aiosmtplib.SMTP, mail: ComposedMail) -> None:
        """The text and the final dot. From the first byte on no answer means that the outcome is unknown."""
        protocol = smtp.protocol
        if protocol is None:
            raise SmtpUnavailable("SMTP_DISCONNECTED", "the server closed the connection")
        try:
            protocol.write(_LEADING_DOT.sub(b"..", mail.message) + b".\r\n")
            reply = Reply(*await protocol.read_response(timeout=self._settings.data_timeout_s))
        except (*_ENDED, SMTPResponseException) as error:
            raise SmtpOutcomeUnknown(_unavailable(error).reason, "no answer after the mail was handed over") from error
        if not reply.accepted:
            raise refusal(reply, Step.DOT, mail.recipient)


@asynccontextmanager
async def open_provider(settings: SmtpSettings, *, sender: str) -> AsyncIterator[SmtpProvider]:
    """The provider with idle connections closed in the background."""
    provider = SmtpProvider(settings, sender=sender)

    tidying = Periodic("smtp-idle", provider.close_idle, interval_s=settings.idle_s / 2, at_once=False)
    tidying.start()
    try:
        yield provider
    finally:
        await tidying.close()
        await provider.close()


def _notice_a_dead_network(transport: asyncio.BaseTransport | None) -> None:
    """Ends the connection when its peer's kernel acknowledges nothing for `_UNANSWERED_S` (tcp(7); RFC 5482).

    A server may take minutes for an answer; while it does, only its kernel can say that it is still there.
    """
    connection = transport.get_extra_info("socket") if transport is not None else None
    if connection is None:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, _UNANSWERED_S // 2))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, _UNANSWERED_S // 4))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNANSWERED_S * 1000)


async def _answers(smtp: aiosmtplib.SMTP) -> bool:
    """Whether the connection is alive; forgets an unfinished transaction."""
    try:
        await smtp.rset(timeout=_CHECK_TIMEOUT_S)
    except (SMTPException, *_ENDED):
        return False
    return True


async def _quit(connection: _Connection) -> None:
    try:
        await connection.smtp.quit(timeout=_QUIT_TIMEOUT_S)
    except (SMTPException, *_ENDED) as error:
        # the connection is to be gone, and it is
        log.debug("no goodbye from the SMTP server", extra={"error": type(error).__name__})
    finally:
        connection.smtp.close()


def _not_opened(error: BaseException) -> DeliveryError:
    """Why there is no session. Whatever the server said before it has seen an envelope is no mail's fault."""
    if isinstance(error, SMTPAuthenticationError):
        said = refusal(Reply(error.code, error.message), Step.AUTH)
        return type(said)("SMTP_AUTH", f"the server refuses our credentials with {error.code}", fault=said.fault)
    if isinstance(error, SMTPConnectResponseError):
        return refusal(Reply(error.code, error.message), Step.GREETING)
    if isinstance(error, SMTPResponseException):
        # EHLO, HELO and STARTTLS have the same rules
        return refusal(Reply(error.code, error.message), Step.EHLO)
    if isinstance(error, SMTPException) and not isinstance(error, OSError):
        # aiosmtplib's own words: the server offers no STARTTLS, no AUTH, or no mechanism that we have
        reason = "SMTP_TLS" if "TLS" in str(error) else "SMTP_AUTH"
        return SmtpSenderRefused(reason, "the server does not offer what is configured: " + ("TLS" if reason == "SMTP_TLS" else "AUTH"))
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        return SmtpUnavailable("SMTP_PROTOCOL", "the server does not speak SMTP")
    return _unavailable(error)


def _unavailable(error: BaseException) -> DeliveryError:
    """No connection, no answer, or no trust."""
    if isinstance(error, TimeoutError):
        return SmtpUnavailable("SMTP_TIMEOUT", "the server did not answer in time")
    failed = error if isinstance(error, ssl.SSLError) else error.__cause__
    if isinstance(failed, ssl.SSLCertVerificationError):
        return SmtpSenderRefused("SMTP_TLS", f"no trusted connection: {failed.reason or 'handshake failed'}")
    if isinstance(failed, ssl.SSLError):
        return SmtpUnavailable("SMTP_TLS", f"no trusted connection: {failed.reason or 'handshake failed'}")
    if isinstance(error, SMTPServerDisconnected):
        return SmtpUnavailable("SMTP_DISCONNECTED", "the server closed the connection")
    if isinstance(error, SMTPResponseException):
        return SmtpUnavailable("SMTP_PROTOCOL", "the server does not speak SMTP")
    return SmtpUnavailable("SMTP_CONNECT", "can't connect to the server")
