"""The delivery pipeline: every rule of failure, with fakes around it."""

import asyncio

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from clarion.delivery.v1.delivery_pb2 import FAULT_SENDER, Delivery
from clarion.notification.v1.notification_pb2 import (
    NOTIFICATION_STATUS_EXPIRED,
    NOTIFICATION_STATUS_FAILED,
    NOTIFICATION_STATUS_RETRYING,
    NOTIFICATION_STATUS_SENT,
    NOTIFICATION_STATUS_SKIPPED,
    PRIORITY_HIGH,
    DeviceResult,
)
from clarion.template.v1.template_pb2 import ON_UNKNOWN_HOLD
from clarion.user.v1.recipient_service_pb2 import DECISION_DEFER, DECISION_NOT_FOUND, DECISION_SKIP, Recipient
from delivery.attempt_result import decode, encode
from delivery.disposition import Broken, Dead, Defer, Disposition, Done, Postpone, Retry
from delivery.errors import PermanentDeliveryError, TransientDeliveryError
from delivery.lanes import build_topology, lane_of
from delivery.models import (
    Attempt,
    Claim,
    LedgerEntry,
    LedgerState,
    OutcomeUnknown,
    ProviderUnavailable,
    ReadyDelivery,
    SenderRefused,
)
from delivery.pipeline import DeliveryPipeline
from delivery.routing import Route, Routing
from mesh.errors import FailedPrecondition, Internal, Unavailable
from mesh.resilience.breaker import BreakerState
from mesh.resilience.shared_breaker import SharedBreakers
from mesh.testing import FakeClock
from tests.delivery.fakes import FakeLedger, FakeRecipients, FakeRenderer, FakeSender, make_delivery


class Bench:
    """A pipeline with its fakes."""

    def __init__(self, *, concurrency: int = 4) -> None:
        self.recipients, self.renderer, self.ledger, self.sender = FakeRecipients(), FakeRenderer(), FakeLedger(), FakeSender()
        self.clock = FakeClock()
        self.breaker = SharedBreakers(clock=self.clock).breaker("provider")
        self.observed: list[str] = []
        self.pipeline = DeliveryPipeline(
            recipients=self.recipients, renderer=self.renderer, ledger=self.ledger,
            routing=Routing([Route("provider", self.sender, self.breaker, concurrency)], clock=self.clock),
            observe=lambda _provider, result, _seconds, _sent: self.observed.append(result), now_s=self.clock,
        )  # fmt: skip

    async def one(self, delivery: Delivery) -> Disposition:
        (disposition,) = await self.pipeline.handle([delivery])
        return disposition

    async def handle_in_turn(self, count: int) -> list[Disposition]:
        return [await self.one(make_delivery(number)) for number in range(1, count + 1)]

    def fail_with(self, error: Exception) -> None:
        async def act(job: ReadyDelivery) -> Attempt:
            raise error

        self.sender.act = act


@pytest.fixture
def bench() -> Bench:
    return Bench()


def key(delivery: Delivery) -> str:
    return f"{delivery.notification_id}:{delivery.run}:{delivery.attempt}"


async def test_an_envelope_costs_one_question_to_each_service(bench: Bench) -> None:
    dispositions = await bench.pipeline.handle([make_delivery(number) for number in range(1, 51)])
    assert [type(disposition) for disposition in dispositions] == [Done] * 50
    assert [len(batch) for batch in bench.recipients.asked] == [50]
    assert [len(batch) for batch in bench.renderer.asked] == [50]
    assert len(bench.sender.jobs) == 50


async def test_what_the_provider_took_is_sent_in_the_persons_language(bench: Bench) -> None:
    disposition = await bench.one(make_delivery())
    assert isinstance(disposition, Done)
    outcome = disposition.outcome
    assert (outcome.status, outcome.attempt, outcome.locale, outcome.reason) == (NOTIFICATION_STATUS_SENT, 1, "en", "")
    assert 0 < outcome.start_time.ToNanoseconds() <= outcome.time.ToNanoseconds()
    assert bench.observed == ["sent"]


