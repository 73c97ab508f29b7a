"""A cancellation of ours that the broker's client drops: `asyncio.wait_for` does so before Python 3.12, when it comes with the answer."""

import asyncio

import pytest

from mesh.bus.rabbitmq_link import closed_is_an_error
from tests.waiting import GUARD_S


async def _lose_it(then: Exception | None) -> None:
    """What the client does: it takes the cancellation, and answers or fails."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if then is not None:
            raise then from None


@pytest.mark.parametrize("then", [None, ConnectionResetError("closed")])
async def test_a_task_that_is_cancelled_once_ends(then: Exception | None) -> None:
    rounds = 0

    async def loop() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            try:
                with closed_is_an_error():
                    await _lose_it(then)
            except ConnectionResetError:
                continue

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=GUARD_S)
    assert task.cancelled()
    assert rounds == 1


async def test_a_time_out_of_ours_is_one_although_the_client_drops_its_cancellation() -> None:
    async def ask() -> None:
        with closed_is_an_error():
            await _lose_it(None)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await ask()


async def test_what_the_client_cancels_itself_is_a_lost_connection() -> None:
    lost = asyncio.get_running_loop().create_future()
    lost.cancel()
    with pytest.raises(ConnectionResetError), closed_is_an_error():
        await lost


async def test_an_earlier_cancellation_does_not_end_what_closes_things() -> None:
    """What a cancelled task does on its way out is not cancelled anew."""
    closed = False

    async def work() -> None:
        nonlocal closed
        try:
            await asyncio.Event().wait()
        finally:
            with closed_is_an_error():
                await asyncio.sleep(0)
            closed = True

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed
