"""What a notification that ends unsent took of its recipient's limit is given back, over a real Valkey and PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from delivery.cancellation import Cancellation
from devstack.broker import MemoryBroker
from gateway.accepting.admission import Admission
from gateway.accepting.limits import Answer, Ask, RateLimit
from gateway.accepting.models import Row
from gateway.accepting.notification_writer import NotificationWriter
from gateway.dispatch.outbox import Outbox
from gateway.dispatch.relay import Relay
from gateway.notifications.models import Channel, Entry, Outcome, Status, Unsent
from gateway.notifications.repository import NotificationRepository
from gateway.notifications.use_cases import Notifications
from gateway.notifications.watchers import Watchers
from gateway.settling.outcomes import Outcomes
from gateway.settling.recipient_budget import RecipientBudget
from gateway.settling.settlement import Settlement
from mesh.ids import new_uuid
from mesh.stores.cache import open_cache
from mesh.stores.database import Database
from mesh.stores.settings import CacheSettings
from mesh.testing import caller
from tests.gateway.factories import make_row
from tests.gateway.fakes import FakeCaptures, FakePeople
from tests.relay import Relay as TcpRelay

OPERATOR = caller("notifications:send")
CALLER = RateLimit("caller", 1000, 60)
RECIPIENT = RateLimit("recipient", 2, 600)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with open_cache(CacheSettings(redis_url, 1.0)) as client:
        yield client


@pytest.fixture
async def admission(redis: Redis) -> AsyncIterator[Admission]:
    opened = Admission(redis, caller=CALLER, recipient=RECIPIENT)
    yield opened
    await opened.close()


class Sent:
    """A person with a budget of two, which is all taken."""

    def __init__(self, database: Database, admission: Admission, redis: Redis) -> None:
        self.database = database
        self.admission = admission
        self.redis = redis
        self.budget = RecipientBudget(redis, RECIPIENT, pause_s=0.01)
        self.user_id = new_uuid()
        self.row: Row = make_row(user_id=self.user_id)

    async def accept(self, **changes: Any) -> None:
        for _ in range(2):
            assert await self.is_admitted()
        self.row = make_row(user_id=self.user_id, **changes)
        journal = NotificationWriter(self.database, lambda _: None)
        await journal.store(self.row)
        await journal.close()

    async def is_admitted(self) -> bool:
        return (await self.admission.admit(Ask("c", f"{self.user_id}:email"))).answer is Answer.ADMITTED

    async def cancel(self) -> None:
        bus = Cancellation(self.redis)
        notifications = Notifications(
            NotificationRepository(self.database), bus, Watchers(), self.budget, FakeCaptures(), people=FakePeople()
        )
        await notifications.cancel(OPERATOR, str(self.row.id))
        await self.budget.idle()
        await bus.close()

    def unsent(self) -> Unsent:
        return Unsent(self.row.id, self.user_id, Channel.EMAIL, datetime.now(UTC))


@pytest.fixture
def sent(database: Database, admission: Admission, redis: Redis) -> Sent:
    return Sent(database, admission, redis)


def tomorrow() -> dict[str, Any]:
    later = datetime.now(UTC) + timedelta(days=1)
    return {"status": Status.SCHEDULED, "send_at": later, "dispatch_at": later}


async def test_cancelling_gives_the_recipients_budget_back(sent: Sent) -> None:
    await sent.accept(**tomorrow())
    assert not await sent.is_admitted()
    await sent.cancel()
    assert await sent.is_admitted()
    assert not await sent.is_admitted()


async def test_what_expires_in_the_backlog_gives_back_as_well(sent: Sent) -> None:
    now = datetime.now(UTC)
    await sent.accept(dispatch_at=now - timedelta(seconds=1), expires_at=now)
    broker = MemoryBroker()
    relay = Relay(broker, Outbox(sent.database), Watchers(), sent.budget, lease_s=3)
    await relay.sweep()
    await relay.close()
    await broker.close()
    await sent.budget.idle()
    assert await sent.is_admitted()


@pytest.mark.parametrize(("status", "admitted"), [(Status.EXPIRED, True), (Status.CANCELLED, True), (Status.SENT, False)])
async def test_what_ends_unsent_on_the_bus_gives_back_as_well(sent: Sent, status: Status, admitted: bool) -> None:
    """Once, however often the outcome arrives; one that was sent gives back nothing."""
    await sent.accept()
    broker = MemoryBroker()
    settlement = Settlement(broker, Outcomes(sent.database), Watchers(), sent.budget)
    for reported in (Status.RETRYING, status, status):
        await settlement.apply([Outcome(sent.row.id, Entry(datetime.now(UTC), reported, 0, 1, reason="EXPIRED"))])
    await settlement.close()
    await broker.close()
    await sent.budget.idle()
    assert [await sent.is_admitted(), await sent.is_admitted()] == [admitted, False]


async def test_what_was_accepted_a_window_ago_has_nothing_left_to_give_back(sent: Sent) -> None:
    await sent.accept(**tomorrow(), create_time=datetime.now(UTC) - timedelta(seconds=RECIPIENT.window_s + 1))
    await sent.cancel()
    assert not await sent.is_admitted()


async def test_half_a_window_later_half_of_it_is_given_back_once(redis: Redis) -> None:
    """The other half is there again by itself."""
    limit = RateLimit("recipient", 10, 600)
    budget = RecipientBudget(redis, limit, now_s=lambda: 1300.0)
    unsent = Unsent(new_uuid(), new_uuid(), Channel.PUSH, datetime.fromtimestamp(1000, UTC))
    key = f"clarion:rate:r:{unsent.user_id}:push"
    seconds, micros = await redis.time()
    await redis.set(key, (seconds + 400) * 1_000_000 + micros)
    for _ in range(2):
        budget.give_back([unsent])
        await budget.idle()
        left = int(await redis.get(key) or 0) - (seconds * 1_000_000 + micros)
        assert left == 400_000_000 - limit.interval_us // 2


async def test_a_budget_never_goes_below_empty(sent: Sent) -> None:
    sent.budget.give_back([sent.unsent()])
    await sent.budget.idle()
    assert await sent.redis.get(f"clarion:rate:r:{sent.user_id}:email") is None


async def test_it_waits_while_redis_is_away(sent: Sent, redis_url: str) -> None:
    await sent.accept(**tomorrow())
    host, port = redis_url.removeprefix("redis://").split("/")[0].split(":")
    async with TcpRelay(host, int(port)) as relay, open_cache(CacheSettings(f"redis://127.0.0.1:{relay.port}", 0.5)) as client:
        await relay.cut()
        sent.budget = RecipientBudget(client, RECIPIENT, pause_s=0.01)
        sent.budget.give_back([sent.unsent()])
        assert not await sent.is_admitted()
        await relay.restore()
        await sent.budget.idle()
    assert await sent.is_admitted()


async def test_closing_gives_up_what_waits_for_redis(sent: Sent) -> None:
    async with TcpRelay("127.0.0.1", 1) as relay, open_cache(CacheSettings(f"redis://127.0.0.1:{relay.port}", 0.5)) as client:
        await relay.cut()
        budget = RecipientBudget(client, RECIPIENT, pause_s=60)
        budget.give_back([sent.unsent()])
        await budget.close()