async def test_a_locale_that_was_asked_for_wins_over_the_persons_own(bench: Bench) -> None:
    await bench.one(make_delivery(locale="pt-BR"))
    assert bench.renderer.asked[0][0].locale == "pt-BR"


async def test_an_address_that_a_reviewer_has_set_is_part_of_the_question(bench: Bench) -> None:
    delivery = make_delivery()
    delivery.email = "new@example.org"
    await bench.one(delivery)
    assert [query.email for query in bench.recipients.asked[0]] == ["new@example.org"]


async def test_what_its_person_does_not_want_now_is_postponed_without_an_attempt(bench: Bench) -> None:
    """The others of the envelope are sent, and so is it once it may."""
    later = Recipient(decision=DECISION_DEFER, rule="quiet_hours:22:00-07:00")
    later.defer_for.FromSeconds(3600)
    bench.recipients.answers = {"user-1": later}
    first, second = await bench.pipeline.handle([make_delivery(1), make_delivery(2)])
    assert first == Postpone("quiet_hours:22:00-07:00", 3600.0)
    assert isinstance(second, Done)
    assert [job.delivery.notification_id for job in bench.sender.jobs] == [make_delivery(2).notification_id]
    bench.recipients.answers = {}
    assert isinstance(await bench.one(make_delivery(1)), Done)


async def test_the_question_says_all_that_a_decision_depends_on(bench: Bench) -> None:
    delivery = make_delivery()
    delivery.priority, delivery.test, delivery.template = PRIORITY_HIGH, True, "welcome"
    await bench.one(delivery)
    (query,) = bench.recipients.asked[0]
    assert (query.notification_id, query.template, query.urgent, query.test) == (delivery.notification_id, "welcome", True, True)


async def test_each_delivery_of_an_envelope_has_its_own_fate_in_order(bench: Bench) -> None:
    bench.recipients.answers = {
        "user-1": Recipient(decision=DECISION_SKIP, rule="preference:email:billing"),
        "user-2": Recipient(decision=DECISION_NOT_FOUND),
    }
    bench.renderer.errors = {"broken": FailedPrecondition("variables.name: is missing", reason="MISSING_VARIABLE")}
    broken = make_delivery(3)
    broken.template = "broken"
    dispositions = await bench.pipeline.handle([make_delivery(1), make_delivery(2), broken, make_delivery(4)])
    outcomes = [disposition.outcome for disposition in dispositions if not isinstance(disposition, Defer | Postpone | Broken)]
    assert [type(disposition) for disposition in dispositions] == [Done, Dead, Dead, Done]
    assert [(outcome.status, outcome.reason) for outcome in outcomes] == [
        (NOTIFICATION_STATUS_SKIPPED, "PREFERENCE"),
        (NOTIFICATION_STATUS_FAILED, "USER_NOT_FOUND"),
        (NOTIFICATION_STATUS_FAILED, "MISSING_VARIABLE"),
        (NOTIFICATION_STATUS_SENT, ""),
    ]
    assert outcomes[0].detail == "preference:email:billing"
    assert len(bench.sender.jobs) == 1


async def test_what_is_out_of_time_is_not_sent(bench: Bench) -> None:
    delivery = make_delivery()
    delivery.expire_time.CopyFrom(Timestamp(seconds=int(bench.clock.now)))
    disposition = await bench.one(delivery)
    assert isinstance(disposition, Done)
    assert disposition.outcome.status == NOTIFICATION_STATUS_EXPIRED
    assert bench.recipients.asked == []


async def test_a_service_that_is_down_costs_no_attempt(bench: Bench) -> None:
    bench.recipients.error = Unavailable("down", reason="DATABASE_UNAVAILABLE", retry_after_s=1)
    waits = []
    for parked in (0, 14, 15, 20, 21, 100):
        delivery = make_delivery()
        delivery.deferrals = parked
        waits.append(await bench.one(delivery))
    assert waits == [Defer("DATABASE_UNAVAILABLE", wait_s) for wait_s in (2, 2, 4, 4, 8, 30)], "short at first, then longer"
    bench.recipients.error = Unavailable("held back", reason="BREAKER_OPEN", retry_after_s=45)
    assert await bench.one(make_delivery()) == Defer("BREAKER_OPEN", 45)
    assert bench.ledger.entries == {}


