"""One push to several devices: what is reported, what is tried again, what is forgotten."""

import pytest

from delivery.errors import DeliveryError, PermanentDeliveryError, TransientDeliveryError
from delivery.models import OutcomeUnknown, ProviderUnavailable
from mesh.errors import Unavailable
from push_worker.errors import DeviceGone, FcmOutcomeUnknown, FcmRejected, FcmThrottled, FcmUnavailable
from push_worker.models import DeviceOutcome, Push, PushReport, Target
from push_worker.pruning import PruningGuard
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
        self.send_push = SendPush(provider=self.provider, devices=self.devices, pruning=PruningGuard(share=0.1))

    async def report(self, errors: dict[str, DeliveryError], *tokens: str, template: str = "welcome") -> PushReport:
        self.provider.errors = errors
        return await self.send_push(Push("id", "title", "body", template=template), [Target(f"{token}-id", token) for token in tokens])


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
    assert (bench.devices.removed, bench.devices.reasons) == (["phone-id"], ["UNREGISTERED"])


async def test_a_token_of_invalid_form_is_believed_only_where_no_other_device_took_the_payload(bench: Bench) -> None:
    """FCM's INVALID_ARGUMENT may be about what it made of the payload for one platform."""
    await bench.report({"phone": DeviceGone("INVALID_TOKEN")}, "phone", "tablet")
    assert bench.devices.removed == []
    await bench.report({"phone": DeviceGone("INVALID_TOKEN")}, "phone")
    assert bench.devices.removed == ["phone-id"]


async def test_a_bad_payload_removes_no_device(bench: Bench) -> None:
    """However many refuse it."""
    await bench.report({f"phone-{n}": FcmRejected("INVALID_ARGUMENT") for n in range(5)}, *(f"phone-{n}" for n in range(5)))
    assert bench.devices.removed == []


async def test_when_removals_surge_they_stop_for_that_template(bench: Bench) -> None:
    """A template, or the project, is at fault when FCM knows nobody any more."""
    for number in range(100):
        await bench.report({f"phone-{number}": DeviceGone("UNREGISTERED")}, f"phone-{number}")
    assert len(bench.devices.removed) == 10
    await bench.report({"phone": DeviceGone("UNREGISTERED")}, "phone", template="other")
    assert len(bench.devices.removed) == 11


async def test_a_small_share_of_many_goes_on_being_removed() -> None:
    """A campaign meets the phones of those who left, a few in a hundred."""
    now, guard = 0.0, PruningGuard(share=0.1, clock=lambda: now)
    allowed = 0
    for _ in range(100):
        guard.count("news", 20)
        allowed += guard.allows("news", 1)
    assert allowed == 100
    assert not guard.allows("news", 200)
    now = 601.0
    assert guard.allows("news", 1), "the next window counts anew"


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
