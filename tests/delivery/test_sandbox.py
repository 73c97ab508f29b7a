"""What test keys send: it reaches the sandbox alone, which answers as the recipient's name asks it to."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from clarion.channel.v1.channel_pb2 import CHANNEL_PUSH
from clarion.notification.v1.captured_message_pb2 import CapturedMessage
from clarion.template.v1.template_pb2 import Content
from clarion.user.v1.recipient_service_pb2 import PushTarget, Recipient
from delivery.captures import Captures, CapturesUnavailable
from delivery.errors import PermanentDeliveryError, TransientDeliveryError
from delivery.models import OutcomeUnknown, ReadyDelivery
from delivery.sandbox import Outcome, SandboxSender
from mesh.stores.cache import open_cache
from mesh.stores.settings import CacheSettings
from mesh.testing import free_port
from tests.delivery.fakes import make_delivery


class Kept:
    def __init__(self) -> None:
        self.messages: list[CapturedMessage] = []

    async def keep(self, user_id: str, message: CapturedMessage) -> None:
        self.messages.append(message)


def mail_to(address: str, attempt: int = 1) -> ReadyDelivery:
    return ReadyDelivery(make_delivery(attempt=attempt), Recipient(email=address), Content(subject="Hello", text="Ada"), "en")


def push_to(tokens: Mapping[str, str], attempt: int = 1) -> ReadyDelivery:
    devices = [PushTarget(device_id=device_id, token=token) for device_id, token in tokens.items()]
    return ReadyDelivery(make_delivery(attempt=attempt, channel=CHANNEL_PUSH), Recipient(devices=devices), Content(title="Hello"), "en")


@pytest.mark.parametrize(
    ("address", "answers"),
    [
        ("delivered@clarion.test", [None]),
        ("ada@example.com", [None]),
        ("hard-bounce@elsewhere.example", [None]),
        ("no-such-outcome@clarion.test", [None]),
        ("hard-bounce@clarion.test", [PermanentDeliveryError]),
        ("Hard-Bounce+tag@CLARION.test", [PermanentDeliveryError]),
        ("soft-bounce@clarion.test", [TransientDeliveryError, None]),
        ("throttled@clarion.test", [TransientDeliveryError, None]),
        ("flapping@clarion.test", [TransientDeliveryError, None, TransientDeliveryError, None]),
        ("down@clarion.test", [TransientDeliveryError] * 4),
        ("unknown@clarion.test", [OutcomeUnknown]),
    ],
)
async def test_an_address_chooses_what_becomes_of_it(address: str, answers: list[type[Exception] | None]) -> None:
    kept = Kept()
    for number, expected in enumerate(answers, 1):
        error = (await SandboxSender(kept).send(mail_to(address, number))).error
        assert isinstance(error, expected) if expected is not None else error is None
        assert kept.messages[-1].answer == (error.reason if error is not None else "delivered")
        assert (kept.messages[-1].email, kept.messages[-1].content.text, kept.messages[-1].attempt) == (address, "Ada", number)


async def test_a_throttled_one_says_when_to_come_back() -> None:
    error = (await SandboxSender(Kept()).send(mail_to("throttled@clarion.test"))).error
    assert error is not None
    assert error.retry_after_s == 2.0


async def test_each_device_chooses_for_itself() -> None:
    tokens = {"a": "sandbox:unregistered", "b": "sandbox:soft-bounce:2", "c": "token-of-a-phone"}
    first = await SandboxSender(Kept()).send(push_to(tokens))
    assert isinstance(first.error, TransientDeliveryError)
    assert list(first.pending) == ["b"]
    assert {device.device_id: (device.accepted, device.reason) for device in first.devices} == {
        "a": (False, "UNREGISTERED"),
        "c": (True, ""),
    }
    gone = await SandboxSender(Kept()).send(push_to({"a": "sandbox:unregistered"}))
    assert isinstance(gone.error, PermanentDeliveryError)


def test_every_outcome_is_documented() -> None:
    """In docs/testing-your-integration.md, by its name."""
    page = (Path(__file__).parents[2] / "docs" / "testing-your-integration.md").read_text()
    assert all(f"`{outcome.value}`" in page for outcome in Outcome)


async def test_captured_messages_are_read_replaced_and_erased(redis_url: str) -> None:
    async with open_cache(CacheSettings(url=redis_url)) as redis:
        captures = Captures(redis)
        assert await captures.find("n-1") is None
        await captures.keep("u-1", CapturedMessage(notification_id="n-1", attempt=1))
        await captures.keep("u-1", CapturedMessage(notification_id="n-1", attempt=2))
        await captures.keep("u-1", CapturedMessage(notification_id="n-2"))
        await captures.keep("u-2", CapturedMessage(notification_id="n-3"))
        found = await captures.find("n-1")
        assert found is not None
        assert found.attempt == 2
        assert 0 < await redis.ttl("clarion:captured:n-1") <= 24 * 3600
        await captures.forget("u-1")
        assert [await captures.find(name) for name in ("n-1", "n-2")] == [None, None]
        assert await captures.find("n-3") is not None


async def test_without_redis_a_test_is_delivered_and_what_was_captured_is_unavailable() -> None:
    async with open_cache(CacheSettings(url=f"redis://127.0.0.1:{free_port()}/0")) as redis:
        await Captures(redis).keep("u-1", CapturedMessage(notification_id="n-1"))
        for ask in (Captures(redis).find("n-1"), Captures(redis).forget("u-1")):
            with pytest.raises(CapturesUnavailable):
                await ask