async def test_a_defect_of_a_service_uses_up_the_ladder(bench: Bench) -> None:
    bench.recipients.error = Internal("something broke")
    retried = await bench.one(make_delivery())
    assert isinstance(retried, Retry)
    assert retried.outcome.status == NOTIFICATION_STATUS_RETRYING
    assert isinstance(await bench.one(make_delivery(attempt=4)), Dead)


async def test_a_transient_error_is_retried_not_before_retry_after(bench: Bench) -> None:
    bench.fail_with(TransientDeliveryError("SMTP_451", "4.7.1 later", retry_after_s=17))
    disposition = await bench.one(make_delivery())
    assert isinstance(disposition, Retry)
    assert disposition.retry_after_s == 17
    assert (disposition.outcome.reason, disposition.outcome.detail) == ("SMTP_451", "4.7.1 later")


async def test_the_fourth_attempt_is_the_last(bench: Bench) -> None:
    bench.fail_with(TransientDeliveryError("SMTP_451"))
    kinds = [type(await bench.one(make_delivery(attempt=attempt))) for attempt in range(1, 5)]
    assert kinds == [Retry, Retry, Retry, Dead]


async def test_a_permanent_error_uses_one_attempt(bench: Bench) -> None:
    bench.fail_with(PermanentDeliveryError("SMTP_550", "5.1.1 no such user"))
    disposition = await bench.one(make_delivery())
    assert isinstance(disposition, Dead)
    assert (disposition.outcome.status, disposition.outcome.reason) == (NOTIFICATION_STATUS_FAILED, "SMTP_550")


async def test_a_defect_of_the_channel_harms_one_delivery_only(bench: Bench) -> None:
    async def act(job: ReadyDelivery) -> Attempt:
        if job.delivery.user_id == "user-1":
            raise KeyError("a defect")
        return Attempt()

    bench.sender.act = act
    dispositions = await bench.pipeline.handle([make_delivery(1), make_delivery(2)])
    assert [type(disposition) for disposition in dispositions] == [Retry, Done]


async def test_five_failures_of_the_provider_park_all_that_follows(bench: Bench) -> None:
    bench.fail_with(ProviderUnavailable("SMTP_CONNECT"))
    dispositions = await bench.handle_in_turn(5)
    assert [type(disposition) for disposition in dispositions] == [Retry] * 5
    assert bench.breaker.state is BreakerState.OPEN
    bench.clock.advance(20)
    assert await bench.one(make_delivery(6)) == Defer("BREAKER_OPEN", 40)
    assert len(bench.recipients.asked) == 5
    assert key(make_delivery(6)) not in bench.ledger.entries


async def test_refusals_of_single_messages_never_open_the_breaker(bench: Bench) -> None:
    for error in (TransientDeliveryError("SMTP_451"), PermanentDeliveryError("SMTP_550")):
        bench.fail_with(error)
        bench.ledger.entries.clear()
        await bench.handle_in_turn(9)  # one more deferral would slow the provider down
    assert len(bench.sender.jobs) == 18
    assert bench.breaker.state is BreakerState.CLOSED


async def test_half_open_one_delivery_is_the_probe_and_the_others_are_parked(bench: Bench) -> None:
    bench.fail_with(ProviderUnavailable("SMTP_CONNECT"))
    await bench.handle_in_turn(5)
    bench.clock.advance(60)
    bench.sender.jobs.clear()
    bench.sender.act = None
    dispositions = await bench.pipeline.handle([make_delivery(number) for number in range(10, 13)])
    assert [type(disposition) for disposition in dispositions].count(Done) >= 1
    assert bench.breaker.state is BreakerState.CLOSED
    parked = [number for number, disposition in zip(range(10, 13), dispositions, strict=True) if isinstance(disposition, Defer)]
    assert all(key(make_delivery(number)) not in bench.ledger.entries for number in parked)


