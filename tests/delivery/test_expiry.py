"""Nothing is sent after its expiry, however long each step before the provider takes."""

from collections.abc import Sequence

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from clarion.delivery.v1.delivery_pb2 import Delivery
from clarion.notification.v1.notification_pb2 import NOTIFICATION_STATUS_EXPIRED, NOTIFICATION_STATUS_SENT, DeviceResult
from clarion.template.v1.render_service_pb2 import Rendered, RenderItem
from clarion.user.v1.recipient_service_pb2 import Recipient, RecipientQuery
from delivery.attempt_result import encode, expired
from delivery.disposition import Done, Retry
from delivery.models import Attempt, Claim, LedgerEntry, LedgerState, ProviderUnavailable, ReadyDelivery, attempt_key
from delivery.pipeline import DeliveryPipeline
from delivery.routing import Route, Routing
from mesh.errors import ServiceError
from mesh.resilience.shared_breaker import SharedBreakers
from mesh.testing import FakeClock
from tests.delivery.fakes import FakeLedger, FakeRecipients, FakeRenderer, FakeSender, make_delivery
from tests.delivery.pipelines import make_pipeline


class Slow:
    """Everything that a delivery passes through, each step taking its time on the clock."""

    def __init__(self, steps: dict[str, float]) -> None:
        self.clock = FakeClock()
        self.steps = steps
        self.ledger, self.recipients, self.renderer = SlowLedger(self), SlowRecipients(self), SlowRenderer(self)
        self.sent_at: list[float] = []

    def pass_(self, step: str) -> None:
        self.clock.advance(self.steps.get(step, 0.0))

    async def send(self, job: ReadyDelivery) -> Attempt:
        self.sent_at.append(self.clock.now)
        self.pass_("send")
        return Attempt()

    def pipeline(self) -> DeliveryPipeline:
        return make_pipeline(self.ledger, self, recipients=self.recipients, renderer=self.renderer, now_s=self.clock)


class SlowLedger(FakeLedger):
    def __init__(self, slow: Slow) -> None:
        super().__init__()
        self.slow = slow

    async def look_up(self, keys: Sequence[str]) -> Sequence[LedgerEntry]:
        self.slow.pass_("look up")
        return await super().look_up(keys)

    async def claim(self, key: str) -> Claim:
        self.slow.pass_("claim")
        return await super().claim(key)


class SlowRecipients(FakeRecipients):
    def __init__(self, slow: Slow) -> None:
        super().__init__()
        self.slow = slow

    async def resolve(self, queries: Sequence[RecipientQuery]) -> Sequence[Recipient | ServiceError]:
        self.slow.pass_("resolve")
        return await super().resolve(queries)


class SlowRenderer(FakeRenderer):
    def __init__(self, slow: Slow) -> None:
        super().__init__()
        self.slow = slow

    async def render(self, items: Sequence[RenderItem]) -> Sequence[Rendered | ServiceError]:
        self.slow.pass_("render")
        return await super().render(items)


def expiring(at_s: float) -> Delivery:
    delivery = make_delivery()
    delivery.expire_time.CopyFrom(Timestamp(seconds=int(at_s), nanos=round(at_s % 1 * 1e9)))
    return delivery


def key(delivery: Delivery) -> str:
    return attempt_key(delivery.notification_id, delivery.run, delivery.attempt)


@given(
    left_s=st.integers(0, 8),
    steps=st.fixed_dictionaries({step: st.integers(0, 3) for step in ("look up", "resolve", "render", "claim", "send")}),
)
async def test_the_provider_is_called_before_the_expiry_or_never(left_s: int, steps: dict[str, float]) -> None:
    """And no claim is left without a record, which would look like an unknown outcome."""
    slow = Slow(steps)
    expiry = slow.clock.now + left_s
    delivery = expiring(expiry)
    (disposition,) = await slow.pipeline().handle([delivery])
    assert isinstance(disposition, Done)
    before_s = sum(steps.values()) - steps["send"]
    assert [moment < expiry for moment in slow.sent_at] == ([True] if before_s < left_s else [])
    wanted = NOTIFICATION_STATUS_SENT if slow.sent_at else NOTIFICATION_STATUS_EXPIRED
    assert disposition.outcome.status == wanted
    assert {entry.state for entry in slow.ledger.entries.values()} <= {LedgerState.DONE}


async def test_what_was_sent_in_time_stays_sent_when_its_message_comes_back_late() -> None:
    """A worker that died between the record and the acknowledgement leaves it to another one, perhaps after the expiry."""
    slow = Slow({"send": 10})
    delivery = expiring(slow.clock.now + 5)
    first = await slow.pipeline().handle([delivery])
    assert await slow.pipeline().handle([delivery]) == first
    assert isinstance(first[0], Done)
    assert first[0].outcome.status == NOTIFICATION_STATUS_SENT
    assert len(slow.sent_at) == 1


async def test_an_unknown_outcome_after_the_expiry_is_not_sent_again_and_says_so() -> None:
    slow = Slow({})
    delivery = expiring(slow.clock.now)
    slow.ledger.entries[key(delivery)] = LedgerEntry(LedgerState.UNKNOWN)
    (disposition,) = await slow.pipeline().handle([delivery])
    assert isinstance(disposition, Done)
    assert disposition.outcome.status == NOTIFICATION_STATUS_EXPIRED
    assert "ended without an answer" in disposition.outcome.detail
    assert slow.sent_at == []


async def test_a_second_provider_is_not_tried_after_the_expiry() -> None:
    """What the first one refused is then a retry, which the delivery loop finds to be too late."""
    slow = Slow({})
    second = FakeSender()

    async def refuse(job: ReadyDelivery) -> Attempt:
        slow.clock.advance(10)
        raise ProviderUnavailable("SMTP_CONNECT")

    breakers = SharedBreakers()
    routes = [
        Route("first", FakeSender(refuse), breakers.breaker("first"), 1),
        Route("second", second, breakers.breaker("second"), 1, weight=0),
    ]
    pipeline = DeliveryPipeline(
        recipients=slow.recipients, renderer=slow.renderer, ledger=slow.ledger, routing=Routing(routes), now_s=slow.clock
    )
    (disposition,) = await pipeline.handle([expiring(slow.clock.now + 5)])
    assert isinstance(disposition, Retry)
    assert disposition.outcome.provider == "first"
    assert second.jobs == []


@pytest.mark.parametrize("accepted", [True, False])
def test_a_delivery_that_has_reached_a_device_does_not_expire(*, accepted: bool) -> None:
    delivery = make_delivery(attempt=2)
    delivery.device_results.append(DeviceResult(device_id="phone", accepted=accepted))
    done = expired(delivery)
    assert (done.outcome.status == NOTIFICATION_STATUS_SENT) is accepted
    assert encode(done)
