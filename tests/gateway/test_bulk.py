"""Many notifications in one stream, on the accept path of all sends."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from clarion.channel.v1.channel_pb2 import CHANNEL_EMAIL
from clarion.notification.v1.notification_service_pb2 import (
    BulkSendNotificationsRequest,
    BulkSendNotificationsResponse,
    BulkSendResult,
    SendNotificationRequest,
)
from gateway.accepting.errors import CallerLimited
from gateway.accepting.limits import RateLimit
from gateway.accepting.pacing import paced
from mesh import context
from mesh.context import CallContext
from mesh.errors import InvalidArgument, NotFound, Unavailable
from mesh.idempotency.errors import IdempotencyInProgress
from mesh.testing import caller
from tests.gateway.test_sending import USER, Real, real

__all__ = ["real"]  # a fixture

FAST = RateLimit("caller", 1000, 1)


def item(request_id: str = "", **fields: str) -> SendNotificationRequest:
    made = SendNotificationRequest(**{"user_id": USER, "template": "welcome", **fields}, channel=CHANNEL_EMAIL, request_id=request_id)  # type: ignore[arg-type]  # text
    made.variables.update({"name": "Ada"})
    return made


async def groups(*given: Sequence[SendNotificationRequest]) -> AsyncIterator[BulkSendNotificationsRequest]:
    for one in given:
        yield BulkSendNotificationsRequest(notifications=one)


async def answers(real: Real, *given: Sequence[SendNotificationRequest], key: str = "") -> list[BulkSendResult]:
    metadata = {"idempotency-key": key} if key else {}
    responses: list[BulkSendNotificationsResponse] = []
    with context.use(CallContext("/m", "c", caller("notifications:send"), metadata=metadata)):
        responses = [one async for one in real.servicer.BulkSendNotifications(groups(*given), None)]
    return [result for response in responses for result in response.results]


async def test_each_item_is_answered_in_order_and_one_that_is_refused_stops_no_other(real: Real) -> None:
    first = [item(f"a{number}") for number in range(150)]
    second = [item("bad", template=""), item("b1"), item("unknown", user_id="x" * 40)]
    results = await answers(real, first, second)
    assert [one.request_id for one in results] == [one.request_id for one in [*first, *second]]
    assert [one.request_id for one in results if one.HasField("error")] == ["bad", "unknown"]
    assert "template" in results[150].error.message
    assert await real.count() == 151


async def test_what_was_sent_before_is_answered_as_before(real: Real) -> None:
    """A stream is resumed by sending again what has no answer; what has one may be among it."""
    before = await answers(real, [item("one"), item("two")])
    again = await answers(real, [item("two"), item("three")], [item("one")])
    ids = {one.request_id: one.accepted.id for one in before}
    assert {one.request_id: one.accepted.id for one in again} == {**ids, "three": again[1].accepted.id}
    assert await real.count() == 3


async def test_a_key_for_the_whole_stream_is_refused(real: Real) -> None:
    with pytest.raises(InvalidArgument, match="request_id"):
        await answers(real, [item()], key="k")


async def test_items_share_their_statements(real: Real) -> None:
    batches: list[int] = []
    real.journal._on_stored = lambda rows: batches.append(len(rows))
    assert len(await answers(real, *([item()] * 100 for _ in range(10)))) == 1000
    assert sum(batches) == 1000
    assert len(batches) <= 40


async def test_over_the_callers_limit_items_wait_and_are_not_refused() -> None:
    begun = asyncio.get_running_loop().time()
    left = 3

    async def send(number: int) -> int:
        nonlocal left
        if asyncio.get_running_loop().time() - begun > 0.02:
            left = 10
        if not left:
            raise CallerLimited(FAST, 0.01)
        left -= 1
        return number

    assert await paced(range(10), send) == list(range(10))


async def test_what_is_in_hand_elsewhere_or_away_is_sent_again() -> None:
    tries = dict.fromkeys(range(4), 0)

    async def send(number: int) -> int:
        tries[number] += 1
        if number == 1 and tries[number] == 1:
            raise IdempotencyInProgress
        if number == 2 and tries[number] == 1:
            raise Unavailable("away")
        if number == 3:
            raise NotFound("no")
        return number

    outcomes = await paced(range(4), send)
    assert outcomes[:3] == [0, 1, 2]
    assert isinstance(outcomes[3], NotFound)
    assert tries == {0: 1, 1: 2, 2: 2, 3: 1}
