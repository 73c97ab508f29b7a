"""The whole system behind a PgBouncer that lends three servers to each database, transaction by transaction."""

import asyncio
import logging
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from devstack.client import Client
from devstack.postgres import PostgresServer
from devstack.processes import API_KEY
from devstack.samples import WELCOME
from devstack.stack import ANY_PORTS, open_stack
from tests.pgbouncer import PROGRAM, pgbouncer
from tests.waiting import until_answered

pytestmark = [pytest.mark.system, pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")]

COUNT = 150
SERVERS = 3

log = logging.getLogger(__name__)


async def _all_changes(client: Client) -> dict[str, list[str]]:
    """The statuses of each notification in the order of the feed."""
    ways: dict[str, list[str]] = defaultdict(list)
    cursor, more = "", True
    while more:
        page = await client.call("GET", f"/v1/changes?page_size=100&cursor={cursor}")
        for change in page["changes"]:
            ways[change["notification_id"]].append(change["status"])
        cursor, more = page.get("next_cursor", ""), page.get("has_more", False)
    return ways


async def _the_feed_has_each_change_once(client: Client, ids: list[str]) -> None:
    ways: dict[str, list[str]] = {}

    async def all_sent() -> bool:
        ways.update(await _all_changes(client))
        return all(ways.get(one, [])[-1:] == ["sent"] for one in ids)

    await until_answered(all_sent)
    # the outcome of a quick one overtakes the note that it was queued, and a slow one is queued once more
    assert all(ways[one][0] == "pending" and {*ways[one][1:-1]} <= {"queued"} for one in ids)


async def test_migrate_accept_deliver_and_feed_by_way_of_pgbouncer(tmp_path: Path) -> None:
    with PostgresServer(tmp_path / "postgres", durable=False) as server:
        for package in ("gateway", "user_svc", "template_svc"):
            server.create_database(f"clarion_{package}")
        with pgbouncer(tmp_path / "pgbouncer", server.url(), servers=SERVERS) as url:
            environ = {
                "CLARION_POSTGRES_URL": url,
                "CLARION_DATABASE_TRANSACTION_POOLING": "true",
                "CLARION_CALLER_LIMIT": "1000000",
                "CLARION_RECIPIENT_LIMIT": "1000000",
            }
            async with (
                open_stack(tmp_path / "data", ports=ANY_PORTS, say=lambda _: None, environ=environ) as stack,
                Client(stack.url, API_KEY, timeout_s=60) as client,
            ):
                await _use(client)
                assert stack.smtp is not None
                mails = Counter(str(mail.message["subject"]) for mail in stack.smtp.mails)
            ours = "datname LIKE 'clarion_%' AND backend_type = 'client backend'"  # autovacuum's workers are listed too
            of_each = server.psql(f"SELECT count(*) FROM pg_stat_activity WHERE {ours} GROUP BY datname").split()
            assert len(of_each) == 3
            assert max(map(int, of_each)) <= SERVERS
            assert server.psql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").strip() == "0"
    assert len(mails) == sum(mails.values()) == COUNT


async def _use(client: Client) -> None:
    await client.create_template("welcome", "email", WELCOME)
    user = await client.create_user("pooled@example.com")
    begun_at = time.monotonic()

    gate = asyncio.Semaphore(16)

    async def one(number: int) -> str:
        body: dict[str, Any] = {"user_id": user, "channel": "email", "template": "welcome", "variables": {"name": f"P{number}"}}
        async with gate:
            return await client.accepted(body, f"pooled-{number}")

    ids = list(await asyncio.gather(*(one(number) for number in range(COUNT))))
    settled = await asyncio.gather(*(client.settled(identifier, timeout_s=180) for identifier in ids))
    log.info("%d sent in %.1f s", COUNT, time.monotonic() - begun_at)
    assert Counter(notification["status"] for notification in settled) == {"sent": COUNT}
    await _the_feed_has_each_change_once(client, ids)
    page = await client.call("GET", "/v1/notifications?page_size=50&status=sent")
    assert len(page["notifications"]) == 50
    later = await client.send(user, "email", "welcome", {"name": "later"}, send_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    assert (await client.call("POST", f"/v1/notifications/{later}:cancel"))["status"] == "cancelled"
