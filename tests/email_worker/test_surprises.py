"""One delivery of an envelope of 50 meets what its server should never send: the 49 others do not wait for it."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest

from clarion.delivery.v1.delivery_pb2 import FAULT_RECIPIENT, FAULT_SENDER, Outcome
from clarion.notification.v1.notification_pb2 import NOTIFICATION_STATUS_RETRYING, NOTIFICATION_STATUS_SENT
from devstack.smtp import SmtpServer, drops, hangs, open_smtp_server, replies
from devstack.smtp_session import Behaviour, Stage
from email_worker.app import open_app
from email_worker.settings import Settings
from mesh.process.runtime import App
from mesh.process.settings import Env
from tests.delivery.fakes import make_delivery
from tests.worker_bench import WorkerBench, open_bench

log = logging.getLogger(__name__)

SURPRISING = 7


@pytest.fixture
async def bench(redis_url: str) -> AsyncIterator[WorkerBench]:
    async with open_bench(redis_url) as opened:
        yield opened


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with open_smtp_server() as running:
        yield running


def worker(bench: WorkerBench, server: SmtpServer, **more: str) -> AbstractAsyncContextManager[App]:
    env = Env(
        {
            **bench.environ, "CLARION_SMTP_HOST": "127.0.0.1", "CLARION_SMTP_PORT": str(server.port), "CLARION_SMTP_TLS": "none",
            "CLARION_SMTP_FROM": "no-reply@example.com", **more,
        }
    )  # fmt: skip
    settings = Settings.from_env(env)
    env.check()
    return open_app(settings, broker=bench.broker)


@pytest.mark.parametrize("stage", [Stage.RCPT, Stage.DATA])
@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        ("550 5.1.1 Empf\udce4nger unbekannt", "5.1.1 Empf\ufffdnger unbekannt"),
        ("550-5.1.1 \udcff\udcfe\r\n550 5.1.1 \udcc3", "5.1.1 \ufffd\ufffd 5.1.1 \ufffd"),
        ("550 5.1.1 no\0body \x1b[31mhere", "5.1.1 no\ufffdbody \ufffd[31mhere"),
    ],
)
async def test_the_code_decides_whatever_the_words(bench: WorkerBench, server: SmtpServer, reply: str, detail: str, stage: Stage) -> None:
    server.script_always(f"user-{SURPRISING}@example.org", replies(reply, stage))
    async with worker(bench, server):
        await bench.request("email.queue", [make_delivery(number) for number in range(1, 51)])
        outcomes = await bench.next_outcomes(49)
        letter = await bench.dead.get()
    assert {outcome.status for outcome in outcomes} == {NOTIFICATION_STATUS_SENT}
    assert (letter.outcome.reason, letter.outcome.detail, letter.outcome.attempt) == ("SMTP_550", detail, 1)
    assert server.transactions == 50


@pytest.mark.parametrize(
    "behaviour", [hangs(Stage.RCPT), hangs(Stage.DATA), drops(Stage.RCPT), drops(Stage.DATA), replies("9\udce49 ?!", Stage.RCPT)]
)
async def test_the_others_are_settled_while_one_is_still_under_way(bench: WorkerBench, server: SmtpServer, behaviour: Behaviour) -> None:
    """A server that never answers one mail: the outcomes of the others do not wait for its time-out (60 and 300 s).

    The log says how long they took; it decides nothing.
    """
    server.script_always(f"user-{SURPRISING}@example.org", behaviour)
    sent: list[Outcome] = []
    async with worker(bench, server):
        began_s = time.perf_counter()
        await bench.request("email.queue", [make_delivery(number) for number in range(1, 51)])
        while len(sent) < 49:
            outcome = await bench.outcomes.get()
            if outcome.status != NOTIFICATION_STATUS_SENT:
                assert outcome.status == NOTIFICATION_STATUS_RETRYING
            else:
                sent.append(outcome)
        log.info("49 others were sent after %.2f s", time.perf_counter() - began_s)
    assert server.received == 49


async def test_an_expired_relay_account_makes_no_dead_letters(bench: WorkerBench, server: SmtpServer) -> None:
    """Every mail waits for the operator; none is given up, whatever the number of refusals, and all go out when the account works."""
    server.greeting = "535 5.7.8 Account expired"
    async with worker(bench, server, CLARION_BREAKER_OPEN_S="0.1"):
        await bench.request("email.queue", [make_delivery(number) for number in range(1, 21)])
        refused = [outcome for outcome in await bench.next_outcomes(120) if outcome.status == NOTIFICATION_STATUS_RETRYING]
        assert {outcome.fault for outcome in refused} == {FAULT_SENDER}
        server.greeting = ""
        await server.received_at_least(20)
    assert bench.dead.empty()


@pytest.mark.parametrize(
    ("reply", "suppressed"),
    [
        ("550 5.1.1 <user-7@example.org>: no such user", True),
        ("551 5.1.6 has moved", True),
        ("552 5.2.2 Mailbox full", False),
        ("550 5.7.1 Not from you", False),
        ("550 User unknown", False),
        ("451 4.1.1 Not now", False),
    ],
)
async def test_only_a_missing_mailbox_suppresses_the_address(bench: WorkerBench, server: SmtpServer, reply: str, suppressed: bool) -> None:
    address = f"user-{SURPRISING}@example.org"
    server.script_always(address, replies(reply, Stage.RCPT))
    async with worker(bench, server):
        await bench.request("email.queue", [make_delivery(SURPRISING)])
        letter = await bench.dead.get()
    assert letter.outcome.fault == FAULT_RECIPIENT
    evidence = f"SMTP_{reply[:3]} {reply[4:].replace(address, '(address)')}"
    assert bench.people.suppressed == ({address: evidence} if suppressed else {})
