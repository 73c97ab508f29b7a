"""Room for the files of mails that are being sent."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from email_worker.errors import AttachmentUnavailable
from email_worker.room import Room


async def test_mails_wait_for_each_other_and_all_are_sent() -> None:
    room, most, sent = Room(100, small_bytes=0, wait_s=60), 0, 0

    async def send(size: int) -> None:
        nonlocal most, sent
        async with room.hold(size):
            most = max(most, room.held_bytes)
            await asyncio.sleep(0)
            sent += 1

    # those larger than all the room go alone
    await asyncio.gather(*(send(size) for size in (60, 60, 30, 500, 10, 100, 1, 500, 40)))
    assert (most, sent, room.held_bytes) == (100, 9, 0)


async def test_one_that_finds_no_room_is_tried_later_and_takes_none() -> None:
    room = Room(100, small_bytes=0, wait_s=0)
    async with room.hold(60):
        with pytest.raises(AttachmentUnavailable) as refused:
            async with room.hold(60):
                pass
        assert (refused.value.uses_attempt, room.held_bytes) == (False, 60)
        async with room.hold(40):
            assert room.held_bytes == 100
    assert room.held_bytes == 0


async def test_small_ones_do_not_wait_for_large_ones() -> None:
    room = Room(100, small_bytes=5, wait_s=0)
    async with room.hold(60), room.hold(40), AsyncExitStack() as small:
        for _ in range(8):
            await small.enter_async_context(room.hold(5))
        for size in (5, 6):
            with pytest.raises(AttachmentUnavailable):
                async with room.hold(size):
                    pass
    # and what they hold is no room for a large one
    async with room.hold(5):
        with pytest.raises(AttachmentUnavailable):
            async with room.hold(100):
                pass
    assert room.held_bytes == 0


async def test_one_that_is_cancelled_while_it_waits_or_sends_leaves_its_room() -> None:
    room, inside = Room(100, small_bytes=0, wait_s=60), asyncio.Event()

    async def send() -> None:
        async with room.hold(80):
            inside.set()
            await asyncio.Event().wait()

    first, second = asyncio.create_task(send()), asyncio.create_task(send())
    await inside.wait()
    second.cancel()
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    async with room.hold(100):
        pass
    assert room.held_bytes == 0
