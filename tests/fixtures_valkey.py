"""A real Valkey for tests: one server per session, emptied before each test."""

from collections.abc import Iterator

import pytest
from redis.asyncio import Redis

from devstack.valkey import ValkeyServer


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    """The session's server, without persistence."""
    with ValkeyServer() as server:
        yield server


@pytest.fixture
async def redis_url(valkey_server: ValkeyServer) -> str:
    """The URL of an empty Valkey."""
    client = Redis.from_url(valkey_server.url())
    try:
        await client.flushall()
    finally:
        await client.aclose()
    return valkey_server.url()