async def test_what_meets_a_probe_waits_for_its_answer_and_no_longer(bench: Bench) -> None:
    """A second, not as long as the breaker stays open: the next delay queue has it back."""
    bench.fail_with(ProviderUnavailable("SMTP_CONNECT"))
    await bench.handle_in_turn(5)
    bench.clock.advance(60)
    begun, answered = asyncio.Event(), asyncio.Event()

    async def act(_job: ReadyDelivery) -> Attempt:
        begun.set()
        await answered.wait()
        return Attempt()

    bench.sender.act = act
    probe = asyncio.create_task(bench.one(make_delivery(10)))
    await begun.wait()
    assert await bench.one(make_delivery(11)) == Defer("BREAKER_OPEN", 1)
    lane = lane_of(build_topology(), "email", urgent=False)
    assert lane.delay_for(1) == lane.retry[0]
    answered.set()
    assert [type(one) for one in (await probe, await bench.one(make_delivery(11)))] == [Done, Done]


async def test_what_is_done_is_answered_from_the_ledger_and_not_sent_again(bench: Bench) -> None:
    first = await bench.one(make_delivery())
    assert await bench.one(make_delivery()) == first
    bench.fail_with(TransientDeliveryError("SMTP_451", retry_after_s=9))
    retried = await bench.one(make_delivery(2))
    assert await bench.one(make_delivery(2)) == retried
    assert len(bench.sender.jobs) == 2


async def test_a_claim_without_an_outcome_is_sent_again(bench: Bench) -> None:
    bench.ledger.entries[key(make_delivery())] = LedgerEntry(LedgerState.UNKNOWN)
    assert isinstance(await bench.one(make_delivery()), Done)
    assert len(bench.sender.jobs) == 1


async def test_a_claim_without_an_outcome_waits_for_a_person_where_the_template_says_so(bench: Bench) -> None:
    delivery = make_delivery(on_unknown=ON_UNKNOWN_HOLD)
    bench.ledger.entries[key(delivery)] = LedgerEntry(LedgerState.UNKNOWN)
    disposition = await bench.one(delivery)
    assert isinstance(disposition, Dead)
    assert disposition.outcome.reason == "OUTCOME_UNKNOWN"
    assert bench.sender.jobs == []


async def test_an_unknown_outcome_is_retried_or_held_as_the_template_says(bench: Bench) -> None:
    bench.fail_with(OutcomeUnknown("SMTP_TIMEOUT", "no answer"))
    assert isinstance(await bench.one(make_delivery(1)), Retry)
    held = await bench.one(make_delivery(2, on_unknown=ON_UNKNOWN_HOLD))
    assert isinstance(held, Dead)
    assert held.outcome.reason == "OUTCOME_UNKNOWN"


async def test_a_delivery_that_comes_back_while_it_is_being_sent_is_sent_once(bench: Bench) -> None:
    sending, go_on = asyncio.Event(), asyncio.Event()

    async def act(job: ReadyDelivery) -> Attempt:
        sending.set()
        await go_on.wait()
        return Attempt()

    bench.sender.act = act
    first = asyncio.create_task(bench.one(make_delivery(on_unknown=ON_UNKNOWN_HOLD)))
    await sending.wait()
    second = asyncio.create_task(bench.one(make_delivery(on_unknown=ON_UNKNOWN_HOLD)))
    await asyncio.sleep(0)
    go_on.set()
    assert await first == await second
    assert len(bench.sender.jobs) == 1


async def test_a_cancelled_delivery_leaves_an_unknown_outcome(bench: Bench) -> None:
    sending = asyncio.Event()

    async def act(job: ReadyDelivery) -> Attempt:
        sending.set()
        await asyncio.Event().wait()
        return Attempt()

    bench.sender.act = act
    task = asyncio.create_task(bench.one(make_delivery()))
    await sending.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert bench.ledger.entries[key(make_delivery())].state is LedgerState.UNKNOWN


