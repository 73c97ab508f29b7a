"""The proxy of the drills does to a connection what it says."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.system.drills.proxy import Mode, Proxy


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """The port of a server that says everything again."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1024):
                writer.write(data)
        except ConnectionError:
            pass  # that is what the proxy is for
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1")
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def proxy(echo: int) -> AsyncIterator[Proxy]:
    """A proxy before it."""
    async with Proxy(echo) as running:
        yield running


async def _connect(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def _read_from_new(proxy: Proxy) -> bytes:
    reader, writer = await _connect(proxy)
    try:
        return await reader.read()
    finally:
        writer.close()


async def _echoed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, word: bytes) -> bytes:
    writer.write(word)
    async with asyncio.timeout(10):
        return await reader.readexactly(len(word))


async def test_it_forwards_in_both_directions_until_either_side_ends(proxy: Proxy) -> None:
    reader, writer = await _connect(proxy)
    assert await _echoed(reader, writer, b"one" * 50_000) == b"one" * 50_000
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()


async def test_latency_delays_each_direction(proxy: Proxy) -> None:
    await proxy.misbehave(Mode.LATENCY, delay_s=0.1)
    reader, writer = await _connect(proxy)
    begun = time.monotonic()
    assert await _echoed(reader, writer, b"late") == b"late"
    assert time.monotonic() - begun >= 0.2
    writer.close()


async def test_a_cut_closes_what_is_open_and_refuses_what_comes(proxy: Proxy) -> None:
    reader, writer = await _connect(proxy)
    assert await _echoed(reader, writer, b"one") == b"one"
    await proxy.misbehave(Mode.CUT)
    assert await reader.read() == b""
    with pytest.raises(ConnectionRefusedError):
        await _connect(proxy)
    writer.close()


async def test_a_reset_reaches_old_and_new_connections(proxy: Proxy) -> None:
    reader, writer = await _connect(proxy)
    assert await _echoed(reader, writer, b"one") == b"one"
    await proxy.misbehave(Mode.RESET)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    with pytest.raises(ConnectionResetError):
        await _read_from_new(proxy)
    writer.close()


async def test_a_black_hole_takes_everything_and_gives_it_back_when_it_is_healed(proxy: Proxy) -> None:
    """Old connections fall silent, new ones are accepted; nothing of what was said is lost."""
    old = await _connect(proxy)
    assert await _echoed(*old, b"one") == b"one"
    await proxy.misbehave(Mode.BLACK_HOLE)
    new = await _connect(proxy)
    waiting = [asyncio.create_task(_echoed(*connection, b"two")) for connection in (old, new)]
    done, _ = await asyncio.wait(waiting, timeout=0.2)
    assert not done
    await proxy.heal()
    assert await asyncio.gather(*waiting) == [b"two", b"two"]
    for _, writer in (old, new):
        writer.close()


@pytest.mark.parametrize("mode", [Mode.LATENCY, Mode.CUT, Mode.RESET, Mode.BLACK_HOLE])
async def test_it_heals_on_the_same_port(proxy: Proxy, mode: Mode) -> None:
    port = proxy.port
    await proxy.misbehave(mode, delay_s=0.05)
    await proxy.heal()
    assert (proxy.port, proxy.mode) == (port, Mode.OPEN)
    reader, writer = await _connect(proxy)
    assert await _echoed(reader, writer, b"well") == b"well"
    writer.close()


async def test_half_open_connections_stay_silent_and_new_ones_wait_for_the_end_of_it(proxy: Proxy) -> None:
    reader, writer = await _connect(proxy)
    await _echoed(reader, writer, b"before")
    await proxy.misbehave(Mode.HALF_OPEN)
    writer.write(b"lost")
    silent = asyncio.create_task(reader.read(1))
    connecting = asyncio.create_task(_connect(proxy))
    done, _ = await asyncio.wait({silent, connecting}, timeout=0.3)
    assert not done
    await proxy.heal()
    # the SYN is sent again after a second; the first connection is forgotten for good
    other_reader, other_writer = await connecting
    assert await _echoed(other_reader, other_writer, b"after") == b"after"
    assert not silent.done()
    silent.cancel()
    writer.close()
    other_writer.close()
