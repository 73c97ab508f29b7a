"""The floor of each layer on this machine, in the same run: what the layer does when nothing of ours is around it."""

import asyncio
import shutil
import sys
import time
from pathlib import Path

import aiormq
import asyncpg
from pamqp import commands

from bench.wrk import wrk
from mesh.testing import free_port

_ASGI = """
import uvicorn

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 202, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b'{"id":"x"}'})

uvicorn.run(app, host="127.0.0.1", port=PORT, http="httptools", loop="uvloop", access_log=False, log_level="warning")
"""


async def asgi(folder: Path, *, seconds: int) -> float:
    """Requests/s of uvicorn with an application that does nothing."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _ASGI.replace("PORT", str(port)))
    try:
        await _listening(port)
        load = await wrk(folder, f"http://127.0.0.1:{port}", key="x", users=["x"], seconds=seconds)
    finally:
        process.terminate()
        await process.wait()
    return load.per_s


async def inserts(url: str, *, seconds: float, rows: int = 32) -> float:
    """Rows/s of one connection that commits `rows` at a time into a table with a primary key."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("DROP TABLE IF EXISTS floor")
        await connection.execute("CREATE TABLE floor (id bigint PRIMARY KEY, body bytea, at timestamptz DEFAULT now())")
        body, done, begun = b"x" * 300, 0, time.perf_counter()
        while (elapsed := time.perf_counter() - begun) < seconds:
            await connection.execute(
                "INSERT INTO floor (id, body) SELECT n, $2 FROM unnest($1::bigint[]) AS n", list(range(done, done + rows)), body
            )
            done += rows
        await connection.execute("DROP TABLE floor")
    finally:
        await connection.close()
    return round(done / elapsed, 1)


async def publishes(url: str, *, seconds: float, window: int = 32) -> float:
    """Persistent, confirmed, mandatory publishes/s into a quorum queue with `window` in flight."""
    connection = await aiormq.connect(url)
    try:
        channel = await connection.channel(on_return_raises=True)
        await channel.queue_declare("floor", durable=True, arguments={"x-queue-type": "quorum"})
        body, done, begun = b"x" * 300, 0, time.perf_counter()

        async def publish() -> None:
            nonlocal done
            while time.perf_counter() - begun < seconds:
                properties = commands.Basic.Properties(delivery_mode=2, message_id=str(done))
                await channel.basic_publish(body, routing_key="floor", properties=properties, mandatory=True, timeout=10)
                done += 1

        await asyncio.gather(*(publish() for _ in range(window)))
        elapsed = time.perf_counter() - begun
        await channel.queue_delete("floor")
    finally:
        await connection.close()
    return round(done / elapsed, 1)


async def mails(smtp_port: int, *, count: int) -> float:
    """Mails/s from postfix's smtp-source to the sink over 16 sessions."""
    source = shutil.which("smtp-source") or "/usr/sbin/smtp-source"
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        source, "-d", "-s", "16", "-m", str(count), "-l", "1000", "-f", "a@example.test", "-t", "b@example.test", f"127.0.0.1:{smtp_port}"
    )
    if await process.wait():
        raise RuntimeError("smtp-source failed")
    return round(count / (time.perf_counter() - begun), 1)


async def _listening(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            await writer.wait_closed()
            return
