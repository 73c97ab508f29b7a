"""Calls to endpoints over HTTP. aiohttp connects to the addresses that its resolver answers, so that what is checked is what is called."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway.webhooks.addresses import is_allowed, literal_of
from gateway.webhooks.models import Attempt
from gateway.webhooks.settings import EgressSettings
from mesh.errors import Unavailable

log = logging.getLogger(__name__)

_REPLY_BYTES = 1024
_CONNECT_S = 5.0
_RESOLVERS = 32


class ForbiddenAddress(OSError):
    """The name leads to an address that is not public."""


class CheckedResolver(AbstractResolver):
    """The system's resolver; a name of which one address is forbidden is forbidden."""

    def __init__(self, settings: EgressSettings) -> None:
        self._settings = settings
        # names of endpoints that no server answers for must not hold up those of other ones
        self._threads = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="resolve")

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """Raises ForbiddenAddress, or OSError for a name that is not known."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM))
        for *_, address in found:
            if not is_allowed(str(address[0]), self._settings.allow):
                raise ForbiddenAddress
        return [
            ResolveResult(hostname=host, host=str(address[0]), port=int(address[1]), family=kind, proto=proto, flags=socket.AI_NUMERICHOST)
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Lets go of the threads; one that waits for a server of names ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Egress:
    """Posts to endpoints. `open_egress` makes one."""

    def __init__(self, session: aiohttp.ClientSession, settings: EgressSettings) -> None:
        self._session = session
        self._settings = settings

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Attempt:
        """What came of one call. Never fails; redirects are answers like any other."""
        began, now = time.monotonic(), datetime.now(UTC)
        status, reason, reply, retry_after_s = 0, "", "", None
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                self._check_literal(url)
                async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                    status, retry_after_s = response.status, _retry_after_s(response.headers.get("Retry-After", ""))
                    reply = await _start_of(response)
        except TimeoutError:
            reason = "TIMEOUT"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = _reason_of(error)
        if status and reason:  # an answer of which the rest did not come is an answer
            reason = ""
        duration_ms = round((time.monotonic() - began) * 1000)
        return Attempt(now, duration_ms, status, reason, reply, retry_after_s)

    async def get(self, url: str, *, most_bytes: int = 65_536) -> bytes:
        """The body of a successful answer. Raises Unavailable; redirects are none."""
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                self._check_literal(url)
                async with self._session.get(url, allow_redirects=False) as response:
                    body = bytearray()
                    while len(body) <= most_bytes and (part := await response.content.read(most_bytes + 1 - len(body))):
                        body += part
                    status = response.status
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            reason = "TIMEOUT" if isinstance(error, TimeoutError) else _reason_of(error)
            raise Unavailable(f"the address of the provider does not answer: {reason}") from error
        if status != HTTPStatus.OK or len(body) > most_bytes:
            raise Unavailable(f"the address of the provider answers {status} with {len(body)} bytes")
        return bytes(body)

    def _check_literal(self, url: str) -> None:
        """An address in place of a name is not given to the resolver."""
        literal = literal_of(url)
        if literal is not None and not is_allowed(literal, self._settings.allow):
            raise ForbiddenAddress


@asynccontextmanager
async def open_egress(settings: EgressSettings) -> AsyncIterator[Egress]:
    """Connections are kept open between calls, for as long as a server keeps them, and never go through a proxy of the environment."""
    resolver = CheckedResolver(settings)
    connector = aiohttp.TCPConnector(resolver=resolver, limit=0, limit_per_host=0, ttl_dns_cache=10, keepalive_timeout=30)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
    headers = {"user-agent": "Clarion-Webhooks", "content-type": "application/json", "accept-encoding": "identity"}
    try:
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
        ) as session:
            yield Egress(session, settings)
    finally:
        await resolver.close()


async def _start_of(response: aiohttp.ClientResponse) -> str:
    """The first kilobyte of an answer. A longer one costs the connection, and no more."""
    found = b""
    while len(found) <= _REPLY_BYTES and (part := await response.content.read(_REPLY_BYTES + 1 - len(found))):
        found += part
    if len(found) > _REPLY_BYTES:
        response.close()
    return found[:_REPLY_BYTES].decode("utf-8", "replace").replace("\0", "\ufffd")


def _retry_after_s(text: str) -> float | None:
    """Seconds only: a date would be read by two clocks."""
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _reason_of(error: Exception) -> str:
    """A word for what went wrong; an error's own words may hold addresses."""
    causes = []
    cause: BaseException | None = error
    while cause is not None:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    if any(isinstance(each, ForbiddenAddress) for each in causes):
        return "ADDRESS_FORBIDDEN"
    for kind, reason in (
        (aiohttp.ClientConnectorDNSError, "NAME_NOT_FOUND"),
        (aiohttp.ClientConnectorCertificateError, "CERTIFICATE_INVALID"),
        (aiohttp.ClientSSLError, "TLS_FAILED"),
        (aiohttp.ServerTimeoutError, "TIMEOUT"),
        (aiohttp.ClientConnectorError, "CONNECTION_REFUSED"),
        (aiohttp.InvalidURL, "URL_INVALID"),
        (UnicodeError, "URL_INVALID"),  # a host that no name can be, such as a..b
        (aiohttp.ClientPayloadError, "ANSWER_INVALID"),
        (aiohttp.ClientResponseError, "ANSWER_INVALID"),
    ):
        if isinstance(error, kind):
            return reason
    return "CONNECTION_LOST"
