"""Two e-mail workers, one of which can't reach the server: the channel goes on without it."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest
from redis.asyncio import Redis

from clarion.notification.v1.notification_pb2 import NOTIFICATION_STATUS_QUEUED, NOTIFICATION_STATUS_RETRYING, NOTIFICATION_STATUS_SENT
from devstack.smtp import open_smtp_server
from email_worker.app import open_app
from email_worker.settings import Settings
from mesh.process.runtime import App
from mesh.process.settings import Env
from mesh.resilience.breaker import BreakerState
from mesh.resilience.breaker_store import BreakerStore
from mesh.testing import free_port
from tests.delivery.fakes import make_delivery
from tests.waiting import until_answered
from tests.worker_bench import WorkerBench, open_bench

ENVELOPES, SIZE = 40, 10


@pytest.fixture
async def bench(redis_url: str) -> AsyncIterator[WorkerBench]:
    async with open_bench(redis_url) as opened:
        yield opened


def worker(bench: WorkerBench, port: int) -> AbstractAsyncContextManager[App]:
    env = Env(
        {
            **bench.environ, "CLARION_SMTP_HOST": "127.0.0.1", "CLARION_SMTP_PORT": str(port), "CLARION_SMTP_TLS": "none",
            "CLARION_SMTP_FROM": "no-reply@example.com", "CLARION_SMTP_RAMP_S": "0",
        }
    )  # fmt: skip
    settings = Settings.from_env(env)
    env.check()
    return open_app(settings, broker=bench.broker)


async def provider_is_up(app: App) -> bool:
    await app.health.probe()
    return app.health.report()["provider"]


async def test_the_sick_one_takes_itself_out_and_everything_is_sent(bench: WorkerBench, redis_url: str) -> None:
    """A handful of mails lose an attempt to finding out; the breaker that all share stays closed."""
    async with open_smtp_server() as smtp, worker(bench, smtp.port) as healthy, worker(bench, free_port()) as sick:
        for number in range(ENVELOPES):
            await bench.request("email.queue", [make_delivery(number * SIZE + one) for one in range(1, SIZE + 1)])
        ended: Counter[int] = Counter()
        while ended[NOTIFICATION_STATUS_SENT] < ENVELOPES * SIZE:
            (outcome,) = await bench.next_outcomes(1)
            ended[outcome.status] += 1
        assert smtp.received == ENVELOPES * SIZE
        assert ended[NOTIFICATION_STATUS_RETRYING] <= 20, "those at the dead server when the fifth had failed"
        assert set(ended) <= {NOTIFICATION_STATUS_SENT, NOTIFICATION_STATUS_RETRYING, NOTIFICATION_STATUS_QUEUED}
        async with Redis.from_url(redis_url) as redis:
            (shared,) = await BreakerStore(redis).peek(["smtp"])
        assert shared.state is BreakerState.CLOSED
        assert (await provider_is_up(healthy), await provider_is_up(sick)) == (True, False)
        assert (healthy.health.ready, sick.health.ready) == (True, False)


async def test_where_all_fail_the_breaker_opens_and_every_worker_stays_ready(bench: WorkerBench, redis_url: str) -> None:
    """The provider is down; no restart and no other worker would help."""
    port = free_port()
    async with worker(bench, port) as one, worker(bench, port) as other, Redis.from_url(redis_url) as redis:
        for number in range(ENVELOPES):
            await bench.request("email.queue", [make_delivery(number * SIZE + item) for item in range(1, SIZE + 1)])
        outcomes = await bench.next_outcomes(ENVELOPES * SIZE)
        (shared,) = await BreakerStore(redis).peek(["smtp"])
        assert shared.state is BreakerState.OPEN
        assert Counter(outcome.status for outcome in outcomes)[NOTIFICATION_STATUS_RETRYING] <= 40
        for app in (one, other):  # the first to find out may believe for a moment that it is the only one
            await until_answered(partial(provider_is_up, app))