async def test_no_more_jobs_at_the_provider_than_allowed() -> None:
    bench = Bench(concurrency=3)
    now, peak = 0, 0

    async def act(job: ReadyDelivery) -> Attempt:
        nonlocal now, peak
        now += 1
        peak = max(peak, now)
        await asyncio.sleep(0)
        now -= 1
        return Attempt()

    bench.sender.act = act
    await bench.pipeline.handle([make_delivery(number) for number in range(20)])
    assert peak == 3


async def test_devices_that_are_left_are_retried_alone(bench: Bench) -> None:
    reached = DeviceResult(device_id="phone", accepted=True)

    async def act(job: ReadyDelivery) -> Attempt:
        return Attempt(TransientDeliveryError("UNAVAILABLE"), [reached], ["tablet"])

    bench.sender.act = act
    disposition = await bench.one(make_delivery())
    assert isinstance(disposition, Retry)
    assert disposition.delivery is not None
    assert list(disposition.delivery.device_ids) == ["tablet"]
    assert list(disposition.delivery.device_results) == [reached]
    assert decode(encode(disposition)) == disposition


@pytest.mark.parametrize("error", [PermanentDeliveryError("UNREGISTERED"), TransientDeliveryError("UNAVAILABLE")])
async def test_one_reached_device_is_enough_in_the_end(bench: Bench, error: Exception) -> None:
    bench.fail_with(error)
    delivery = make_delivery(attempt=4)
    delivery.device_results.add(device_id="phone", accepted=True)
    disposition = await bench.one(delivery)
    assert isinstance(disposition, Done)
    assert disposition.outcome.status == NOTIFICATION_STATUS_SENT


async def test_a_later_refusal_does_not_undo_what_reached_a_device(bench: Bench) -> None:
    bench.recipients.answers = {"user-1": Recipient(decision=DECISION_SKIP, rule="no_device")}
    delivery = make_delivery(attempt=2)
    delivery.device_results.add(device_id="phone", accepted=True)
    disposition = await bench.one(delivery)
    assert isinstance(disposition, Done)
    assert disposition.outcome.status == NOTIFICATION_STATUS_SENT


async def test_a_failure_of_our_own_over_one_delivery_is_that_ones_affair(bench: Bench) -> None:
    """Whatever breaks after the provider's answer: its neighbours keep their outcomes."""

    class Faulty(FakeLedger):
        async def record(self, claim: Claim, record: bytes, *, sent: bool = False) -> LedgerEntry:
            if "000000000002" in claim.key:
                raise ValueError("a defect")
            return await super().record(claim, record, sent=sent)

    bench.pipeline._attempts._ledger = Faulty()
    dispositions = await bench.pipeline.handle([make_delivery(number) for number in range(1, 4)])
    assert [type(disposition) for disposition in dispositions] == [Done, Broken, Done]


async def test_a_refusal_of_the_sender_waits_longer_and_longer_and_uses_up_no_attempt(bench: Bench) -> None:
    """An account that has expired, say: the mail is there when an operator has mended it."""
    bench.fail_with(SenderRefused("SMTP_AUTH", "the server refuses our credentials with 535"))
    delivery, waits = make_delivery(), []
    for _ in range(5):
        disposition = await bench.one(delivery)
        assert isinstance(disposition, Retry)
        assert disposition.outcome.fault == FAULT_SENDER
        assert disposition.delivery is not None
        waits.append(disposition.retry_after_s)
        delivery = disposition.delivery
        delivery.attempt += 1
        bench.clock.advance(1000)
    assert waits == [4, 8, 16, 32, 64]
    assert await bench.one(delivery) == Defer("BREAKER_OPEN", 60), "what only finds out that the account is still refused waits as it is"
    bench.clock.advance(1000)
    bench.fail_with(TransientDeliveryError("SMTP_451"))
    assert isinstance(await bench.one(delivery), Retry), "the ladder begins where it was"
    delivery.attempt += 3
    assert isinstance(await bench.one(delivery), Dead)
