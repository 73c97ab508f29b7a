"""Everything that the benchmark runs against: real PostgreSQL, Valkey, RabbitMQ, postfix's smtp-sink, and Clarion's five processes."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack.client import Client
from devstack.fcm import open_fcm_server
from devstack.postgres import PostgresServer
from devstack.processes import API_KEY, ProcessStack
from devstack.rabbitmq import RabbitMQServer
from devstack.valkey import ValkeyServer
from mesh.testing import free_port

# the limits are for people, not for a benchmark that is one caller and writes to a thousand people
_UNLIMITED = {"CLARION_CALLER_LIMIT": "10000000", "CLARION_RECIPIENT_LIMIT": "10000000"}
_HTML = """<!doctype html>
<html><body>
<p>Hello {{ name }},</p>
<p>Your order <b>{{ order }}</b> of {{ total }} was sent.</p>
<ul><li>one</li><li>two</li></ul>
<p><a href="https://example.test/o/{{ order }}">See your order</a></p>
</body></html>
"""
_TEXT = """Hello {{ name }},

Your order {{ order }} of {{ total }} was sent.

* one
* two

See https://example.test/o/{{ order }}
"""


@dataclass(frozen=True, slots=True)
class Bench:
    """What is running."""

    folder: Path
    processes: ProcessStack
    postgres: PostgresServer
    rabbitmq: RabbitMQServer
    smtp_port: int
    users: list[str]
    store_pids: Mapping[str, int]

    def pids(self) -> dict[str, int]:
        """Every process by name, stores and sink included."""
        return {**{name: process.pid for name, process in self.processes.processes.items()}, **self.store_pids}


@asynccontextmanager
async def open_bench(folder: Path, *, users: int, gateways: int = 1) -> AsyncIterator[Bench]:
    """Starts everything with so many gateways, seeds `users` people and the template `order`, and stops it all at the end."""
    async with AsyncExitStack() as stack:
        postgres, valkey, rabbitmq = PostgresServer(folder / "postgres"), ValkeyServer(), RabbitMQServer()
        for server in (postgres, valkey, rabbitmq):
            await asyncio.to_thread(server.start)
            stack.callback(server.stop)
        stack.callback(rabbitmq.close)
        smtp_port = free_port()
        sink = await stack.enter_async_context(_sink(smtp_port))
        fcm = await stack.enter_async_context(open_fcm_server(folder / "fcm"))
        shared = {
            **_UNLIMITED,
            **fcm.environ(),
            "CLARION_REDIS_URL": valkey.url(),
            "CLARION_AMQP_URL": rabbitmq.url,
            "CLARION_SMTP_HOST": "127.0.0.1",
            "CLARION_SMTP_PORT": str(smtp_port),
            "CLARION_SMTP_TLS": "none",
            "CLARION_SMTP_FROM": "no-reply@notify.test",
            "CLARION_LOG_LEVEL": os.environ.get("CLARION_LOG_LEVEL", "WARNING"),
        }
        processes = await stack.enter_async_context(ProcessStack(folder, postgres, shared, gateways=gateways))
        people = await _seed(processes, users)
        pids = {"postgresql": postgres.pid, "valkey": valkey.pid, "rabbitmq": rabbitmq.pid, "smtp-sink": sink}
        yield Bench(folder, processes, postgres, rabbitmq, smtp_port, people, pids)


@asynccontextmanager
async def _sink(port: int) -> AsyncIterator[int]:
    program = shutil.which("smtp-sink") or "/usr/sbin/smtp-sink"
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = await asyncio.create_subprocess_exec(program, *user, f"127.0.0.1:{port}", "1024")
    try:
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


async def _seed(processes: ProcessStack, users: int) -> list[str]:
    async with Client(processes.url, API_KEY) as client:
        content = {"subject": "Order {{ order }}", "html": _HTML, "text": _TEXT}
        await client.create_template("order", "email", {"en": content})
        gate = asyncio.Semaphore(16)

        async def create(number: int) -> str:
            async with gate:
                return await client.create_user(f"user{number}@example.com", name=f"Ann {number}")

        return list(await asyncio.gather(*(create(number) for number in range(users))))
