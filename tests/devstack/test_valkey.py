"""Facts about the private Valkey."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from devstack.valkey import ValkeyServer


async def _value(url: str, name: str) -> object:
    client = Redis.from_url(url)
    try:
        return await client.get(name)
    finally:
        await client.aclose()


@pytest.mark.processes
async def test_a_folder_keeps_what_was_stored(tmp_path: Path) -> None:
    """With a folder, a restart brings everything back."""
    with ValkeyServer(tmp_path) as server:
        client = Redis.from_url(server.url())
        await client.set("answer", "42")
        await client.aclose()
    with ValkeyServer(tmp_path) as server:
        assert await _value(server.url(), "answer") == b"42"


async def test_each_test_starts_empty(redis_url: str) -> None:
    """The session's server is flushed before a test."""
    assert await _value(redis_url, "answer") is None
