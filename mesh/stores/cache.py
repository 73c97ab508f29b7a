"""Redis (or Valkey): one client per process, with time-outs short enough that a sick Redis slows no caller down."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from mesh.errors import Unavailable
from mesh.process.hosts import with_each_host
from mesh.stores.settings import SENTINEL_SCHEMES, CacheSettings


@asynccontextmanager
async def open_cache(settings: CacheSettings) -> AsyncIterator[Redis]:
    """A client that connects on first use. Its commands raise redis.exceptions.RedisError when Redis is down; callers decide what then."""
    options: dict[str, Any] = {
        "decode_responses": False,
        "socket_timeout": settings.timeout_s,
        "socket_connect_timeout": settings.timeout_s,
        "health_check_interval": 30,
        # one retry, at once, only where the kept connection turned out dead: a restarted Redis costs no caller an error
        "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    }
    by_sentinels = settings.url.startswith(SENTINEL_SCHEMES)
    opened = _behind_sentinels(settings, options) if by_sentinels else aclosing(Redis.from_url(settings.url, **options))
    async with opened as client:
        yield client


@asynccontextmanager
async def _behind_sentinels(settings: CacheSettings, options: dict[str, Any]) -> AsyncIterator[Redis]:
    """A client of the primary, for which the Sentinels are asked at each connection. A primary that no longer takes writes ends its own."""
    each = [urlsplit(url) for url in with_each_host(settings.url)]
    parts, query = each[0], dict(parse_qsl(each[0].query))
    tls = _tls_of(parts.scheme, parts.query)
    sentinels = Sentinel(  # type: ignore[no-untyped-call]  # its constructor alone has no types
        [(one.hostname or "localhost", one.port or 26379) for one in each],
        sentinel_kwargs={
            "socket_timeout": settings.timeout_s,
            "socket_connect_timeout": settings.timeout_s,
            "password": query.get("sentinel_password"),
            **tls,
        },
    )
    client: Redis = sentinels.master_for(
        query.get("master", "mymaster"),
        db=int(parts.path.strip("/") or 0),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        **options,
        **tls,
    )
    async with AsyncExitStack() as stack:
        for sentinel in sentinels.sentinels:
            _ = await stack.enter_async_context(aclosing(sentinel))
        yield await stack.enter_async_context(aclosing(client))


def _tls_of(scheme: str, query: str) -> dict[str, Any]:
    """The options of TLS as redis-py reads them for one server."""
    if not scheme.startswith("rediss"):
        return {}
    read = parse_url(f"rediss://localhost/?{query}")
    return {"ssl": True, **{name: value for name, value in read.items() if name.startswith("ssl_")}}


async def server_time_s(client: Redis) -> float:
    """Redis's own Unix time in seconds, by which all processes may agree. Raises Unavailable."""
    try:
        seconds, microseconds = await client.time()
    except (RedisError, OSError, TimeoutError) as error:
        raise Unavailable("Redis is not available", reason="REDIS_UNAVAILABLE") from error
    return seconds + microseconds / 1e6
