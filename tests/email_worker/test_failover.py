"""Two real SMTP servers behind one worker: who gets what while one of them is ill."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import pytest
from redis.asyncio import Redis

from clarion.notification.v1.notification_pb2 import NOTIFICATION_STATUS_QUEUED, NOTIFICATION_STATUS_RETRYING, NOTIFICATION_STATUS_SENT
from devstack.smtp import SmtpServer, drops, open_smtp_server, replies
from devstack.smtp_session import Stage
from email_worker.app import open_app
from email_worker.settings import Settings
from mesh.process.runtime import App
from mesh.process.settings import Env
from mesh.resilience.breaker_store import BreakerStore, Force
from tests.delivery.fakes import make_delivery
from tests.worker_bench import WorkerBench, open_bench


@pytest.fixture
async def bench(redis_url: str) -> AsyncIterator[WorkerBench]:
    async with open_bench(redis_url) as opened:
        yield opened


@pytest.fixture
async def servers() -> AsyncIterator[tuple[SmtpServer, SmtpServer]]:
    async with open_smtp_server() as primary, open_smtp_server() as backup:
        yield primary, backup


def worker(bench: WorkerBench, servers: tuple[SmtpServer, SmtpServer], **more: str) -> AbstractAsyncContextManager[App]:
    primary, backup = servers
    env = Env(
        {
            **bench.environ, "CLARION_SMTP_PROVIDERS": "primary,backup", "CLARION_SMTP_TLS": "none",
            "CLARION_SMTP_PRIMARY_HOST": "127.0.0.1", "CLARION_SMTP_PRIMARY_PORT": str(primary.port),
            "CLARION_SMTP_BACKUP_HOST": "127.0.0.1", "CLARION_SMTP_BACKUP_PORT": str(backup.port),
            "CLARION_SMTP_FROM": "no-reply@example.com", **more,
        }
    )  # fmt: skip
    settings = Settings.from_env(env)
    env.check()
    return open_app(settings, broker=bench.broker)


async def test_mails_are_spread_by_weight_and_the_outcome_names_the_server(
    bench: WorkerBench, servers: tuple[SmtpServer, SmtpServer]
) -> None:
    primary, backup = servers
    async with worker(bench, servers, CLARION_SMTP_PRIMARY_WEIGHT="4"):
        await bench.request("email.queue", [make_delivery(number) for number in range(1, 51)])
        outcomes = await bench.next_outcomes(50)
    named = [outcome.provider for outcome in outcomes]
    assert (named.count("smtp.primary"), named.count("smtp.backup")) == (primary.received, backup.received)
    # places are taken while others wait, so the shares are the weights' only where nobody is full
    assert primary.received > backup.received > 0
    assert primary.received + backup.received == 50


async def test_a_dead_server_costs_nobody_an_attempt(bench: WorkerBench, servers: tuple[SmtpServer, SmtpServer]) -> None:
    primary, backup = servers
    await primary.stop()
    async with worker(bench, servers, CLARION_SMTP_POOL_SIZE="2"):
        await bench.request("email.queue", [make_delivery(number) for number in range(1, 51)])
        outcomes = await bench.next_outcomes(50)
    assert {(outcome.status, outcome.attempt, outcome.provider) for outcome in outcomes} == {(NOTIFICATION_STATUS_SENT, 1, "smtp.backup")}
    assert backup.received == 50
    # those that found out say so; the breaker spared all others
    assert {outcome.detail for outcome in outcomes} == {"", "after smtp.primary: SMTP_CONNECT"}
    assert 1 <= len([outcome for outcome in outcomes if outcome.detail]) <= 6


async def test_a_mail_that_may_have_been_taken_is_never_handed_to_another_server(
    bench: WorkerBench, servers: tuple[SmtpServer, SmtpServer]
) -> None:
    primary, backup = servers
    primary.script("user-1@example.org", drops(Stage.DATA))
    async with worker(bench, servers, CLARION_SMTP_BACKUP_WEIGHT="0"):
        await bench.request("email.queue", [make_delivery()])
        lost, sent = await bench.next_outcomes(2)
    assert (lost.status, lost.reason, lost.provider) == (NOTIFICATION_STATUS_RETRYING, "SMTP_DISCONNECTED", "smtp.primary")
    assert (sent.status, sent.attempt, sent.provider) == (NOTIFICATION_STATUS_SENT, 2, "smtp.primary")
    assert backup.transactions == 0


async def test_a_refusal_of_one_mail_is_no_reason_to_ask_another_server(bench: WorkerBench, servers: tuple[SmtpServer, SmtpServer]) -> None:
    primary, backup = servers
    primary.script_always("user-1@example.org", replies("550 5.1.1 no such user"))
    async with worker(bench, servers, CLARION_SMTP_BACKUP_WEIGHT="0"):
        await bench.request("email.queue", [make_delivery()])
        letter = await bench.dead.get()
    assert (letter.outcome.reason, letter.outcome.provider) == ("SMTP_550", "smtp.primary")
    assert backup.transactions == 0


async def test_when_all_servers_are_dead_it_is_retried_and_told_for_whom(
    bench: WorkerBench, servers: tuple[SmtpServer, SmtpServer]
) -> None:
    primary, backup = servers
    await primary.stop()
    await backup.stop()
    async with worker(bench, servers, CLARION_SMTP_BACKUP_WEIGHT="0"):
        await bench.request("email.queue", [make_delivery()])
        (outcome,) = await bench.next_outcomes(1)
    assert (outcome.status, outcome.reason, outcome.provider) == (NOTIFICATION_STATUS_RETRYING, "SMTP_CONNECT", "smtp.backup")
    assert outcome.detail == "can't connect to the server (after smtp.primary: SMTP_CONNECT)"


async def test_two_workers_spare_a_dead_server_together(bench: WorkerBench, servers: tuple[SmtpServer, SmtpServer], redis_url: str) -> None:
    """What opened the breaker of one, opens that of the one that starts after it: it makes no call of its own."""
    primary, _ = servers
    await primary.stop()
    async with worker(bench, servers, CLARION_SMTP_POOL_SIZE="1"):
        await bench.request("email.queue", [make_delivery(number) for number in range(1, 21)])
        await bench.next_outcomes(20)
    async with worker(bench, servers):
        await bench.request("email.queue", [make_delivery(number) for number in range(21, 41)])
        outcomes = await bench.next_outcomes(20)
    assert {(outcome.provider, outcome.detail) for outcome in outcomes} == {("smtp.backup", "")}


async def test_an_operator_takes_a_server_out(bench: WorkerBench, servers: tuple[SmtpServer, SmtpServer], redis_url: str) -> None:
    primary, backup = servers
    async with Redis.from_url(redis_url) as redis:
        await BreakerStore(redis).force("smtp.primary", Force.OPEN, duration_s=None, by="user:1", note="maintenance")
    async with worker(bench, servers):
        await bench.request("email.queue", [make_delivery(number) for number in range(1, 11)])
        await bench.next_outcomes(10)
    assert (primary.transactions, backup.received) == (0, 10)


async def test_what_finds_no_token_within_a_second_is_parked_and_keeps_its_attempt(
    bench: WorkerBench, servers: tuple[SmtpServer, SmtpServer]
) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(worker(bench, servers, CLARION_SMTP_RATE_PER_S="2"))
        await bench.request("email.queue", [make_delivery(number) for number in range(1, 21)])
        outcomes = await bench.next_outcomes(20)
    parked = [outcome for outcome in outcomes if outcome.status == NOTIFICATION_STATUS_QUEUED]
    sent = [outcome for outcome in outcomes if outcome.status == NOTIFICATION_STATUS_SENT]
    assert {(outcome.reason, outcome.attempt) for outcome in parked} == {("PROVIDER_RATE_LIMITED", 1)}
    assert 4 <= len(sent) < 20
    assert {outcome.provider for outcome in sent} == {"smtp.primary", "smtp.backup"}
