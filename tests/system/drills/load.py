"""A bounded load: so many notifications at a steady rate, each sent again with its own key until the gateway has accepted it."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import count, takewhile
from typing import Any

import httpx

from devstack.client import Client, RefusedError
from devstack.processes import API_KEY

_IN_FLIGHT = 32
_REQUEST_TIMEOUT_S = 5.0
_PAUSE_S = 0.1
_GIVE_UP_S = 180.0
_NOT_IN_A_KEY = re.compile(r"[^\w]+")
# What a sender that repeats the same request may meet; any other refusal is wrong, since the requests are right.
_REPEATABLE = frozenset({409, 429, 500, 502, 503, 504})


async def at_rate(rate: float, numbers: Iterable[int], do: Callable[[int], Coroutine[Any, Any, None]], *, most: int) -> None:
    """Does something with each number, so many times a second, and `most` of them at a time. Returns when all is done."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    gate = asyncio.Semaphore(most)
    async with asyncio.TaskGroup() as doing:
        for number in numbers:
            await asyncio.sleep(begun + number / rate - loop.time())
            await gate.acquire()
            doing.create_task(do(number)).add_done_callback(lambda _: gate.release())


class Load:
    """E-mails and pushes in turn, every other pair from a template that is held where its outcome is unknown.

    They go to the people in turn, through the gateways in turn. `tag` is in every key, and in each notification's metadata as `drill`.
    """

    def __init__(self, urls: Sequence[str], people: Sequence[str], *, tag: str, count: int, rate: float, only_email: bool = False) -> None:
        self._urls = urls
        self._people = people
        self._tag = tag
        self._count = count
        self._rate = rate
        self._only_email = only_email
        self._progress = asyncio.Event()
        self._ended = False
        self.accepted: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self.repeated = 0

    async def run(self) -> None:
        """Sends all of them. `accepted` then has the id by key, `refused` the reason for those that never were."""
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(Client(url, API_KEY, timeout_s=_REQUEST_TIMEOUT_S)) for url in self._urls]
            numbers = takewhile(lambda _: not self._ended, range(self._count))
            await at_rate(self._rate, numbers, partial(self._send, clients), most=_IN_FLIGHT)

    def end(self) -> None:
        """Lets `run` end before it has sent all: a machine may carry less than the rate."""
        self._ended = True

    async def reached(self, count: int) -> None:
        """Returns when so many have been accepted."""
        while len(self.accepted) < count and not self.refused:
            self._progress.clear()
            await self._progress.wait()

    async def _send(self, clients: Sequence[Client], number: int) -> None:
        key = f"{_NOT_IN_A_KEY.sub('-', self._tag)}-{number}"
        try:
            async with asyncio.timeout(_GIVE_UP_S):
                self.accepted[key] = await self._insist(clients, key, number)
        except RefusedError as error:
            self.refused[key] = str(error)
        except TimeoutError:
            self.refused[key] = f"not accepted within {_GIVE_UP_S:g} s"
        self._progress.set()

    async def _insist(self, clients: Sequence[Client], key: str, number: int) -> str:
        body = self._body(number)
        for attempt in count(number):  # each try at the next gateway
            client = clients[attempt % len(clients)]
            try:
                answer = await client.call("POST", "/v1/notifications", body, {"Idempotency-Key": key})
            except httpx.TransportError:
                pass  # refused, reset, half-answered: that is what a drill is about
            except RefusedError as error:
                if error.status not in _REPEATABLE:
                    raise
            else:
                return str(answer["id"])
            self.repeated += 1
            await asyncio.sleep(_PAUSE_S)
        raise AssertionError("it counts without end")

    def _body(self, number: int) -> dict[str, object]:
        body: dict[str, object] = {"user_id": self._people[number % len(self._people)], "metadata": {"drill": self._tag}}
        # By the number of the round through all people, so that everybody gets both.
        hold = "-hold" if number // 2 % 2 else ""
        if not self._only_email and (number + number // len(self._people)) % 2:
            return body | {"channel": "push", "template": f"order-shipped{hold}", "variables": {"order": f"A{number}"}}
        return body | {"channel": "email", "template": f"welcome{hold}", "variables": {"name": f"D{number}"}}
