"""Reads that hang on one replica are answered by another; what is not worth a second try gets none."""

import asyncio
import gc
import itertools
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from clarion.user.v1 import recipient_service_pb2, user_service_pb2
from mesh.errors import DeadlineExceeded, NotFound, Unavailable
from mesh.rpc.hedging import Hedge, may_hedge
from mesh.rpc.methods import methods_of

RESOLVE = "/clarion.user.v1.RecipientService/BatchResolveRecipients"
METHODS = methods_of(recipient_service_pb2.DESCRIPTOR.services_by_name["RecipientService"])


class Replicas:
    """Answers tries in turn as `script` says: a value, an error, or None for a replica that never answers."""

    def __init__(self, *script: object) -> None:
        self.script = list(script)
        self.tries = 0
        self.cancelled = 0

    def attempt(self) -> Callable[[], Coroutine[Any, Any, object]]:
        async def call() -> object:
            answer = self.script[self.tries % len(self.script)]
            self.tries += 1
            if isinstance(answer, Exception):
                raise answer
            if answer is None:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    self.cancelled += 1
                    raise
            return answer

        return call


@pytest.fixture
def hedge() -> Hedge:
    return Hedge(METHODS[RESOLVE])


async def test_a_hung_replica_is_gone_past_and_its_call_is_cancelled(hedge: Hedge) -> None:
    """Also where the second try meets it again."""
    replicas = Replicas(None, None, "answer")
    assert await hedge.call(replicas.attempt()) == "answer"
    assert replicas.tries == 3
    await asyncio.sleep(0)
    assert replicas.cancelled == 2


async def test_a_try_that_fails_while_another_answers_is_reported_to_no_one(hedge: Hedge, caplog: pytest.LogCaptureFixture) -> None:
    """Which of the two is looked at first is chance, hence some calls."""
    both, answering = asyncio.Semaphore(0), asyncio.Event()

    def attempt() -> Callable[[], Coroutine[Any, Any, str]]:
        tries = itertools.count()

        async def call() -> str:
            number = next(tries)
            if number == 1:
                both.release()
            await answering.wait()
            if number:
                raise DeadlineExceeded("late")
            return "answer"

        return call

    calls = [asyncio.create_task(hedge.call(attempt())) for _ in range(10)]
    for _ in calls:
        await both.acquire()
    answering.set()
    assert await asyncio.gather(*calls) == ["answer"] * 10
    del calls
    gc.collect()
    assert [record.message for record in caplog.records] == []


async def test_a_quick_answer_is_asked_for_once(hedge: Hedge) -> None:
    replicas = Replicas("answer")
    assert [await hedge.call(replicas.attempt()) for _ in range(50)] == ["answer"] * 50
    assert replicas.tries == 50


async def test_an_error_is_an_answer_too(hedge: Hedge) -> None:
    """The first one counts, whatever it says, where no other try is under way."""
    for error in (NotFound("no"), Unavailable("away")):
        replicas = Replicas(error)
        with pytest.raises(type(error)):
            await hedge.call(replicas.attempt())
        assert replicas.tries == 1


async def test_a_try_under_way_betters_an_unavailable_replica(hedge: Hedge) -> None:
    """The second replica refuses at once while the first one is only slow."""
    late = asyncio.Event()
    tries = 0

    async def attempt() -> str:
        nonlocal tries
        tries += 1
        if tries == 1:
            await late.wait()
            return "answer"
        late.set()
        raise DeadlineExceeded("late")

    assert await hedge.call(attempt) == "answer"


async def test_when_everything_is_slow_hedging_stops() -> None:
    """Of many calls that all hang few are hedged: doubling the load of what is overloaded makes it worse."""
    hedge = Hedge(METHODS[RESOLVE])
    replicas = Replicas(None)

    async def hang() -> None:
        try:
            async with asyncio.timeout(1.5):
                await hedge.call(replicas.attempt())
        except TimeoutError:
            return

    await asyncio.gather(*(hang() for _ in range(200)))
    assert 200 < replicas.tries <= 200 + 30


async def test_its_delay_follows_what_calls_take() -> None:
    now = 0.0
    hedge = Hedge(METHODS[RESOLVE], clock=lambda: now)
    assert hedge.delay_s == pytest.approx(0.3)

    async def attempt(seconds: float) -> None:
        nonlocal now
        now += seconds

    for seconds in [0.1] * 95 + [0.2] * 5:
        await hedge.call(partial(attempt, seconds))
    assert hedge.delay_s == pytest.approx(0.2)
    for _ in range(200):
        await hedge.call(partial(attempt, 0.001))
    assert hedge.delay_s == pytest.approx(0.05)


async def test_calls_that_met_a_hung_replica_do_not_put_hedging_off() -> None:
    """What counts is how long the try took that was answered, not how long its call waited for it."""
    hedge = Hedge(METHODS[RESOLVE])
    for _ in range(20):
        assert await hedge.call(Replicas(None, "answer").attempt()) == "answer"
    assert hedge.delay_s == pytest.approx(0.05)


def test_only_reads_between_our_services_are_hedged() -> None:
    """A write is never made twice, and what people send costs more than a look-up."""
    hedged = {method.name for method in METHODS.values() if may_hedge(method)}
    assert hedged == {method.name for method in METHODS.values()}  # each of them is idempotent
    users = methods_of(user_service_pb2.DESCRIPTOR.services_by_name["UserService"])
    assert not any(map(may_hedge, users.values()))
