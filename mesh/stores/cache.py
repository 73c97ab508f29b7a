"""Redis (or Valkey): one client per process, with time-outs short enough that a sick Redis slows no caller down."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from mesh.errors import Unavailable
from mesh.stores.settings import CacheSettings


@asynccontextmanager
async def open_cache(settings: CacheSettings) -> AsyncIterator[Redis]:
    """A client that connects on first use. Its commands raise redis.exceptions.RedisError when Redis is down; callers decide what then."""
    client = Redis.from_url(
        settings.url,
        decode_responses=False,
        socket_timeout=settings.timeout_s,
        socket_connect_timeout=settings.timeout_s,
        health_check_interval=30,
        # one retry, at once, only where the kept connection turned out dead: a restarted Redis costs no caller an error
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    )
    try:
        yield client
    finally:
        await client.aclose()


async def server_time_s(client: Redis) -> float:
    """Redis's own Unix time in seconds, by which all processes may agree. Raises Unavailable."""
    try:
        seconds, microseconds = await client.time()
    except (RedisError, OSError, TimeoutError) as error:
        raise Unavailable("Redis is not available", reason="REDIS_UNAVAILABLE") from error
    return seconds + microseconds / 1e6
