"""The whole worker: from the bus through real gRPC, Valkey and FCM over HTTP/2 and back to the bus."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from clarion.channel.v1.channel_pb2 import CHANNEL_PUSH
from clarion.delivery.v1.delivery_pb2 import Delivery
from clarion.notification.v1.notification_pb2 import (
    NOTIFICATION_STATUS_QUEUED,
    NOTIFICATION_STATUS_RETRYING,
    NOTIFICATION_STATUS_SENT,
    PRIORITY_HIGH,
    DeviceResult,
)
from clarion.template.v1.template_pb2 import Content
from clarion.user.v1.recipient_service_pb2 import DECISION_SEND, PushTarget, Recipient
from delivery.models import ReadyDelivery
from devstack.fcm import FcmServer, fails
from devstack.fcm_connection import Answer
from mesh.process.runtime import App
from mesh.process.settings import Env
from push_worker.app import open_app
from push_worker.consumer import to_push, to_targets
from push_worker.settings import Settings
from tests.delivery.fakes import FakeRecipients, make_delivery
from tests.worker_bench import WorkerBench, open_bench


@pytest.fixture
async def bench(redis_url: str) -> AsyncIterator[WorkerBench]:
    async with open_bench(redis_url) as opened:
        yield opened


def worker(bench: WorkerBench, fcm: FcmServer, **more: str) -> AbstractAsyncContextManager[App]:
    env = Env({**bench.environ, **fcm.environ(), **more})
    settings = Settings.from_env(env)
    env.check()
    return open_app(settings, broker=bench.broker)


def owner_of(*tokens: str) -> Recipient:
    devices = [PushTarget(device_id=f"{token}-id", token=token) for token in tokens]
    return Recipient(decision=DECISION_SEND, rule="default", devices=devices, locale="en")


def delivery(number: int = 1) -> Delivery:
    return make_delivery(number, channel=CHANNEL_PUSH)


async def test_an_envelope_becomes_messages_and_outcomes(bench: WorkerBench, fcm: FcmServer) -> None:
    async with worker(bench, fcm):
        await bench.request("push.queue", [delivery(number) for number in range(1, 51)])
        outcomes = await bench.next_outcomes(50)
    assert {outcome.status for outcome in outcomes} == {NOTIFICATION_STATUS_SENT}
    assert {push.token for push in fcm.pushes} == {f"token-user-{number}-phone" for number in range(1, 51)}
    assert outcomes[0].devices[0].accepted
    push = fcm.pushes[0]
    assert push.http2
    assert push.title == "welcome in en"


async def test_an_unknown_token_is_removed_and_the_other_device_reached(bench: WorkerBench, fcm: FcmServer) -> None:
    bench.people.answers = {"user-1": owner_of("unregistered-old", "new")}
    async with worker(bench, fcm):
        await bench.request("push.queue", [delivery()])
        (outcome,) = await bench.next_outcomes(1)
    assert outcome.status == NOTIFICATION_STATUS_SENT
    assert list(outcome.devices) == [
        DeviceResult(device_id="unregistered-old-id", reason="UNREGISTERED"),
        DeviceResult(device_id="new-id", accepted=True),
    ]
    assert bench.people.removed == ["unregistered-old-id"]


async def test_only_the_devices_that_are_left_are_tried_again(bench: WorkerBench, fcm: FcmServer) -> None:
    bench.people.answers = {"user-1": owner_of("phone", "tablet")}
    fcm.script("tablet", fails(503, "UNAVAILABLE", "UNAVAILABLE"), fails(500, "INTERNAL", "INTERNAL"))
    async with worker(bench, fcm):
        await bench.request("push.queue", [delivery()])
        outcomes = await bench.next_outcomes(3)
    assert [outcome.status for outcome in outcomes] == [
        NOTIFICATION_STATUS_RETRYING,
        NOTIFICATION_STATUS_RETRYING,
        NOTIFICATION_STATUS_SENT,
    ]
    assert [push.token for push in fcm.pushes] == ["phone", "tablet"]
    assert fcm.requests == 4
    assert {(device.device_id, device.accepted) for device in outcomes[2].devices} == {("phone-id", True), ("tablet-id", True)}


async def test_a_device_that_stays_out_of_reach_does_not_undo_the_other(bench: WorkerBench, fcm: FcmServer) -> None:
    bench.people.answers = {"user-1": owner_of("phone", "unavailable-tablet")}
    async with worker(bench, fcm):
        await bench.request("push.queue", [delivery()])
        outcomes = await bench.next_outcomes(4)
    assert outcomes[3].status == NOTIFICATION_STATUS_SENT
    assert list(outcomes[3].devices) == [
        DeviceResult(device_id="phone-id", accepted=True),
        DeviceResult(device_id="unavailable-tablet-id", reason="UNAVAILABLE"),
    ]


async def test_no_device_left_is_a_dead_letter(bench: WorkerBench, fcm: FcmServer) -> None:
    bench.people.answers = {"user-1": owner_of("unregistered-a", "mismatch-b")}
    async with worker(bench, fcm):
        await bench.request("push.queue", [delivery()])
        letter = await bench.dead.get()
    assert (letter.outcome.reason, letter.outcome.attempt) == ("UNREGISTERED", 1)
    assert [device.reason for device in letter.outcome.devices] == ["UNREGISTERED", "SENDER_ID_MISMATCH"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (fails(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", retry_after="1"), "QUOTA_EXCEEDED"),
        (fails(503, "UNAVAILABLE", "UNAVAILABLE", retry_after="1"), "UNAVAILABLE"),
    ],
)
async def test_retry_after_is_not_undercut(bench: WorkerBench, fcm: FcmServer, answer: Answer, reason: str) -> None:
    """A second is longer than any queue's scaled delay: the delivery passes through several, each time without a call to FCM."""
    fcm.script("token-user-1-phone", answer)
    async with worker(bench, fcm):
        await bench.request("push.queue", [delivery()])
        retrying, sent = await bench.next_outcomes(2)
    assert (retrying.status, retrying.reason, retrying.provider) == (NOTIFICATION_STATUS_RETRYING, reason, "fcm")
    assert (sent.status, sent.attempt) == (NOTIFICATION_STATUS_SENT, 2)
    assert retrying.next_attempt_time.ToNanoseconds() - retrying.time.ToNanoseconds() >= 990_000_000
    assert sent.start_time.ToNanoseconds() - retrying.time.ToNanoseconds() >= 990_000_000


