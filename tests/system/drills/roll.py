"""`make drill ARGS=--roll`: replicas are restarted, killed and made to serve nothing under a steady load whose failed requests are counted.

The load meets what a Service of Kubernetes does: a gateway that is asked to stop, or dies, gets no new requests from a second later on,
and again once it is ready. Nothing is repeated: each request that fails is one that a caller would have seen.
"""

import asyncio
import sys
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import httpx

from devstack.client import Client, RefusedError
from devstack.processes import API_KEY, SERVICES, Start
from mesh.testing import free_port
from tests.system.drills.ledger import Account, balance
from tests.system.drills.load import at_rate
from tests.system.drills.rig import Rig, open_rig

_TAG = "roll"
_BEFORE, _ROLL, _LOSS = "before", "rolling restarts", "lost: "
# As in k8s/, but shorter: what is asked to stop serves on for so long, while callers hear of it.
_SETTINGS = {"CLARION_DRAIN_S": "2"}
_NOTICED_S = 1.0
# minReadySeconds of k8s/: a replica is ready for so long before the next one goes.
MIN_READY_S = 5.0
_LOOK_AFTER_S = 3.0
# Those that others find by their health; a gateway that is NOT_SERVING gets nothing from the load by definition.
_CALLED = frozenset({"user_svc", "template_svc"})
_IN_FLIGHT = 100
_TIMEOUT_S = 5.0
_SETTLED_S = 120.0
_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Failed:
    """A request that its caller saw fail, by what was going on then. `lost` says that it began before a lost replica could be noticed."""

    during: str
    lost: bool
    what: str


