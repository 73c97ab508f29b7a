"""One contract for both brokers: the one in this process and the real RabbitMQ."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from itertools import product

import aio_pika
import pytest
from yarl import URL

from delivery.lanes import CHANNELS, FAILED_QUEUE, OUTCOME_QUEUE, WORK_DELIVERY_LIMIT, build_topology, lane_of
from devstack.broker import MemoryBroker
from mesh.bus.broker import Broker, BrokerUnavailable, Message, Subscription, Unroutable
from mesh.bus.rabbitmq import RabbitMQBroker
from mesh.bus.settings import BrokerSettings
from tests.relay import Relay
from tests.waiting import GUARD_S, until, until_answered

TOPOLOGY = build_topology(delay_scale=0.02)

Step = Callable[[], Awaitable[None]]


@dataclass
class Bus:
    """A broker and the power over its connection."""

    broker: Broker
    cut: Step
    restore: Step
    delete: Callable[[str], Awaitable[None]]


@dataclass
class Inbox:
    """A handler that keeps what it gets; `settle` says what it does with a message."""

    settle: Callable[[Message], Awaitable[None]] = field(default=lambda message: message.ack())
    messages: "asyncio.Queue[Message]" = field(default_factory=asyncio.Queue)

    async def __call__(self, message: Message) -> None:
        self.messages.put_nowait(message)
        await self.settle(message)

    async def next(self) -> Message:
        async with asyncio.timeout(GUARD_S):
            return await self.messages.get()


@pytest.fixture
async def memory_bus() -> AsyncIterator[Bus]:
    memory = MemoryBroker(TOPOLOGY)
    yield Bus(memory, _step(memory.disconnect), _step(memory.connect), lambda queue: _step(lambda: memory.delete(queue))())
    await memory.close()


@pytest.fixture
async def rabbitmq_bus(amqp_url: str) -> AsyncIterator[Bus]:
    target = URL(amqp_url)
    async with Relay(target.host or "127.0.0.1", target.port or 5672) as relay:
        broker = RabbitMQBroker(BrokerSettings(str(target.with_host("127.0.0.1").with_port(relay.port))), TOPOLOGY)
        await broker.open()

        async def delete(queue: str) -> None:
            connection = await aio_pika.connect(amqp_url)
            await (await connection.channel()).queue_delete(queue)
            await connection.close()

        yield Bus(broker, relay.cut, relay.restore, delete)
        await broker.close()


@pytest.fixture(params=["memory_bus", pytest.param("rabbitmq_bus", marks=pytest.mark.processes)])
def bus(request: pytest.FixtureRequest) -> Bus:
    chosen: Bus = request.getfixturevalue(request.param)
    return chosen


async def test_a_message_arrives_with_its_body_and_headers_and_leaves_the_queue_when_acknowledged(bus: Bus) -> None:
    await bus.broker.publish("email.queue", b"\x00body", headers={"kind": "test", "number": 7}, kind="Thing")
    assert await bus.broker.depth("email.queue") == 1
    inbox = Inbox()
    subscription = await bus.broker.consume("email.queue", inbox, prefetch=5)
    message = await inbox.next()
    assert (message.body, message.headers["kind"], message.headers["number"]) == (b"\x00body", "test", 7)
    assert (message.queue, message.redelivered, message.delivery_count, message.kind) == ("email.queue", False, 0, "Thing")
    await subscription.stop(timeout_s=GUARD_S)
    assert await bus.broker.depth("email.queue") == 0


async def test_messages_come_in_the_order_of_their_publishing(bus: Bus) -> None:
    for number in range(20):
        await bus.broker.publish("push.queue", str(number).encode())
    inbox = Inbox()
    await bus.broker.consume("push.queue", inbox, prefetch=1)
    assert [(await inbox.next()).body for _ in range(20)] == [str(number).encode() for number in range(20)]


async def test_a_message_that_no_queue_takes_is_an_error(bus: Bus) -> None:
    await bus.delete("email.queue")
    with pytest.raises(Unroutable, match=r"email\.queue"):
        await bus.broker.publish("email.queue", b"lost")
    with pytest.raises(Unroutable, match=r"email\.queue"):
        await bus.broker.depth("email.queue")
    await bus.broker.publish("push.queue", b"others still work")


async def test_a_name_that_the_topology_does_not_have_is_a_programming_error(bus: Bus) -> None:
    with pytest.raises(KeyError):
        await bus.broker.publish("email.queue.typo", b"")
    with pytest.raises(KeyError):
        await bus.broker.consume("email.queue.typo", Inbox(), prefetch=1)


async def test_what_was_not_acknowledged_comes_again_when_the_connection_breaks(bus: Bus) -> None:
    release = asyncio.Event()
    inbox = Inbox(settle=lambda message: _ack_after(release, message))
    await bus.broker.consume("email.queue", inbox, prefetch=5)
    await bus.broker.publish("email.queue", b"survivor")
    first = await inbox.next()
    assert not first.lost
    await bus.cut()
    await bus.restore()
    second = await inbox.next()
    assert (second.body, second.redelivered, second.delivery_count) == (b"survivor", True, 1)
    assert first.lost
    release.set()
    await until(lambda: first.settled and second.settled and bus.broker.connected)
    await until_answered(lambda: _is_empty(bus.broker, "email.queue"))
    assert inbox.messages.empty()


async def test_a_requeued_message_comes_again_and_counts(bus: Bus) -> None:
    async def settle(message: Message) -> None:
        await (message.ack() if message.delivery_count == 2 else message.reject(requeue=True))

    inbox = Inbox(settle=settle)
    await bus.broker.consume("email.queue", inbox, prefetch=5)
    await bus.broker.publish("email.queue", b"again")
    seen = [await inbox.next() for _ in range(3)]
    assert [(message.redelivered, message.delivery_count) for message in seen] == [(False, 0), (True, 1), (True, 2)]


async def test_a_message_beyond_the_delivery_limit_ends_among_the_dead_letters(bus: Bus) -> None:
    work, dead = Inbox(settle=lambda message: message.reject(requeue=True)), Inbox()
    await bus.broker.consume("push.urgent.queue", work, prefetch=5)
    await bus.broker.consume(FAILED_QUEUE, dead, prefetch=5)
    await bus.broker.publish("push.urgent.queue", b"poison", headers={"kind": "test"}, kind="Thing")
    letter = await dead.next()
    assert (letter.body, letter.kind) == (b"poison", "Thing")
    assert letter.headers["kind"] == "test"
    assert letter.headers["x-first-death-reason"] == "delivery_limit"
    assert letter.headers["x-first-death-queue"] == "push.urgent.queue"
    assert work.messages.qsize() == WORK_DELIVERY_LIMIT + 1


@pytest.mark.parametrize("queue", ["email.queue", OUTCOME_QUEUE])
async def test_a_message_rejected_for_good_ends_among_the_dead_letters(bus: Bus, queue: str) -> None:
    dead = Inbox()
    await bus.broker.consume(queue, Inbox(settle=lambda message: message.reject(requeue=False)), prefetch=5)
    await bus.broker.consume(FAILED_QUEUE, dead, prefetch=5)
    await bus.broker.publish(queue, b"refused")
    letter = await dead.next()
    assert (letter.body, letter.headers["x-first-death-reason"]) == (b"refused", "rejected")


async def test_every_delay_returns_to_the_lane_it_came_from_and_never_early(bus: Bus) -> None:
    loop = asyncio.get_running_loop()
    lanes = {(channel, urgent): lane_of(TOPOLOGY, channel, urgent=urgent) for channel, urgent in product(CHANNELS, (False, True))}
    inboxes = {key: Inbox() for key in lanes}
    for key, lane in lanes.items():
        await bus.broker.consume(lane.queue, inboxes[key], prefetch=50)
    sent: dict[bytes, tuple[float, float]] = {}
    for lane in lanes.values():
        for delay in (*lane.retry, *lane.park):
            sent[delay.route.encode()] = (loop.time(), delay.delay_s)
            await bus.broker.publish(delay.route, delay.route.encode())
    for key, lane in lanes.items():
        expected = {delay.route.encode() for delay in (*lane.retry, *lane.park)}
        got: set[bytes] = set()
        while got != expected:
            message = await inboxes[key].next()
            sent_at, delay_s = sent[message.body]
            assert loop.time() - sent_at >= delay_s
            assert message.delivery_count == 0
            got.add(message.body)


async def test_two_hundred_publishes_may_be_in_flight_at_once(bus: Bus) -> None:
    async with asyncio.timeout(GUARD_S):
        await asyncio.gather(*(bus.broker.publish("email.queue", str(number).encode()) for number in range(200)))
    assert await bus.broker.depth("email.queue") == 200


async def test_publishing_while_the_broker_is_away_fails_and_works_after_its_return(bus: Bus) -> None:
    await bus.cut()
    await until(lambda: not bus.broker.connected)
    for call in (bus.broker.publish("email.queue", b"lost"), bus.broker.ping(), bus.broker.depth("email.queue")):
        with pytest.raises(BrokerUnavailable) as raised:
            # Less than the publish timeout: it fails at once and does not wait for the broker.
            await asyncio.wait_for(call, 2.0)
        assert raised.value.retry_after_s == 1.0
    await bus.restore()
    await until(lambda: bus.broker.connected)
    await bus.broker.ping()
    await bus.broker.publish("email.queue", b"arrives")
    assert await bus.broker.depth("email.queue") == 1


async def test_a_consumer_survives_an_outage(bus: Bus) -> None:
    inbox = Inbox()
    subscription = await bus.broker.consume("outcome.queue", inbox, prefetch=5)
    await bus.broker.publish("outcome.queue", b"before")
    assert (await inbox.next()).body == b"before"
    await bus.cut()
    await until(lambda: not subscription.consuming)
    assert subscription.healthy, "a broker that is away is no reason to restart the process"
    await bus.restore()
    await until(lambda: bus.broker.connected)
    await bus.broker.publish("outcome.queue", b"after")
    while (await inbox.next()).body != b"after":
        pass
    await until(lambda: subscription.consuming)


async def test_at_most_prefetch_messages_are_in_flight(bus: Bus) -> None:
    release = asyncio.Event()
    inbox = Inbox(settle=lambda message: _ack_after(release, message))
    subscription = await bus.broker.consume("email.queue", inbox, prefetch=3)
    for _ in range(5):
        await bus.broker.publish("email.queue", b"")
    for _ in range(3):
        await inbox.next()
    assert subscription.in_flight == 3
    assert await bus.broker.depth("email.queue") == 2
    release.set()
    for _ in range(2):
        await inbox.next()


async def test_stopping_finishes_what_is_in_flight_and_takes_nothing_new(bus: Bus) -> None:
    release = asyncio.Event()
    inbox = Inbox(settle=lambda message: _ack_after(release, message))
    subscription = await bus.broker.consume("email.queue", inbox, prefetch=1)
    for number in range(3):
        await bus.broker.publish("email.queue", str(number).encode())
    first = await inbox.next()
    stopping = asyncio.create_task(subscription.stop(timeout_s=GUARD_S))
    await until(lambda: not subscription.consuming or stopping.done() or subscription.in_flight == 1)
    release.set()
    await stopping
    assert first.settled
    taken = 1 + inbox.messages.qsize()

    async def left() -> bool:
        """What a quorum queue gets back is counted a moment later."""
        return await bus.broker.depth("email.queue") == 3 - taken

    await until_answered(left)
    assert (subscription.consuming, subscription.in_flight) == (False, 0)


async def test_what_is_not_done_in_time_when_stopping_is_delivered_again(bus: Bus) -> None:
    stuck = Inbox(settle=lambda message: _ack_after(asyncio.Event(), message))
    subscription = await bus.broker.consume("email.queue", stuck, prefetch=5)
    await bus.broker.publish("email.queue", b"stuck")
    await stuck.next()
    await subscription.stop(timeout_s=0.05)
    inbox = Inbox()
    await bus.broker.consume("email.queue", inbox, prefetch=5)
    message = await inbox.next()
    assert (message.body, message.redelivered) == (b"stuck", True)


async def test_a_message_whose_handler_fails_comes_again(bus: Bus) -> None:
    async def settle(message: Message) -> None:
        if not message.redelivered:
            raise ValueError("a defect")
        await message.ack()

    inbox = Inbox(settle=settle)
    await bus.broker.consume("email.queue", inbox, prefetch=5)
    await bus.broker.publish("email.queue", b"bumpy")
    assert not (await inbox.next()).redelivered
    assert (await inbox.next()).redelivered


async def test_a_message_is_settled_once(bus: Bus) -> None:
    inbox = Inbox()
    await bus.broker.consume("email.queue", inbox, prefetch=5)
    await bus.broker.publish("email.queue", b"")
    message = await inbox.next()
    await until(lambda: message.settled)
    with pytest.raises(RuntimeError, match="settled before"):
        await message.ack()


async def test_a_message_with_an_expiry_is_gone_when_it_passes(bus: Bus) -> None:
    await bus.broker.publish("outcome.queue", b"stale", expiration_s=0.05)
    dead = Inbox()
    await bus.broker.consume(FAILED_QUEUE, dead, prefetch=5)
    assert (await dead.next()).headers["x-first-death-reason"] == "expired"
    assert await bus.broker.depth("outcome.queue") == 0


async def test_two_consumers_of_a_queue_share_its_messages(bus: Bus) -> None:
    release = asyncio.Event()
    inboxes = [Inbox(settle=lambda message: _ack_after(release, message)) for _ in range(2)]
    for inbox in inboxes:
        await bus.broker.consume("email.queue", inbox, prefetch=1)
    for _ in range(2):
        await bus.broker.publish("email.queue", b"")
    for inbox in inboxes:
        await inbox.next()
    release.set()


async def test_a_subscription_that_is_stopped_stays_healthy(bus: Bus) -> None:
    subscription: Subscription = await bus.broker.consume("email.queue", Inbox(), prefetch=1)
    await subscription.stop(timeout_s=GUARD_S)
    assert subscription.healthy


def _step(function: Callable[[], None]) -> Step:
    async def step() -> None:
        function()

    return step


async def _ack_after(event: asyncio.Event, message: Message) -> None:
    await event.wait()
    await message.ack()


async def _is_empty(broker: Broker, queue: str) -> bool:
    return await broker.depth(queue) == 0
