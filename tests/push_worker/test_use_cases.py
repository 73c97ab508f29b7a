"""One push to several devices: what is reported, what is tried again, what is forgotten."""

import pytest

from delivery.errors import DeliveryError, PermanentDeliveryError, TransientDeliveryError
from delivery.models import OutcomeUnknown, ProviderUnavailable
from mesh.errors import Unavailable
from push_worker.errors import DeviceGone, FcmOutcomeUnknown, FcmRejected, FcmThrottled, FcmUnavailable
from push_worker.models import DeviceOutcome, Push, PushReport, Target
from push_worker.use_cases import SendPush
from tests.delivery.fakes import FakeRecipients


class FakeProvider:
    """Takes everything but for the tokens in `errors`."""

    def __init__(self) -> None:
        self.errors: dict[str, DeliveryError] = {}
        self.sent: list[str] = []

    async def send(self, push: Push, token: str) -> None:
        if token in self.errors:
            raise self.errors[token]
        self.sent.append(token)


class Bench:
    def __init__(self) -> None:
        self.provider, self.devices = FakeProvider(), FakeRecipients()
        self.send_push = SendPush(provider=self.provider, devices=self.devices)

    async def report(self, errors: dict[str, DeliveryError], *tokens: str) -> PushReport:
        self.provider.errors = errors
        return await self.send_push(Push("id", "title", "body"), [Target(f"{token}-id", token) for token in tokens])


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_every_device_gets_it(bench: Bench) -> None:
    report = await bench.report({}, "phone", "tablet")
    assert report == PushReport((DeviceOutcome("phone-id"), DeviceOutcome("tablet-id")))
    assert sorted(bench.provider.sent) == ["phone", "tablet"]


async def test_devices_that_fcm_does_not_know_are_forgotten(bench: Bench) -> None:
    report = await bench.report({"phone": DeviceGone("UNREGISTERED")}, "phone", "tablet")
    assert report.error is None
    assert bench.devices.removed == ["phone-id"]


async def test_a_device_that_cant_be_forgotten_now_spoils_nothing(bench: Bench) -> None:
    bench.devices.error = Unavailable("down")
    report = await bench.report({"phone": DeviceGone("UNREGISTERED")}, "phone", "tablet")
    assert report.error is None


async def test_it_has_failed_when_no_device_can_ever_be_reached(bench: Bench) -> None:
    errors: dict[str, DeliveryError] = {"phone": DeviceGone("UNREGISTERED"), "tablet": FcmRejected("SENDER_ID_MISMATCH")}
    report = await bench.report(errors, "phone", "tablet")
    assert isinstance(report.error, PermanentDeliveryError)
    assert report.error.reason == "UNREGISTERED"
    assert report.pending == ()


async def test_those_that_may_be_reached_later_are_pending_with_the_longest_wait(bench: Bench) -> None:
    errors: dict[str, DeliveryError] = {
        "watch": FcmUnavailable("UNAVAILABLE", retry_after_s=5),
        "tablet": FcmThrottled("QUOTA_EXCEEDED", retry_after_s=60),
    }
    report = await bench.report(errors, "phone", "watch", "tablet")
    assert report.settled == (DeviceOutcome("phone-id"),)
    assert report.pending == ("watch-id", "tablet-id")
    assert report.error is not None
    assert (report.error.retryable, report.error.reason, report.error.retry_after_s) == (True, "UNAVAILABLE", 60)


@pytest.mark.parametrize(
    ("errors", "counts"),
    [
        ({"phone": FcmUnavailable("UNAVAILABLE"), "tablet": FcmUnavailable("INTERNAL")}, True),
        ({"phone": FcmUnavailable("UNAVAILABLE")}, False),
        ({"phone": FcmUnavailable("UNAVAILABLE"), "tablet": DeviceGone("UNREGISTERED")}, False),
        ({"phone": FcmUnavailable("UNAVAILABLE"), "tablet": FcmThrottled("QUOTA_EXCEEDED")}, False),
    ],
)
async def test_the_provider_has_failed_only_when_it_gave_no_other_answer(
    bench: Bench, errors: dict[str, DeliveryError], counts: bool
) -> None:
    report = await bench.report(errors, "phone", "tablet")
    assert isinstance(report.error, TransientDeliveryError)
    assert isinstance(report.error, ProviderUnavailable) is counts


async def test_an_unknown_outcome_of_one_device_makes_that_of_all_unknown(bench: Bench) -> None:
    report = await bench.report({"phone": FcmOutcomeUnknown("FCM_TIMEOUT")}, "phone", "tablet")
    assert isinstance(report.error, OutcomeUnknown)
    assert report.pending == ("phone-id",)


async def test_nobody_to_reach_is_permanent(bench: Bench) -> None:
    with pytest.raises(PermanentDeliveryError, match="NO_DEVICE"):
        await bench.report({})
