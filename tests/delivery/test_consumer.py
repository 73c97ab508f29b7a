"""The delivery loop between a bus and a handler: on the in-process broker, and its main path on the real RabbitMQ."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct

from clarion.delivery.v1.delivery_pb2 import Delivery, DeliveryFailed, DeliveryRequested, DeliveryResolved, Outcome
from clarion.notification.v1.notification_pb2 import NotificationStatus
from delivery.consumer import SPLIT_FROM_DELIVERY, DeliveryConsumer, Handler
from delivery.disposition import Dead, Defer, Disposition, Done, Retry, Settled
from delivery.envelopes import UNREADABLE, _varint, envelope, ids_of
from delivery.lanes import FAILED_QUEUE, OUTCOME_QUEUE, build_topology, work_queue
from devstack.broker import MemoryBroker
from mesh.bus.broker import Broker, BrokerUnavailable, Message
from mesh.bus.rabbitmq import open_broker
from mesh.bus.settings import BrokerSettings
from mesh.ids import new_id
from tests.waiting import GUARD_S, until

SCALE = 0.02
SENT = NotificationStatus.NOTIFICATION_STATUS_SENT
RETRYING = NotificationStatus.NOTIFICATION_STATUS_RETRYING
QUEUED = NotificationStatus.NOTIFICATION_STATUS_QUEUED
FAILED = NotificationStatus.NOTIFICATION_STATUS_FAILED


class Gateway:
    """Reads what the loop tells the gateway."""

    def __init__(self) -> None:
        self.outcomes: asyncio.Queue[Outcome] = asyncio.Queue()
        self.letters: asyncio.Queue[DeliveryFailed] = asyncio.Queue()
        self.raw: asyncio.Queue[Message] = asyncio.Queue()

    async def listen(self, broker: Broker) -> None:
        await broker.consume(OUTCOME_QUEUE, self._on_resolved, prefetch=50)
        await broker.consume(FAILED_QUEUE, self._on_failed, prefetch=50)

    async def outcome(self) -> Outcome:
        return await asyncio.wait_for(self.outcomes.get(), GUARD_S)

    async def letter(self) -> DeliveryFailed:
        return await asyncio.wait_for(self.letters.get(), GUARD_S)

    async def raw_letter(self) -> Message:
        return await asyncio.wait_for(self.raw.get(), GUARD_S)

    async def _on_resolved(self, message: Message) -> None:
        for outcome in DeliveryResolved.FromString(message.body).outcomes:
            self.outcomes.put_nowait(outcome)
        await message.ack()

    async def _on_failed(self, message: Message) -> None:
        if "reason" in message.headers:
            self.raw.put_nowait(message)
        else:
            self.letters.put_nowait(DeliveryFailed.FromString(message.body))
        await message.ack()


class Script:
    """A handler that answers from a function and keeps what it was given."""

    def __init__(self, answer: Callable[[Delivery], Disposition]) -> None:
        self.answer = answer
        self.calls: list[list[Delivery]] = []

    async def __call__(self, deliveries: Sequence[Delivery], settled: Settled) -> Sequence[Disposition]:
        self.calls.append(list(deliveries))
        return [self.answer(delivery) for delivery in deliveries]


@pytest.fixture
async def memory_broker() -> AsyncIterator[Broker]:
    broker = MemoryBroker(build_topology(delay_scale=SCALE))
    yield broker
    await broker.close()


@pytest.fixture
async def rabbitmq_broker(amqp_url: str) -> AsyncIterator[Broker]:
    async with open_broker(BrokerSettings(amqp_url, delay_scale=SCALE), build_topology(delay_scale=SCALE)) as broker:
        # opening returns after 3 s with or without a connection, and a busy machine needs longer to declare some 20 quorum queues
        await until(lambda: broker.connected)
        yield broker


@pytest.fixture(params=["memory_broker", pytest.param("rabbitmq_broker", marks=pytest.mark.processes)])
def broker(request: pytest.FixtureRequest) -> Broker:
    chosen: Broker = request.getfixturevalue(request.param)
    return chosen


async def test_an_envelope_of_every_kind_goes_its_ways(broker: Broker) -> None:
    """Four deliveries of one envelope, one each way: the sent, the retried, the parked and the dead."""
    answers: dict[str, Disposition] = {
        "sent": Done(Outcome(status=SENT, locale="pt")),
        "dead": Dead(Outcome(reason="SMTP_550")),
    }

    def answer(delivery: Delivery) -> Disposition:
        if delivery.notification_id == "retried" and delivery.attempt == 1:
            return Retry(Outcome(reason="SMTP_451"))
        if delivery.notification_id == "parked" and not delivery.deferrals:
            return Defer("BREAKER_OPEN", 30 * SCALE)
        return answers.get(delivery.notification_id, Done(Outcome(status=SENT)))

    async with running(broker, Script(answer)) as (gateway, _):
        await publish(broker, *(make_delivery(name) for name in ("sent", "retried", "parked", "dead")))
        letter = await gateway.letter()
        told = [await gateway.outcome() for _ in range(5)]
    assert (letter.outcome.notification_id, letter.outcome.reason, letter.outcome.status) == ("dead", "SMTP_550", FAILED)
    ways = {name: [(o.status, o.attempt, o.reason) for o in told if o.notification_id == name] for name in ("sent", "retried", "parked")}
    assert ways == {
        "sent": [(SENT, 1, "")],
        "retried": [(RETRYING, 1, "SMTP_451"), (SENT, 2, "")],
        "parked": [(QUEUED, 1, "BREAKER_OPEN"), (SENT, 1, "")],
    }
    assert await broker.depth("email.queue") == 0


@pytest.mark.parametrize("urgent", [False, True])
async def test_a_delivery_is_tried_four_times_in_its_own_lane_and_then_given_up(broker: Broker, urgent: bool) -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []

    def answer(delivery: Delivery) -> Disposition:
        times.append(loop.time())
        return Retry(Outcome(reason="SMTP_451"))

    async with running(broker, Script(answer)) as (gateway, _):
        await publish(broker, make_delivery(), urgent=urgent)
        letter = await gateway.letter()
        told = [await gateway.outcome() for _ in range(3)]
    assert [outcome.attempt for outcome in told] == [1, 2, 3]
    assert {outcome.status for outcome in told} == {RETRYING}
    assert (letter.outcome.status, letter.outcome.attempt, letter.outcome.reason) == (FAILED, 4, "SMTP_451")
    pauses = [after - before for before, after in pairwise(times)]
    assert all(pause >= step * SCALE for pause, step in zip(pauses, (2, 4, 8), strict=True)), pauses
    assert gateway.outcomes.empty()


async def test_a_retry_after_is_waited_out_in_hops_without_calling_the_handler(memory_broker: MemoryBroker) -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []
    # Longer than the longest delay of 120 x 0.02 s.
    wait_s = 2.6

    def answer(delivery: Delivery) -> Disposition:
        times.append(loop.time())
        return Retry(Outcome(), retry_after_s=wait_s) if delivery.attempt == 1 else Done(Outcome(status=SENT))

    async with running(memory_broker, Script(answer)) as (gateway, _):
        await publish(memory_broker, make_delivery())
        assert [(await gateway.outcome()).status for _ in range(2)] == [RETRYING, SENT]
    assert times[1] - times[0] >= wait_s


async def test_a_body_that_is_no_envelope_becomes_a_dead_letter_at_once(broker: Broker) -> None:
    script = Script(lambda _: Done(Outcome()))
    async with running(broker, script) as (gateway, _):
        await broker.publish("email.queue", b"\xff\xff")
        letter = await gateway.raw_letter()
        assert (letter.body, letter.headers["reason"], letter.headers["source"]) == (b"\xff\xff", "UNPARSABLE", "email.queue")
    assert script.calls == []
    assert await broker.depth("email.queue") == 0


async def test_an_unreadable_item_costs_no_neighbour(broker: Broker) -> None:
    """More levels than any protobuf parser takes, between two deliveries of others."""
    deep = Struct()
    for _ in range(40):
        outer = Struct()
        outer.fields["a"].struct_value.CopyFrom(deep)
        deep = outer
    good, bad = [make_delivery(new_id()) for _ in range(2)], make_delivery(new_id())
    payload = bad.SerializeToString() + b"\x52" + bytes(_varint(deep.ByteSize())) + deep.SerializeToString()
    script = Script(lambda _: Done(Outcome(status=SENT)))
    async with running(broker, script) as (gateway, _):
        await broker.publish("email.queue", envelope([good[0].SerializeToString(), payload, good[1].SerializeToString()]))
        letter = await gateway.raw_letter()
        assert (letter.body, letter.headers["reason"], letter.kind) == (payload, "UNPARSABLE", UNREADABLE)
        assert ids_of(letter.headers) == [bad.notification_id]
        assert [(await gateway.outcome()).notification_id for _ in good] == [delivery.notification_id for delivery in good]


async def test_a_handler_that_breaks_down_costs_a_pause_and_no_neighbour(memory_broker: MemoryBroker) -> None:
    sizes: list[int] = []

    async def handler(deliveries: Sequence[Delivery], settled: Settled) -> Sequence[Disposition]:
        sizes.append(len(deliveries))
        if any(delivery.notification_id == "poison" for delivery in deliveries):
            raise ValueError("a defect")
        return [Done(Outcome(status=SENT)) for _ in deliveries]

    async with running(memory_broker, handler) as (gateway, _):
        await publish(memory_broker, make_delivery("poison"), make_delivery("fine"))
        letter = await gateway.letter()
        told = [await gateway.outcome() for _ in range(7)]
    assert (letter.outcome.notification_id, letter.outcome.reason) == ("poison", "WORKER_FAILED")
    assert [outcome.status for outcome in told if outcome.notification_id == "fine"] == [QUEUED, SENT]
    assert sizes[0] == 2
    assert set(sizes[1:]) == {1}


async def test_a_handler_that_answers_too_little_has_broken_down(memory_broker: MemoryBroker) -> None:
    async def handler(deliveries: Sequence[Delivery], settled: Settled) -> Sequence[Disposition]:
        return [] if len(deliveries) > 1 else [Done(Outcome(status=SENT))]

    async with running(memory_broker, handler) as (gateway, _):
        await publish(memory_broker, make_delivery("a"), make_delivery("b"))
        told = [await gateway.outcome() for _ in range(4)]
    assert sorted((outcome.notification_id, outcome.status) for outcome in told) == [
        ("a", QUEUED), ("a", SENT), ("b", QUEUED), ("b", SENT),
    ]  # fmt: skip


async def test_an_envelope_that_keeps_coming_back_is_taken_apart(broker: Broker) -> None:
    """As when a worker dies of one of its deliveries: the others must not be given up with it."""
    await publish(broker, make_delivery("a"), make_delivery("b"))
    for _ in range(SPLIT_FROM_DELIVERY):
        await die_over_a_message_of(broker, "email.queue")
    script = Script(lambda _: Done(Outcome(status=SENT)))
    async with running(broker, script) as (gateway, _):
        told = {(await gateway.outcome()).notification_id for _ in range(2)}
    assert told == {"a", "b"}
    assert [len(call) for call in script.calls] == [1, 1]


async def test_nothing_is_acknowledged_before_it_is_published_onward(memory_broker: MemoryBroker) -> None:
    """The broker goes away while the handler works: the envelope comes again, and the retry is not lost."""
    asked = asyncio.Event()
    go_on = asyncio.Event()
    calls: list[int] = []

    async def handler(deliveries: Sequence[Delivery], settled: Settled) -> Sequence[Disposition]:
        calls.append(deliveries[0].attempt)
        asked.set()
        await go_on.wait()
        return [Retry(Outcome()) if delivery.attempt == 1 else Done(Outcome(status=SENT)) for delivery in deliveries]

    async with running(memory_broker, handler) as (gateway, _):
        await publish(memory_broker, make_delivery())
        await asked.wait()
        memory_broker.disconnect()
        go_on.set()
        memory_broker.connect()
        while (await gateway.outcome()).status != SENT:
            pass
    assert calls[:2] == [1, 1], "the envelope was delivered again since the first was never acknowledged"


async def test_publishing_onward_is_repeated_until_it_succeeds(memory_broker: MemoryBroker) -> None:
    """A queue that is missing for a moment, say; the handler is not asked twice."""
    flaky = FlakyPublisher(memory_broker, failures=3)
    script = Script(lambda _: Dead(Outcome(reason="SMTP_550")))
    async with running(flaky, script, gateway_broker=memory_broker) as (gateway, _):
        await publish(memory_broker, make_delivery())
        assert (await gateway.letter()).outcome.reason == "SMTP_550"
    assert flaky.failures == 0
    assert len(script.calls) == 1
    assert await memory_broker.depth("email.queue") == 0


async def test_an_urgent_delivery_does_not_wait_for_a_busy_normal_lane(broker: Broker) -> None:
    release = asyncio.Event()

    async def handler(deliveries: Sequence[Delivery], settled: Settled) -> Sequence[Disposition]:
        if deliveries[0].notification_id == "slow":
            await release.wait()
        return [Done(Outcome(status=SENT)) for _ in deliveries]

    async with running(broker, handler, prefetch=1) as (gateway, _):
        await publish(broker, make_delivery("slow"))
        await publish(broker, make_delivery("slow"))
        await publish(broker, make_delivery("code"), urgent=True)
        assert (await gateway.outcome()).notification_id == "code"
        release.set()
        assert {(await gateway.outcome()).notification_id for _ in range(2)} == {"slow"}


async def test_stopping_finishes_the_envelope_in_hand(broker: Broker) -> None:
    asked = asyncio.Event()
    release = asyncio.Event()

    async def handler(deliveries: Sequence[Delivery], settled: Settled) -> Sequence[Disposition]:
        asked.set()
        await release.wait()
        return [Done(Outcome(status=SENT)) for _ in deliveries]

    async with running(broker, handler) as (gateway, consumer):
        assert consumer.liveness()
        await publish(broker, make_delivery())
        await asked.wait()
        assert (consumer.in_flight, consumer.ready) == (1, True)
        stopping = asyncio.create_task(consumer.stop(timeout_s=GUARD_S))
        release.set()
        await stopping
        assert (await gateway.outcome()).status == SENT
        assert (consumer.in_flight, consumer.ready, consumer.liveness()) == (0, False, True)
    assert await broker.depth("email.queue") == 0


async def test_outcomes_of_many_envelopes_share_messages(memory_broker: MemoryBroker) -> None:
    sizes: list[int] = []

    async def count(message: Message) -> None:
        sizes.append(len(DeliveryResolved.FromString(message.body).outcomes))
        await message.ack()

    await memory_broker.consume(OUTCOME_QUEUE, count, prefetch=100)
    for number in range(40):
        await publish(memory_broker, make_delivery(str(number)))
    consumer = DeliveryConsumer(memory_broker, "email", Script(lambda _: Done(Outcome(status=SENT))), prefetch=40)
    await consumer.start()
    await until(lambda: sum(sizes) == 40)
    await consumer.stop(timeout_s=GUARD_S)
    assert len(sizes) < 20


class FlakyPublisher:
    """The broker, except that its first publishes fail."""

    def __init__(self, broker: MemoryBroker, failures: int) -> None:
        self._broker = broker
        self.failures = failures

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    async def publish(self, queue: str, body: bytes, **options: Any) -> None:
        if self.failures:
            self.failures -= 1
            raise BrokerUnavailable("the message broker did not confirm")
        await self._broker.publish(queue, body, **options)


@asynccontextmanager
async def running(
    broker: Broker, handler: Handler, *, prefetch: int = 10, gateway_broker: Broker | None = None
) -> AsyncIterator[tuple[Gateway, DeliveryConsumer]]:
    gateway = Gateway()
    await gateway.listen(gateway_broker or broker)
    consumer = DeliveryConsumer(broker, "email", handler, prefetch=prefetch)
    await consumer.start()
    await until(lambda: consumer.ready)
    yield gateway, consumer
    await consumer.stop(timeout_s=GUARD_S)


def make_delivery(identifier: str = "n1", **fields: Any) -> Delivery:
    return Delivery(notification_id=identifier, **{"attempt": 1, **fields})


async def publish(broker: Broker, *deliveries: Delivery, urgent: bool = False) -> None:
    body = DeliveryRequested(deliveries=deliveries).SerializeToString()
    await broker.publish(work_queue("email", urgent=urgent), body)


async def die_over_a_message_of(broker: Broker, queue: str) -> None:
    """Takes one message and goes away without an answer, like a worker that crashes."""
    taken = asyncio.Event()

    async def take(message: Message) -> None:
        taken.set()
        await asyncio.Event().wait()

    subscription = await broker.consume(queue, take, prefetch=1)
    await asyncio.wait_for(taken.wait(), GUARD_S)
    await subscription.stop(timeout_s=0.0)
