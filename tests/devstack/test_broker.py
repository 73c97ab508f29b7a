"""What the in-process broker can do beyond RabbitMQ: keep its messages over a restart."""

import asyncio
from pathlib import Path

from delivery.lanes import build_topology
from devstack.broker import MemoryBroker
from mesh.bus.broker import Message
from tests.waiting import GUARD_S, until

TOPOLOGY = build_topology(delay_scale=0.02)


async def test_messages_survive_in_a_file_whether_they_wait_are_delayed_or_in_hand(tmp_path: Path) -> None:
    """The delayed one comes when the rest of its time has passed; the one in hand is delivered again."""
    path = tmp_path / "messages.json"
    before = MemoryBroker(TOPOLOGY)
    await before.consume("push.queue", _never_done, prefetch=1)
    await before.publish("push.queue", b"in hand")
    await before.publish("push.queue", b"waiting", headers={"kind": "test"})
    await before.publish("push.urgent.retry.8s", b"delayed")
    before.save(path)
    await before.close()

    after = MemoryBroker(TOPOLOGY)
    after.load(path)
    received: list[tuple[str, bytes, object]] = []

    async def take(message: Message) -> None:
        received.append((message.queue, message.body, message.headers.get("kind")))
        await message.ack()

    for queue in ("push.queue", "push.urgent.queue"):
        await after.consume(queue, take, prefetch=5)
    await until(lambda: len(received) == 3)
    assert sorted(received, key=lambda entry: entry[1]) == [
        ("push.urgent.queue", b"delayed", None),
        ("push.queue", b"in hand", None),
        ("push.queue", b"waiting", "test"),
    ]
    await after.close()


async def test_what_an_older_topology_left_behind_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "messages.json"
    before = MemoryBroker(build_topology(["email", "sms"]))
    await before.publish("sms.queue", b"gone")
    await before.publish("email.queue", b"kept")
    before.save(path)
    await before.close()
    after = MemoryBroker(TOPOLOGY)
    after.load(path)
    assert await after.depth("email.queue") == 1
    await after.close()


async def _never_done(_: Message) -> None:
    await asyncio.wait_for(asyncio.Event().wait(), GUARD_S)
