"""The commands of docs/backup.md, run as they stand: what was accepted before a backup is delivered after its restore."""

import asyncio
import os
import re
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from devstack.client import Client
from devstack.postgres import BINARIES, PostgresServer
from devstack.processes import API_KEY, ROOT
from devstack.samples import WELCOME
from devstack.smtp import replies
from devstack.stack import ANY_PORTS, Stack, open_stack
from devstack.valkey import ValkeyServer
from gateway.notifications.models import Status
from tests.fixtures_broker import remove_topology
from tests.fixtures_postgres import StackFolder

pytestmark = pytest.mark.system

PACKAGES = ("gateway", "user_svc", "template_svc")
SENT, DEFERRED, SCHEDULED = 40, 10, 10


def _run(block: str, server: PostgresServer, folder: Path) -> None:
    """Runs a block of the document against a server's databases."""
    (commands,) = re.findall(rf"^ *```sh {block}\n(.*?)^ *```$", (ROOT / "docs" / "backup.md").read_text(), re.MULTILINE | re.DOTALL)
    urls = {f"{package.upper()}_DATABASE_URL": server.url(f"clarion_{package}") for package in PACKAGES}
    environ = {"PATH": f"{BINARIES}:{os.environ['PATH']}", "BACKUP": str(folder), **urls}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


@asynccontextmanager
async def _system(folder: Path, server: PostgresServer, amqp_url: str) -> AsyncIterator[tuple[Stack, Client]]:
    """Everything on this server's databases, with a Valkey of its own."""
    await remove_topology(amqp_url)
    with ValkeyServer() as valkey:
        environ = {
            "CLARION_POSTGRES_URL": server.url("").rstrip("/"),
            "CLARION_AMQP_URL": amqp_url,
            "CLARION_REDIS_URL": valkey.url(),
            "CLARION_CALLER_LIMIT": "1000000",
            "CLARION_RECIPIENT_LIMIT": "1000000",
            "CLARION_STUCK_AFTER_S": "5",
        }
        async with open_stack(folder, ports=ANY_PORTS, say=lambda _: None, environ=environ) as stack, Client(stack.url, API_KEY) as client:
            yield stack, client


async def _known(server: PostgresServer) -> Counter[Status]:
    connection = await asyncpg.connect(server.url("clarion_gateway"))
    try:
        return Counter(Status(row["status"]) for row in await connection.fetch("SELECT status FROM notifications"))
    finally:
        await connection.close()


async def test_what_was_accepted_before_a_backup_is_delivered_after_its_restore(
    stack_folder: StackFolder, tmp_path: Path, amqp_url: str
) -> None:
    backup = tmp_path / "backup"
    backup.mkdir()
    migrated = stack_folder("first") / "postgres"
    with PostgresServer(migrated, durable=False) as first, PostgresServer(tmp_path / "second", durable=False) as second:
        for package in PACKAGES:
            second.create_database(f"clarion_{package}")
        async with _system(tmp_path / "before", first, amqp_url) as (stack, client):
            assert stack.smtp is not None
            stack.smtp.script_always("later@example.com", replies("451 4.7.1 Later"))
            await client.create_template("welcome", "email", WELCOME)
            now, later = await client.create_user("now@example.com"), await client.create_user("later@example.com")
            due = (datetime.now(UTC) + timedelta(seconds=30)).isoformat()
            done = [await client.send(now, "email", "welcome", {"name": f"N{number}"}) for number in range(SENT)]
            settled = await asyncio.gather(*(client.settled(identifier) for identifier in done))
            assert Counter(notification["status"] for notification in settled) == {"sent": SENT}
            deferred = [await client.send(later, "email", "welcome", {"name": f"L{number}"}) for number in range(DEFERRED)]
            scheduled = [await client.send(now, "email", "welcome", {"name": f"S{number}"}, send_at=due) for number in range(SCHEDULED)]
            sending = asyncio.create_task(_keep_sending(client, now))
            await asyncio.to_thread(_run, "backup", first, backup)
            lost = await sending
            before = Counter(str(mail.message["subject"]) for mail in stack.smtp.mails)
        await asyncio.to_thread(_run, "restore", second, backup)
        restored = await _known(second)
        assert restored.total() >= SENT + DEFERRED + SCHEDULED
        assert restored[Status.SENT] >= SENT, restored
        async with _system(tmp_path / "after", second, amqp_url) as (stack, client):
            assert stack.smtp is not None
            settled = await asyncio.gather(*(client.settled(one, timeout_s=90) for one in (*done, *deferred, *scheduled)))
            assert Counter(notification["status"] for notification in settled) == {"sent": SENT + DEFERRED + SCHEDULED}
            async with asyncio.timeout(60):
                while (books := await _known(second)) != {Status.SENT: restored.total()}:
                    assert books.total() == restored.total()
                    await asyncio.sleep(0.2)
            after = Counter(str(mail.message["subject"]) for mail in stack.smtp.mails)
        wanted = {
            f"Welcome, {letter}{number}" for letter, count in (("N", SENT), ("L", DEFERRED), ("S", SCHEDULED)) for number in range(count)
        }
        assert wanted <= (before + after).keys()
        assert not {f"Welcome, N{number}" for number in range(SENT)} & after.keys(), "what was sent before is not sent again"
        assert restored.total() <= SENT + DEFERRED + SCHEDULED + lost


async def _keep_sending(client: Client, user: str) -> int:
    """Sends while the backup is taken; how many were accepted."""
    for number in range(50):
        await client.send(user, "email", "welcome", {"name": f"D{number}"})
    return 50
