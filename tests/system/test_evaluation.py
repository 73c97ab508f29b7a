"""What EvaluateDelivery answers is what a worker then does, over random rules of projects and people."""

import asyncio
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devstack.client import Client
from devstack.samples import WELCOME
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

SCOPES = [
    "policies:read", "policies:write", "users:read", "users:write", "templates:write", "notifications:send", "notifications:read"
]  # fmt: skip
CATEGORIES = ["news", "billing", "offers"]
TEMPLATES = {"plain": {}, "weekly": {"category": "news"}}
# Whole hours from UTC, so that no hours of `HALF` begin or end while the test runs.
ZONES = ["UTC", "Europe/Lisbon", "Asia/Tokyo", "America/Phoenix", "Pacific/Auckland"]
HALF = timedelta(hours=2, minutes=30)
PEOPLE, SENDS = 10, 3


@dataclass(frozen=True)
class Dice:
    """All that is random, by one seed."""

    random: random.Random

    def sometimes(self, chance: float = 0.5) -> bool:
        return self.random.random() < chance

    def hours(self) -> dict[str, Any] | None:
        """Quiet hours around now by UTC, at the other side of the day, or none."""
        middle = datetime.now(UTC) + self.random.choice([timedelta(), timedelta(hours=12)])
        return {"start": f"{middle - HALF:%H:%M}", "end": f"{middle + HALF:%H:%M}"} if self.sometimes() else None

    def rules(self, *, most: int) -> list[dict[str, str]]:
        subjects = [{"category": one} for one in CATEGORIES] + [{"template": one} for one in TEMPLATES] + [{}]
        chosen = [
            {"choice": self.random.choice(["allow", "deny"]), **subject, **channel}
            for subject in subjects
            for channel in ({}, {"channel": "email"})
        ]
        return self.random.sample(chosen, self.random.randint(0, most))

    def policy(self) -> dict[str, Any]:
        hours = self.hours()
        return {"rules": self.rules(most=3), **({"quiet_hours": hours} if hours else {})}

    def category(self, name: str) -> dict[str, Any]:
        limit = {"limit": {"count": self.random.randint(1, 2), "window": "86400s"}} if self.sometimes() else {}
        return {"id": name, "mandatory": self.sometimes(0.2), **limit}

    def person(self, number: int) -> dict[str, str]:
        address = {"email": f"random-{self.random.getrandbits(32)}-{number}@example.com"} if self.sometimes(0.9) else {}
        return {"name": f"Person {number}", "timezone": self.random.choice(ZONES), **address}

    def send(self) -> dict[str, Any]:
        category = {"category": self.random.choice(CATEGORIES)} if self.sometimes() else {}
        return {"template": self.random.choice([*TEMPLATES]), **category, **({"priority": "high"} if self.sometimes(0.3) else {})}


async def _project(system: System, dice: Dice) -> str:
    """A project with random decisions; its key."""
    name = f"dice-{dice.random.getrandbits(40)}"
    await system.client.call("POST", "/v1/projects", {"id": name})
    key: Any = await system.client.call("POST", "/v1/api-keys", {"name": name, "project": name, "scopes": SCOPES})
    async with Client(system.processes.url, key["secret"]) as project:
        for template, more in TEMPLATES.items():
            await project.create_template(template, "email", WELCOME, **more)
        for category in CATEGORIES:
            if dice.sometimes(0.7):
                await project.call("POST", "/v1/categories", dice.category(category))
        await project.call("PATCH", "/v1/delivery-policy", dice.policy())
    return str(key["secret"])


async def _person(project: Client, dice: Dice, number: int) -> str:
    person = dice.person(number)
    user = str((await project.call("POST", "/v1/users", person))["id"])
    mandatory = {one["id"] for one in (await project.call("GET", "/v1/categories")).get("categories", []) if one.get("mandatory")}
    # what is mandatory can't be refused: a test of its own says so
    rules = [rule for rule in dice.rules(most=4) if rule.get("category") not in mandatory]
    hours = {"off": True} if dice.sometimes(0.2) else dice.hours()
    await project.call("PATCH", f"/v1/users/{user}/preferences", {"rules": rules, **({"quiet_hours": hours} if hours else {})})
    if "email" in person and dice.sometimes(0.3):
        scope = {"category": dice.random.choice(CATEGORIES)} if dice.sometimes() else {}
        await project.call("POST", "/v1/suppressions", {"address": person["email"], "reason": "moved", **scope})
    return user


async def _done(project: Client, identifier: str) -> Any:
    """The notification once a worker has decided."""
    async with asyncio.timeout(60):
        while True:
            found = await project.call("GET", f"/v1/notifications/{identifier}")
            if found["status"] in {"sent", "skipped", "scheduled", "failed"}:
                return found
            await asyncio.sleep(0.02)  # other processes offer no event


async def _compare(project: Client, user: str, asked: dict[str, Any]) -> str:
    """What was decided, after both have said the same."""
    answer = await project.call("POST", "/v1/notifications:evaluate", {"user_id": user, **asked})
    sent = await project.call("POST", "/v1/notifications", {"user_id": user, "channel": "email", "variables": {"name": "N"}, **asked})
    found = await _done(project, sent["id"])
    did = {"sent": "send", "skipped": "skip", "scheduled": "defer"}[found["status"]]
    assert answer["decision"] == did, (answer, found)
    if did != "send":
        assert answer["rule"] in [entry.get("detail") for entry in found["timeline"]], (answer, found)
    return f"{did} {answer['rule'].partition(':')[0]}"


@pytest.mark.parametrize("seed", range(4))
async def test_what_is_answered_is_what_a_worker_does(system: System, seed: int) -> None:
    dice = Dice(random.Random(seed))
    async with Client(system.processes.url, await _project(system, dice), timeout_s=60) as project:
        people = [await _person(project, dice, number) for number in range(PEOPLE)]
        plans = [[dice.send() for _ in range(SENDS)] for _ in people]

        async def all_of(user: str, plan: list[dict[str, Any]]) -> list[str]:
            return [await _compare(project, user, asked) for asked in plan]

        decided = [one for found in await asyncio.gather(*map(all_of, people, plans)) for one in found]
    assert len({*decided}) > 2, decided  # the dice have shown different sides
