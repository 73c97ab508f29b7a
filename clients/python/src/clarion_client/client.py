"""The two clients: `Clarion` for ordinary code, `AsyncClarion` for asyncio. Both have every public method of the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from clarion_client._attach import AsyncServices, Services
from clarion_client._base import DEFAULT_RETRIES, DEFAULT_TIMEOUT_S, AsyncTransport, Settings, Transport
from clarion_client._http import AsyncHttpTransport, HttpTransport

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


class Clarion(Services):
    """The API. Thread-safe; make one and keep it.

    `url` is the gateway's address (CLARION_URL; by default http://localhost:8000): `https://` and `http://` speak REST, `grpcs://` and
    `grpc://` gRPC. `api_key` is an API key or an access token (CLARION_API_KEY). `timeout_s` bounds each call with its retries, of which
    there are at most `retries`; they follow the server's Retry-After and are made only where repeating a call is safe. A call that creates
    something gets an idempotency key of its own, so that it is. Raises ValueError for an address that is none.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retries: int = DEFAULT_RETRIES,
        headers: Mapping[str, str] | None = None,
        transport: Transport | None = None,
    ) -> None:
        settings = Settings(url, api_key, timeout_s, retries, headers)
        self.transport = transport or _transport(settings)
        super().__init__(self.transport, settings)

    def close(self) -> None:
        """Closes the connections."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class AsyncClarion(AsyncServices):
    """The API for asyncio; see `Clarion`. It belongs to one event loop."""

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retries: int = DEFAULT_RETRIES,
        headers: Mapping[str, str] | None = None,
        transport: AsyncTransport | None = None,
    ) -> None:
        settings = Settings(url, api_key, timeout_s, retries, headers)
        self.transport = transport or _async_transport(settings)
        super().__init__(self.transport, settings)

    async def close(self) -> None:
        """Closes the connections."""
        await self.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


def _transport(settings: Settings) -> Transport:
    if settings.is_grpc:
        # an extra: most callers speak REST and need no grpcio
        from clarion_client._grpc import GrpcTransport

        return GrpcTransport(settings.target, settings.headers, tls=settings.tls)
    return HttpTransport(settings.url, settings.headers)


def _async_transport(settings: Settings) -> AsyncTransport:
    if settings.is_grpc:
        from clarion_client._grpc import AsyncGrpcTransport

        return AsyncGrpcTransport(settings.target, settings.headers, tls=settings.tls)
    return AsyncHttpTransport(settings.url, settings.headers)
