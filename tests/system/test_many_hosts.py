"""The server that does the work of a store is killed under load, and another of its cluster takes over: nothing is lost."""

import asyncio
import logging
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from devstack.client import Client
from devstack.processes import API_KEY
from devstack.rabbitmq import find_script
from devstack.samples import WELCOME
from devstack.stack import ANY_PORTS, open_stack
from mesh.stores.cache import open_cache
from mesh.stores.settings import CacheSettings
from tests.fixtures_postgres import StackFolder
from tests.system.clusters import Cluster, postgres_cluster, rabbitmq_cluster, valkey_cluster

pytestmark = pytest.mark.system

# Within the promise of docs/reliability.md for what is in a worker's hands when its ledger or its bus goes.
COUNT, AT_A_TIME, MOST_TWICE = 300, 8, 16
MOST_PAUSE_S = 20.0

log = logging.getLogger(__name__)


async def _accepted(client: Client, user: str, number: int) -> str:
    """Sends until the gateway answers, with one key: a caller who retries as the documentation says."""
    body = {"user_id": user, "channel": "email", "template": "welcome", "variables": {"name": f"H{number}"}}
    for _ in range(300):
        try:
            return str((await client.call("POST", "/v1/notifications", body, {"Idempotency-Key": f"hosts-{number}"}))["id"])
        except Exception:  # noqa: BLE001  refused or half-answered: that is what a failover may do
            await asyncio.sleep(0.1)
    raise AssertionError("no send was accepted for 30 s")


async def _nothing_is_lost(cluster: Cluster, folder: Path) -> None:
    environ = {"CLARION_CALLER_LIMIT": "1000000", "CLARION_RECIPIENT_LIMIT": "1000000", "CLARION_BREAKER_OPEN_S": "2", **cluster.environ}
    async with open_stack(folder, ports=ANY_PORTS, say=lambda _: None, environ=environ) as stack, Client(stack.url, API_KEY) as client:
        assert stack.smtp is not None
        await client.create_template("welcome", "email", WELCOME)
        user = await client.create_user("hosts@example.com")
        gate, taken_at = asyncio.Semaphore(AT_A_TIME), [time.monotonic()]

        async def one(number: int) -> str:
            async with gate:
                identifier = await _accepted(client, user, number)
                taken_at.append(time.monotonic())
                return identifier

        sending = [asyncio.create_task(one(number)) for number in range(COUNT)]
        async with asyncio.timeout(60):
            await stack.smtp.received_at_least(COUNT // 5)
        await asyncio.to_thread(cluster.fail)
        ids = await asyncio.gather(*sending)
        statuses = await client.all_settled(user, timeout_s=90)
        assert Counter(statuses[identifier] for identifier in ids) == {"sent": COUNT}
        mails = Counter(str(mail.message["subject"]) for mail in stack.smtp.mails)
        assert len(mails) == COUNT
        assert sum(mails.values()) - COUNT <= MOST_TWICE
        pause_s = max(later - earlier for earlier, later in pairwise(taken_at))
        log.info("longest time without an accepted send: %.1f s, mails twice: %d", pause_s, sum(mails.values()) - COUNT)
        assert pause_s < MOST_PAUSE_S


async def test_a_promoted_standby_of_postgresql_takes_over(stack_folder: StackFolder, tmp_path: Path) -> None:
    with postgres_cluster(stack_folder("cluster")) as cluster:
        await _nothing_is_lost(cluster, tmp_path)


async def test_the_primary_that_the_sentinels_choose_takes_over(stack_folder: StackFolder, tmp_path: Path) -> None:
    with valkey_cluster(tmp_path / "valkey") as cluster:
        async with open_cache(CacheSettings(cluster.environ["CLARION_REDIS_URL"])) as cache:
            await cache.set("kept", "before")
            await cache.wait(1, 1000)
            await _nothing_is_lost(cluster, stack_folder("sentinels"))
            assert await cache.get("kept") == b"before"
            await cache.set("kept", "after")


@pytest.mark.skipif(find_script() is None, reason="rabbitmq-server is not installed")
async def test_the_other_nodes_of_rabbitmq_take_over(stack_folder: StackFolder) -> None:
    with rabbitmq_cluster() as cluster:
        await _nothing_is_lost(cluster, stack_folder("nodes"))