async def test_a_429_without_a_time_waits_the_minute_that_fcm_asks_for(bench: WorkerBench, fcm: FcmServer) -> None:
    fcm.script("token-user-1-phone", fails(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"))
    async with worker(bench, fcm):
        await bench.request("push.queue", [delivery()])
        (retrying,) = await bench.next_outcomes(1)
    assert 59 <= retrying.next_attempt_time.seconds - retrying.time.seconds <= 61


async def test_devices_count_singly_against_the_rate_and_what_is_too_much_keeps_its_attempt(bench: WorkerBench, fcm: FcmServer) -> None:
    bench.people.answers = {f"user-{number}": owner_of(f"a-{number}", f"b-{number}") for number in range(1, 21)}
    async with worker(bench, fcm, CLARION_FCM_RATE_PER_S="4"):
        await bench.request("push.queue", [delivery(number) for number in range(1, 21)])
        outcomes = await bench.next_outcomes(20)
    parked = [outcome for outcome in outcomes if outcome.status == NOTIFICATION_STATUS_QUEUED]
    assert {(outcome.reason, outcome.attempt) for outcome in parked} == {("PROVIDER_RATE_LIMITED", 1)}
    assert 1 <= len(outcomes) - len(parked) < 20


def test_an_urgent_push_with_an_end_is_told_so_to_every_platform() -> None:
    asked = delivery()
    asked.priority = PRIORITY_HIGH
    asked.expire_time.CopyFrom(Timestamp(seconds=1600))
    push = to_push(ReadyDelivery(asked, FakeRecipients.person("user-1"), Content(title="Hi", body="There"), "en"), now_s=1000.0)
    assert (push.id, push.urgent, push.ttl_s) == (asked.notification_id, True, 600)


def test_a_retry_goes_to_the_devices_that_the_person_still_has() -> None:
    asked = delivery()
    asked.device_ids.extend(["tablet-id", "sold-id"])
    targets = to_targets(ReadyDelivery(asked, owner_of("phone", "tablet"), Content(), "en"))
    assert [target.device_id for target in targets] == ["tablet-id"]
