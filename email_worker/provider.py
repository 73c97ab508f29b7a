"""SMTP: a pool of kept connections, and what each kind of refusal means. Raises DeliveryError only."""

import asyncio
import logging
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiosmtplib
from aiosmtplib import (
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from delivery.errors import DeliveryError
from email_worker.errors import SmtpOutcomeUnknown, SmtpRefused, SmtpRejected, SmtpUnavailable
from email_worker.models import ComposedMail
from email_worker.settings import SmtpSettings
from mesh.resilience.periodic import Periodic

log = logging.getLogger(__name__)

_ENDED = (SMTPServerDisconnected, SMTPTimeoutError, TimeoutError, OSError)
_CHECK_TIMEOUT_S = 5.0
_QUIT_TIMEOUT_S = 2.0
_CLOSING = 421
_ANY_ADDRESS = re.compile(r"[^\s<>()\[\]:;,\"']+@[^\s<>()\[\]:;,\"']+")


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

        Raises SmtpRefused (4yz), SmtpRejected (5yz), SmtpUnavailable (no connection, no answer, no trust) or SmtpOutcomeUnknown (no answer
        after the final dot).
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
        """Closes the connections that nobody has needed for `idle_s`."""
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
        except (SMTPException, OSError, TimeoutError) as error:
            smtp.close()
            raise _unavailable(error) from error
        except BaseException:
            smtp.close()
            raise
        smtp.timeout = settings.timeout_s
        return _Connection(smtp)

    async def _send_over(self, connection: _Connection, mail: ComposedMail) -> None:
        """One transaction. Afterwards the connection is kept or closed, whatever happened."""
        keep = False
        try:
            await self._transact(connection, mail)
            connection.sent += 1
            keep = connection.sent < self._settings.max_messages
        except (SmtpRefused, SmtpRejected):
            keep = await _answers(connection.smtp)
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
            raise SmtpRejected("SMTP_NO_SMTPUTF8", "the server takes no addresses outside ASCII")
        try:
            options = (b"SMTPUTF8", b"BODY=8BITMIME") if mail.utf8 else ()
            for command in ((b"MAIL", self._from, *options), (b"RCPT", f"TO:<{mail.recipient}>".encode(encoding))):
                response = await smtp.execute_command(*command)
                if response.code == _CLOSING and connection.sent:
                    raise _Stale
                if not 200 <= response.code < 300:
                    raise _refusal(response.code, response.message, mail)
        except _ENDED as error:
            if connection.sent and not isinstance(error, TimeoutError):
                raise _Stale from error
            raise _unavailable(error) from error
        except SMTPResponseException as error:
            raise SmtpUnavailable("SMTP_PROTOCOL", "the server does not speak SMTP") from error
        try:
            await smtp.data(mail.message, timeout=self._settings.data_timeout_s)
        except SMTPDataError as error:
            raise _refusal(error.code, error.message, mail) from error
        except (*_ENDED, SMTPResponseException) as error:
            raise SmtpOutcomeUnknown(_unavailable(error).reason, "no answer after the mail was handed over") from error


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


def _refusal(code: int, message: str, mail: ComposedMail) -> DeliveryError:
    detail = scrub(message, mail.recipient)
    if code == _CLOSING:
        return SmtpUnavailable(f"SMTP_{code}", detail)
    return SmtpRejected(f"SMTP_{code}", detail) if code >= 500 else SmtpRefused(f"SMTP_{code}", detail)


def _unavailable(error: BaseException) -> SmtpUnavailable:
    """Before the server has taken an envelope nothing is the mail's fault, not even a 5yz."""
    if isinstance(error, SMTPAuthenticationError):
        return SmtpUnavailable("SMTP_AUTH", f"the server refuses our credentials with {error.code}")
    if isinstance(error, SMTPResponseException) and error.code > 0:  # aiosmtplib has -1 for what is no reply at all
        return SmtpUnavailable(f"SMTP_{error.code}", scrub(error.message))
    if isinstance(error, TimeoutError):
        return SmtpUnavailable("SMTP_TIMEOUT", "the server did not answer in time")
    if isinstance(error, ssl.SSLError):
        return SmtpUnavailable("SMTP_TLS", f"no trusted connection: {error.reason or 'handshake failed'}")
    if isinstance(error, SMTPServerDisconnected):
        return SmtpUnavailable("SMTP_DISCONNECTED", "the server closed the connection")
    if isinstance(error, OSError):
        cause = error.__cause__
        if isinstance(cause, ssl.SSLError):
            return SmtpUnavailable("SMTP_TLS", f"no trusted connection: {cause.reason or 'handshake failed'}")
        return SmtpUnavailable("SMTP_CONNECT", "can't connect to the server")
    return SmtpUnavailable("SMTP_TLS" if "STARTTLS" in str(error) else "SMTP_PROTOCOL", str(error))


def scrub(reply: str, recipient: str = "") -> str:
    """A server's reply without the address that it may repeat, on one line, at most 200 characters."""
    line = " ".join(reply.split())
    if recipient:
        line = re.sub(re.escape(recipient), "(address)", line, flags=re.IGNORECASE)
    line = _ANY_ADDRESS.sub("(address)", line)
    local = recipient.rpartition("@")[0]
    if len(local) > 2:
        line = re.sub(rf"(?<!\w){re.escape(local)}(?!\w)", "(address)", line, flags=re.IGNORECASE)
    return line[:200]
