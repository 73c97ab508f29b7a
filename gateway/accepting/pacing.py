"""Sends of one stream at the pace that can be kept: what only has to wait waits here, instead of being refused."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from gateway.accepting.errors import CallerLimited
from mesh.errors import ServiceError, Unavailable
from mesh.idempotency.errors import IdempotencyInProgress

T = TypeVar("T")
R = TypeVar("R")

# Longer than the claim of a gateway that died while it had the key in hand (`admission.py`), and than most restarts.
_PATIENCE_S = 15.0
_PAUSE_S = 0.5


async def paced(items: Sequence[T], send: Callable[[T], Awaitable[R]]) -> list[R | ServiceError]:
    """What `send` answers to each item or raises, in order.

    An item over its caller's rate limit is sent again when there is quota for it. One whose key is in hand elsewhere, or for which a part
    of the system is away, is sent again for some seconds.
    """
    answers: dict[int, R | ServiceError] = {}
    waiting: Sequence[int] = range(len(items))
    ends_at = time.monotonic() + _PATIENCE_S
    while waiting:
        outcomes = await asyncio.gather(*(_outcome(send, items[index]) for index in waiting))
        limited: list[int] = []
        delayed: list[int] = []
        pause_s = 0.0
        for index, outcome in zip(waiting, outcomes, strict=True):
            if isinstance(outcome, CallerLimited):
                limited.append(index)
                # until there is quota for as many as wait: each refusal says when there is for one
                pause_s = max(pause_s, (outcome.retry_after_s or 0.0) + len(limited) * outcome.limit.interval_us / 1e6)
            elif isinstance(outcome, IdempotencyInProgress | Unavailable) and time.monotonic() < ends_at:
                delayed.append(index)
                pause_s = max(pause_s, _PAUSE_S)
            else:
                answers[index] = outcome
        waiting = sorted(limited + delayed)
        if waiting:
            await asyncio.sleep(pause_s)
    return [answers[index] for index in range(len(items))]


async def _outcome(send: Callable[[T], Awaitable[R]], item: T) -> R | ServiceError:
    try:
        return await send(item)
    except ServiceError as error:
        return error
