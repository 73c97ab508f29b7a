"""A provider that refuses nearly everything is asked slowly, and deliveries keep their attempts; so do those that only probed."""

import pytest

from clarion.delivery.v1.delivery_pb2 import Delivery
from delivery.attempt_result import ATTEMPTS
from delivery.disposition import Defer, Disposition, Done, Retry
from delivery.errors import PermanentDeliveryError, TransientDeliveryError
from delivery.models import Attempt, ProviderUnavailable
from delivery.pipeline import DeliveryPipeline
from delivery.pushback import Pushback
from delivery.routing import Route, Routing
from email_worker.errors import MailboxBusy
from mesh.resilience.shared_breaker import SharedBreakers
from mesh.testing import FakeClock
from tests.delivery.fakes import FakeLedger, FakeRecipients, FakeRenderer, FakeSender, make_delivery

GREY = TransientDeliveryError("SMTP_451", "4.7.1 come back later")


class Bench:
    """One provider, and a clock for all that waits."""

    def __init__(self, *, attempts: int = ATTEMPTS) -> None:
        self.clock = FakeClock()
        self.ledger, self.sender = FakeLedger(), FakeSender()
        self.breaker = SharedBreakers(clock=self.clock).breaker("provider")
        self.route = Route("provider", self.sender, self.breaker, 4)
        self.route.pushback = Pushback("provider", clock=self.clock)
        self.pipeline = DeliveryPipeline(
            recipients=FakeRecipients(),
            renderer=FakeRenderer(),
            ledger=self.ledger,
            routing=Routing([self.route], clock=self.clock),
            attempts=attempts,
        )
        self.numbers = iter(range(1, 1000))

    async def one(self, delivery: Delivery | None = None) -> Disposition:
        (disposition,) = await self.pipeline.handle([delivery or make_delivery(next(self.numbers))])
        return disposition

    def answer(self, error: Exception | None) -> None:
        async def act(_job: object) -> Attempt:
            if error is not None:
                raise error
            return Attempt()

        self.sender.act = act


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_provider_that_defers_everyone_uses_up_no_attempts(bench: Bench) -> None:
    """The first ten are what it takes to find out. After that one delivery in a growing pause asks, and keeps its attempt too."""
    bench.answer(GREY)
    first = [await bench.one() for _ in range(10)]
    assert all(isinstance(disposition, Retry) for disposition in first[:9])
    later = []
    for _ in range(60):
        later.append(await bench.one())
        bench.clock.advance(1)
    assert {type(disposition) for disposition in later} == {Defer}
    assert len(bench.sender.jobs) < 20, "of 70"
    asked = make_delivery(500)
    bench.clock.advance(60)
    assert isinstance(await bench.one(asked), Defer)
    bench.clock.advance(60)
    bench.answer(None)
    assert isinstance(await bench.one(asked), Done), "its attempt is free"
    assert [type(await bench.one()) for _ in range(20)] == [Done] * 20


async def test_some_deferred_recipients_are_their_own_affair(bench: Bench) -> None:
    """Greylisting of every other one slows nothing down, and refusals for good are answers."""
    for error in [GREY, None, PermanentDeliveryError("SMTP_550")] * 20:
        bench.answer(error)
        assert not isinstance(await bench.one(), Defer)


async def test_where_little_is_sent_five_seconds_of_refusals_are_enough(bench: Bench) -> None:
    """Three people, one try a second: after five seconds tries cost nothing more. One that is taken ends it."""
    bench.answer(GREY)
    people = [make_delivery(number) for number in (701, 702, 703)]
    seen = []
    for number in range(9):
        bench.clock.advance(0 if number == 0 else 1)
        delivery = Delivery()
        delivery.CopyFrom(people[number % 3])
        delivery.attempt = 1 + number // 3
        seen.append(type(await bench.one(delivery)))
    assert seen == [Retry] * 5 + [Defer] * 4
    bench.clock.advance(60)
    bench.answer(None)
    assert isinstance(await bench.one(), Done)
    bench.answer(GREY)
    assert isinstance(await bench.one(), Retry)


async def test_one_person_who_is_refused_again_and_again_says_nothing_of_the_provider() -> None:
    """A ladder may have 20 steps; two such people are their own affair, too."""
    bench = Bench(attempts=21)
    bench.answer(GREY)
    for number in range(40):
        delivery = make_delivery(704 + number // 20)
        delivery.attempt = 1 + number % 20
        assert isinstance(await bench.one(delivery), Retry)
        bench.clock.advance(10)
    assert len(bench.sender.jobs) == 40


async def test_full_mailboxes_are_no_state_of_the_provider(bench: Bench) -> None:
    bench.answer(MailboxBusy("SMTP_452", "4.2.2 mailbox full"))
    for _ in range(40):
        assert isinstance(await bench.one(), Retry)
        bench.clock.advance(1)


async def test_a_probe_that_fails_keeps_its_attempt(bench: Bench) -> None:
    bench.answer(ProviderUnavailable("SMTP_CONNECT", "can't connect"))
    assert [type(await bench.one()) for _ in range(5)] == [Retry] * 5
    probe = make_delivery(500)
    for _ in range(6):
        bench.clock.advance(60)
        assert await bench.one(probe) == Defer("BREAKER_OPEN", 60)
    bench.clock.advance(60)
    bench.answer(None)
    assert isinstance(await bench.one(probe), Done)