class Traffic:
    """A steady load through the gateways that are in: of four requests one sends and three read, one of each service among them."""

    def __init__(self, rig: Rig, rate: float) -> None:
        self._people = rig.people
        self._rate = rate
        self._urls = dict(zip(rig.processes.replicas_of("gateway"), rig.urls, strict=True))
        self._out: set[str] = set()
        self._phase, self._unnoticed = _BEFORE, False
        self._recent: deque[str] = deque(maxlen=50)
        self.requests: Counter[str] = Counter()
        self.failed: list[Failed] = []
        self.accepted: dict[str, str] = {}
        self._unknown: list[int] = []
        self._ended = False

    def end(self) -> None:
        """Lets `run` end."""
        self._ended = True

    async def repeat(self) -> None:
        """Sends again, with their keys, what failed: their senders would, and do not know whether it was accepted."""
        async with Client(next(iter(self._urls.values())), API_KEY) as client:
            for number in self._unknown:
                await self._one(client, number)

    def begin(self, phase: str, *, loses: bool = False) -> None:
        """What fails from now on is this phase's; `loses` a replica, which callers can't notice for a second."""
        self._phase, self._unnoticed = phase, loses

    async def leave(self, name: str) -> None:
        """Returns when a replica gets no new requests: a second later, where it is a gateway."""
        await asyncio.sleep(_NOTICED_S)
        if name in self._urls:
            self._out.add(name)
        self._unnoticed = False

    def enter(self, name: str) -> None:
        """The replica is ready."""
        self._out.discard(name)

    async def run(self) -> None:
        """Sends until `end`, and returns when all is answered."""
        numbers = takewhile(lambda _: not self._ended, count())
        async with AsyncExitStack() as stack:
            clients = {
                name: await stack.enter_async_context(Client(url, API_KEY, timeout_s=_TIMEOUT_S)) for name, url in self._urls.items()
            }
            await at_rate(self._rate, numbers, partial(self._ask, clients), most=_IN_FLIGHT)

    async def _ask(self, clients: Mapping[str, Client], number: int) -> None:
        inside = [name for name in clients if name not in self._out] or list(clients)
        name = inside[number // 4 % len(inside)]
        phase, unnoticed, began = self._phase, self._unnoticed, time.monotonic()
        self.requests[phase] += 1
        try:
            await self._one(clients[name], number)
        except (httpx.TransportError, RefusedError) as error:
            # what was in flight when a replica was lost, or went to it before that could be known
            lost = unnoticed or (self._phase != phase and self._phase.startswith(_LOSS))
            what = f"{type(error).__name__} of {name} after {time.monotonic() - began:.1f} s: {error}"
            self.failed.append(Failed(self._phase if lost else phase, lost, what))
            if number % 4 == 0:
                self._unknown.append(number)

    async def _one(self, client: Client, number: int) -> None:
        person = self._people[number % len(self._people)]
        match number % 4:
            case 0:
                key = f"{_TAG}-{number}"
                fields = {"user_id": person, "metadata": {"drill": _TAG}}
                what = {"channel": "email", "template": "welcome", "variables": {"name": key}}
                if number // 4 % 2:
                    what = {"channel": "push", "template": "order-shipped", "variables": {"order": key}}
                answer = await client.call("POST", "/v1/notifications", fields | what, {"Idempotency-Key": key})
                self.accepted[key] = str(answer["id"])
                self._recent.append(self.accepted[key])
            case 1 if self._recent:
                await client.call("GET", f"/v1/notifications/{self._recent[number % len(self._recent)]}")
            case 2:
                await client.call("GET", "/v1/templates/welcome")
            case _:
                await client.call("GET", f"/v1/users/{person}")


@dataclass(frozen=True, slots=True)
class Rolled:
    """The drill's result. `requests` are counted by phase."""

    account: Account
    settled: bool
    requests: Mapping[str, int]
    failed: Sequence[Failed] = field(default_factory=tuple)
    exit_codes: Mapping[str, int] = field(default_factory=dict)

    def problems(self) -> list[str]:
        """What is not as promised: no request fails in a roll, and none later than a second after a replica was lost."""
        found = list(self.account.violations)
        if not self.settled:
            found.append(f"not everything was settled within {_SETTLED_S:g} s")
        found += [f"{name} ended with {code} when it was asked to stop" for name, code in self.exit_codes.items() if code]
        late = [one for one in self.failed if not one.lost]
        found += [f"{one.during}: {one.what}" for one in late[:_MOST_SHOWN]]
        if len(late) > _MOST_SHOWN:
            found.append(f"and {len(late) - _MOST_SHOWN} more requests failed")
        return found

    def table(self) -> str:
        """For people."""
        lines = [f"{'what':<40}{'requests':>10}{'failed':>8}{'of them in the first second of a loss':>39}"]
        for phase, requests in self.requests.items():
            failed = [one for one in self.failed if one.during == phase]
            lines.append(f"{phase:<40}{requests:>10}{len(failed):>8}{sum(one.lost for one in failed):>39}")
        return "\n".join(lines)

    def summary(self) -> dict[str, Any]:
        """For programs."""
        return {
            "requests": sum(self.requests.values()),
            "failed": sum(not one.lost for one in self.failed),
            "failed_in_first_second_of_a_loss": sum(one.lost for one in self.failed),
            "problems": len(self.problems()),
            "accepted": self.account.accepted,
            "settled": self.settled,
        }


async def rolled(
    folder: Path,
    *,
    rounds: int,
    rate: float,
    services: Sequence[str] = SERVICES,
    min_ready_s: float = MIN_READY_S,
    start: Start | None = None,
) -> Rolled:
    """So many rolling restarts of every process, then one replica of each killed, and one of each called service NOT_SERVING.

    `rate` is in requests per second, `services` whose replicas are taken away, each when the one before has been ready for `min_ready_s`.
    """
    async with open_rig(folder, settings=_SETTINGS, start=start) as rig:
        traffic = Traffic(rig, rate)
        exit_codes: dict[str, int] = {}
        sending = asyncio.create_task(traffic.run())
        try:
            await asyncio.sleep(_NOTICED_S)
            traffic.begin(_ROLL)
            for number in range(1, rounds + 1):
                await _roll(rig, traffic, services, exit_codes, min_ready_s)
                sys.stderr.write(f"round {number} of {rounds}: {sum(traffic.requests.values())} requests, {len(traffic.failed)} failed\n")
            for service in services:
                await _kill(rig, traffic, service)
            for service in [each for each in services if each in _CALLED]:
                await _serve_nothing(rig, traffic, service)
        finally:
            traffic.end()
            await sending
        await traffic.repeat()
        settled, account = await balance(rig.database_url(), _TAG, traffic.accepted, timeout_s=_SETTLED_S)
        return Rolled(account, settled, dict(traffic.requests), tuple(traffic.failed), exit_codes)


async def _roll(rig: Rig, traffic: Traffic, services: Sequence[str], exit_codes: dict[str, int], min_ready_s: float) -> None:
    """One replica after the other, as rollouts of one Deployment after the other do: two cores have little room beside the load."""
    for service in services:
        for name in rig.processes.replicas_of(service):
            await _restart(rig, traffic, name, exit_codes)
            await asyncio.sleep(min_ready_s)


async def _restart(rig: Rig, traffic: Traffic, name: str, exit_codes: dict[str, int]) -> None:
    stopping = asyncio.create_task(asyncio.to_thread(rig.processes.stop, name))
    await traffic.leave(name)
    code = await stopping
    exit_codes[name] = exit_codes.get(name) or code
    await _back(rig, traffic, name)


async def _back(rig: Rig, traffic: Traffic, name: str) -> None:
    rig.processes.spawn(name)
    await rig.processes.wait_serving(name)
    traffic.enter(name)


async def _kill(rig: Rig, traffic: Traffic, name: str) -> None:
    traffic.begin(f"{_LOSS}SIGKILL {name}", loses=True)
    rig.processes.kill(name)
    await traffic.leave(name)
    await asyncio.sleep(_LOOK_AFTER_S)
    await _back(rig, traffic, name)


async def _serve_nothing(rig: Rig, traffic: Traffic, name: str) -> None:
    """One whose database is not there: it runs, says NOT_SERVING, and must be asked nothing."""
    url = rig.processes.environ(name)["CLARION_DATABASE_URL"]
    traffic.begin(f"restart of {name} for the next")
    rig.processes.give(name, {"CLARION_DATABASE_URL": f"postgresql://postgres@127.0.0.1:{free_port()}/clarion_{name}"})
    await asyncio.to_thread(rig.processes.stop, name)
    rig.processes.spawn(name)
    traffic.begin(f"{_LOSS}{name} NOT_SERVING", loses=True)
    await traffic.leave(name)
    await asyncio.sleep(_LOOK_AFTER_S)
    rig.processes.give(name, {"CLARION_DATABASE_URL": url})
    rig.processes.kill(name)
    await _back(rig, traffic, name)
