"""Waiting for what offers no event, with a guard against hanging."""

import asyncio
from collections.abc import Awaitable, Callable

# Generous: it never decides a test that is going to pass. A RabbitMQ takes some 10 s to come back.
GUARD_S = 90.0
_LOOK_EVERY_S = 0.01


async def until(condition: Callable[[], bool]) -> None:
    """Returns when the condition holds. Raises TimeoutError after the guard."""
    async with asyncio.timeout(GUARD_S):
        while True:
            if condition():
                return
            await asyncio.sleep(_LOOK_EVERY_S)


async def until_answered(condition: Callable[[], Awaitable[bool]]) -> None:
    """Like `until`, for a condition that has to ask somebody."""
    async with asyncio.timeout(GUARD_S):
        while True:
            if await condition():
                return
            await asyncio.sleep(_LOOK_EVERY_S)
