"""The whole worker: from the bus through real gRPC, Valkey and SMTP and back to the bus."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import grpc.aio
import pytest

from clarion.notification.v1.notification_pb2 import (
    NOTIFICATION_STATUS_FAILED,
    NOTIFICATION_STATUS_QUEUED,
    NOTIFICATION_STATUS_RETRYING,
    NOTIFICATION_STATUS_SENT,
    NOTIFICATION_STATUS_SKIPPED,
    PRIORITY_HIGH,
)
from clarion.template.v1.template_pb2 import Content
from clarion.user.v1.recipient_service_pb2 import DECISION_SKIP, Recipient
from delivery.models import ReadyDelivery
from devstack.smtp import SmtpServer, hangs, open_smtp_server, replies
from email_worker.app import open_app
from email_worker.consumer import to_mail
from email_worker.settings import Settings
from mesh.errors import FailedPrecondition, Unavailable
from mesh.process.health import SERVING
from mesh.process.runtime import App
from mesh.process.settings import Env
from mesh.testing import watch_health
from tests.delivery.fakes import FakeRecipients, make_delivery
from tests.worker_bench import WorkerBench, open_bench

RETRIES_THEN = [NOTIFICATION_STATUS_RETRYING] * 3


@pytest.fixture
async def bench(redis_url: str) -> AsyncIterator[WorkerBench]:
    async with open_bench(redis_url) as opened:
        yield opened


@pytest.fixture
async def smtp() -> AsyncIterator[SmtpServer]:
    async with open_smtp_server() as server:
        yield server


def worker(bench: WorkerBench, smtp: SmtpServer, **more: str) -> AbstractAsyncContextManager[App]:
    env = Env(
        {
            **bench.environ, "CLARION_SMTP_HOST": "127.0.0.1", "CLARION_SMTP_PORT": str(smtp.port), "CLARION_SMTP_TLS": "none",
            "CLARION_SMTP_FROM": "Clarion <no-reply@example.com>", **more,
        }
    )  # fmt: skip
    settings = Settings.from_env(env)
    env.check()
    return open_app(settings, broker=bench.broker)


async def test_an_envelope_becomes_mails_and_outcomes(bench: WorkerBench, smtp: SmtpServer) -> None:
    async with worker(bench, smtp):
        await bench.request("email.queue", [make_delivery(number) for number in range(1, 51)])
        outcomes = await bench.next_outcomes(50)
    assert {outcome.status for outcome in outcomes} == {NOTIFICATION_STATUS_SENT}
    assert {mail.recipients for mail in smtp.mails} == {(f"user-{number}@example.org",) for number in range(1, 51)}
    message = smtp.mails[0].message
    assert message["Subject"] == "welcome in en"
    assert message["To"].startswith("Ada <user-")
    assert len(bench.people.asked) == len(bench.renderer.asked) == 1


async def test_451_three_times_and_then_250_is_sent_with_one_message_id(bench: WorkerBench, smtp: SmtpServer) -> None:
    smtp.script("user-1@example.org", *[replies("451 4.7.1 <user-1@example.org> later")] * 3)
    async with worker(bench, smtp):
        await bench.request("email.queue", [make_delivery()])
        outcomes = await bench.next_outcomes(4)
    assert [outcome.status for outcome in outcomes] == [*RETRIES_THEN, NOTIFICATION_STATUS_SENT]
    assert [outcome.attempt for outcome in outcomes] == [1, 2, 3, 4]
    assert {(outcome.reason, outcome.detail) for outcome in outcomes[:3]} == {("SMTP_451", "4.7.1 <(address)> later")}
    assert smtp.mails[0].message["Message-ID"] == f"<{make_delivery().notification_id}.0@example.com>"


async def test_451_for_ever_ends_as_a_dead_letter(bench: WorkerBench, smtp: SmtpServer) -> None:
    smtp.script_always("user-1@example.org", replies("451 4.7.1 later"))
    async with worker(bench, smtp):
        await bench.request("email.queue", [make_delivery()])
        letter = await bench.dead.get()
        outcomes = await bench.next_outcomes(3)
    assert [outcome.status for outcome in outcomes] == RETRIES_THEN
    assert (letter.outcome.status, letter.outcome.reason, letter.outcome.attempt) == (NOTIFICATION_STATUS_FAILED, "SMTP_451", 4)


async def test_550_is_a_dead_letter_at_once(bench: WorkerBench, smtp: SmtpServer) -> None:
    smtp.script_always("user-1@example.org", replies("550 5.1.1 no such user"))
    async with worker(bench, smtp):
        await bench.request("email.queue", [make_delivery()])
        letter = await bench.dead.get()
    assert (letter.outcome.reason, letter.outcome.attempt) == ("SMTP_550", 1)


async def test_a_subject_that_would_break_a_header_never_reaches_the_server(bench: WorkerBench, smtp: SmtpServer) -> None:
    evil = make_delivery()
    evil.template = "welcome\r\nBcc: everyone@example.net"
    async with worker(bench, smtp):
        await bench.request("email.queue", [evil])
        letter = await bench.dead.get()
    assert (letter.outcome.reason, letter.outcome.attempt) == ("SUBJECT_INVALID", 1)
    assert smtp.transactions == 0


async def test_a_preference_and_a_broken_template_are_told_apart(bench: WorkerBench, smtp: SmtpServer) -> None:
    bench.people.answers = {"user-1": Recipient(decision=DECISION_SKIP, rule="suppression:bounce")}
    bench.renderer.errors = {"broken": FailedPrecondition("variables.name: is missing", reason="MISSING_VARIABLE")}
    broken = make_delivery(2)
    broken.template = "broken"
    async with worker(bench, smtp):
        await bench.request("email.queue", [make_delivery(1), broken])
        (skipped,) = await bench.next_outcomes(1)
        letter = await bench.dead.get()
    assert (skipped.status, skipped.reason, skipped.detail) == (NOTIFICATION_STATUS_SKIPPED, "SUPPRESSION", "suppression:bounce")
    assert (letter.outcome.reason, letter.outcome.detail) == ("MISSING_VARIABLE", "variables.name: is missing")


async def test_what_meets_a_service_that_is_down_waits_and_is_sent_in_its_first_attempt(bench: WorkerBench, smtp: SmtpServer) -> None:
    bench.people.error = Unavailable("down", reason="DATABASE_UNAVAILABLE")
    async with worker(bench, smtp):
        await bench.request("email.queue", [make_delivery()])
        (parked,) = await bench.next_outcomes(1)
        bench.people.error = None
        (sent,) = await bench.next_outcomes(1)
    assert (parked.status, parked.reason) == (NOTIFICATION_STATUS_QUEUED, "DATABASE_UNAVAILABLE")
    assert (sent.status, sent.attempt) == (NOTIFICATION_STATUS_SENT, 1)


async def test_five_connection_failures_open_the_breaker_and_what_follows_is_parked(bench: WorkerBench, smtp: SmtpServer) -> None:
    await smtp.stop()
    async with worker(bench, smtp, CLARION_SMTP_POOL_SIZE="1", CLARION_BREAKER_OPEN_S="0.2"):
        await bench.request("email.queue", [make_delivery(number) for number in range(1, 11)])
        outcomes = await bench.next_outcomes(10)
        assert [outcome.reason for outcome in outcomes] == ["SMTP_CONNECT"] * 5 + ["BREAKER_OPEN"] * 5
        assert {outcome.status for outcome in outcomes[5:]} == {NOTIFICATION_STATUS_QUEUED}
        await smtp.start()
        sent = 0
        while sent < 10:
            (outcome,) = await bench.next_outcomes(1)
            assert outcome.status in {NOTIFICATION_STATUS_SENT, NOTIFICATION_STATUS_QUEUED, NOTIFICATION_STATUS_RETRYING}
            sent += outcome.status == NOTIFICATION_STATUS_SENT
    assert smtp.received == 10


async def test_a_redelivered_envelope_is_answered_and_not_sent_again(bench: WorkerBench, smtp: SmtpServer) -> None:
    async with worker(bench, smtp):
        await bench.request("email.queue", [make_delivery()])
        await bench.request("email.queue", [make_delivery()])
        first, second = await bench.next_outcomes(2)
    assert first == second
    assert smtp.received == 1


async def test_an_urgent_delivery_never_waits_for_a_campaign(bench: WorkerBench, smtp: SmtpServer) -> None:
    """The campaign holds every connection that it may have, and holds them for good."""
    code = make_delivery(999)
    code.priority = PRIORITY_HIGH
    campaign = [make_delivery(number) for number in range(1, 51)]
    for delivery in campaign:
        smtp.script_always(f"{delivery.user_id}@example.org", hangs())
    async with worker(bench, smtp, CLARION_SMTP_POOL_SIZE="4", CLARION_GRACE_S="0.1"):
        await bench.request("email.queue", campaign)
        await smtp.hung.wait()
        await bench.request("email.urgent.queue", [code])
        assert (await smtp.next_message()).recipients == ("user-999@example.org",)


async def test_health_follows_the_bus(bench: WorkerBench, smtp: SmtpServer) -> None:
    async with worker(bench, smtp) as app, grpc.aio.insecure_channel(f"127.0.0.1:{app.ports['grpc']}") as channel:
        statuses = watch_health(channel)
        while await anext(statuses) != SERVING:
            pass
        bench.broker.disconnect()
        while await anext(statuses) == SERVING:
            pass
        bench.broker.connect()
        while await anext(statuses) != SERVING:
            pass
        await statuses.aclose()
        assert app.health.report()["redis"]
        assert app.health.report()["user_svc"]


def test_a_reviewers_requeue_is_a_new_mail_and_a_retry_is_not() -> None:
    def identifier(run: int, attempt: int) -> str:
        delivery = make_delivery(attempt=attempt)
        delivery.run = run
        return to_mail(ReadyDelivery(delivery, FakeRecipients.person("user-1"), Content(subject="Hi", text="Hi"), "en")).id

    assert identifier(0, 1) == identifier(0, 2)
    assert identifier(0, 1) != identifier(1, 1)
