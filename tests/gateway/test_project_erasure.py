"""Facts about erasing a project: people first, each by a saga of their own, and nothing else before the last of them is gone."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from gateway.sagas.errors import MoreToErase, StillErasing
from gateway.sagas.models import Kind
from gateway.sagas.project_erasure import ProjectErasure, ProjectErasures
from mesh.context import FIRST_PROJECT
from mesh.errors import FailedPrecondition
from mesh.ids import new_id, new_uuid
from mesh.sagas.orchestrator import failure_of
from mesh.sagas.state import Failure, Fault, RetryPolicy, Saga, SagaState, StepRecord
from mesh.testing import caller

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Services:
    """user_svc and template_svc with a project of so many people."""

    def __init__(self, people: int) -> None:
        self.people = [new_id() for _ in range(people)]
        self.done: list[str] = []
        self.in_use = False

    async def close_project(self, project: str) -> None:
        if self.in_use:
            raise FailedPrecondition("in use", reason="PROJECT_NOT_ARCHIVED")
        self.done.append("close")

    async def list_people(self, project: str) -> Sequence[str]:
        return self.people[:100]

    async def erase_project(self, project: str, asked_by: str = "templates") -> None:
        self.done.append(f"erase by {asked_by}")


class OwnRows:
    """What the gateway keeps."""

    def __init__(self, what: str, services: Services) -> None:
        self._what = what
        self._services = services

    async def delete_all(self, project: str) -> None:
        self._services.done.append(self._what)


class Orchestrator:
    """Erases people a moment after it was asked to, but for those who can't be now. `open` is the saga of the project.

    Of those in `suspended` a saga is open that goes on once it is resumed.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self.sagas: dict[UUID, Saga] = {}
        self.stubborn: set[str] = set()
        self.suspended: set[str] = set()
        self.swept: list[Saga] = []
        self.open: Saga | None = None
        self.resumed: list[Saga] = []
        self.under_way = self.most_under_way = 0

    async def start(self, kind: str, key: str, data: Mapping[str, Any], *, delay_s: float = 0.0) -> Saga:
        saga = a_saga(kind, key, data)
        self.sagas[saga.id] = saga
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        return replace(saga, state=SagaState.SUSPENDED) if key in self.suspended else saga

    async def wait(self, identifier: UUID, *, timeout_s: float) -> Saga | None:
        saga = self.sagas.get(identifier)
        if saga is None:
            return None
        await asyncio.sleep(0)
        self.under_way -= 1
        if saga.key in self.stubborn | self.suspended:
            return saga
        self._services.people.remove(saga.key)
        return replace(saga, state=SagaState.COMPLETED)

    async def resume(self, saga: Saga) -> Saga:
        self.resumed.append(saga)
        self.suspended.discard(saga.key)
        return replace(saga, state=SagaState.RUNNING)

    async def find_open(self, kind: str, key: str) -> Saga | None:
        return self.open

    async def sweep(self, saga: Saga) -> None:
        self.swept.append(saga)


class Stage:
    """The saga over these."""

    def __init__(self, people: int = 0) -> None:
        self.services = Services(people)
        self.orchestrator = Orchestrator(self.services)
        self.erasure = ProjectErasure(
            lambda: self.orchestrator,
            self.services,
            self.services,
            endpoints=OwnRows("endpoints", self.services),
            jobs=OwnRows("jobs", self.services),
            sweep=self.orchestrator.sweep,
        )
        self.asking = ProjectErasures(self.orchestrator, self.orchestrator, self.services)
        self.saga = a_saga(Kind.PROJECT_ERASURE, "shop", {"project": FIRST_PROJECT, "asked_by": "user:root"})


def a_saga(kind: str, key: str, data: Mapping[str, Any]) -> Saga:
    steps = (StepRecord("close_project"),)
    return Saga(id=new_uuid(), kind=kind, key=key, steps=steps, data=data, correlation_id="", create_time=NOW, update_time=NOW, due_at=NOW)


async def test_everyone_is_erased_a_few_side_by_side_and_for_their_own_project() -> None:
    stage = Stage(people=250)
    await stage.erasure.erase_people(stage.saga)
    begun = list(stage.orchestrator.sagas.values())
    assert (stage.services.people, len(begun)) == ([], 250)
    assert {(saga.kind, saga.data["project"], saga.data["asked_by"]) for saga in begun} == {(Kind.ERASURE, "shop", "user:root")}
    assert 1 < stage.orchestrator.most_under_way <= 8


async def test_one_who_can_not_be_erased_now_keeps_the_rest_of_the_project_where_it_is_and_no_one_else() -> None:
    stage = Stage(people=90)
    stage.orchestrator.stubborn = {stage.services.people[1]}
    with pytest.raises(MoreToErase):
        await stage.erasure.erase_people(stage.saga)
    assert (len(stage.services.people), stage.services.done) == (1, [])
    with pytest.raises(StillErasing) as caught:
        await stage.erasure.erase_people(stage.saga)
    assert not isinstance(caught.value, MoreToErase)
    assert failure_of(caught.value) == Failure(Fault.AWAY, "STILL_ERASING", 1.0)


def test_how_many_there_are_makes_no_pause_longer() -> None:
    saga, policy = Stage().saga, RetryPolicy()
    waits = []
    for error in (MoreToErase(), MoreToErase(), MoreToErase(), StillErasing(), StillErasing(), MoreToErase()):
        saga = saga.failed(failure_of(error), NOW, NOW, lease_s=30, policy=policy, past_pivot=True)
        waits.append((saga.due_at - NOW).total_seconds())
    assert waits == [1, 1, 1, 2, 4, 1]


async def test_the_steps_come_in_their_order_and_the_first_is_the_point_of_no_return() -> None:
    stage = Stage()
    erasure, sweep = stage.erasure.definitions()
    assert [step.name for step in erasure.steps if step.pivot] == ["close_project"]
    for step in erasure.steps:
        assert step.action is not None
        await step.action(stage.saga)
    again = ["erase by templates", "endpoints", "jobs", "erase by user:root"]
    assert (stage.services.done, stage.orchestrator.swept) == (["close", *again], [stage.saga])
    for step in sweep.steps:
        assert step.action is not None
        await step.action(stage.saga)
    assert stage.services.done == ["close", *again, *again]


async def test_a_suspended_erasure_of_a_person_goes_on_by_that_of_their_project() -> None:
    """It belongs to a project without a credential, so that no one else could let it go on."""
    stage = Stage(people=2)
    suspended = stage.services.people[0]
    stage.orchestrator.suspended = {suspended}
    await stage.erasure.erase_people(stage.saga)
    assert ([saga.key for saga in stage.orchestrator.resumed], stage.services.people) == ([suspended], [])


async def test_who_was_added_after_the_people_were_erased_is_erased_before_the_rest() -> None:
    """Else the last step would find them for ever."""
    stage = Stage()
    await stage.erasure.erase_people(stage.saga)
    stage.services.people = [new_id()]
    await stage.erasure.erase_project(stage.saga)
    assert (stage.services.people, stage.services.done) == ([], ["erase by user:root"])


async def test_asking_again_is_the_same_erasure_and_lets_a_suspended_one_go_on() -> None:
    stage = Stage()
    stage.orchestrator.open = replace(stage.saga, state=SagaState.SUSPENDED)
    assert (await stage.asking.erase(caller("projects:admin"), "shop", timeout_s=1)).id == stage.saga.id
    assert (stage.orchestrator.resumed, stage.orchestrator.sagas) == ([stage.orchestrator.open], {})


async def test_a_project_in_use_begins_no_erasure() -> None:
    stage = Stage()
    stage.services.in_use = True
    with pytest.raises(FailedPrecondition):
        await stage.asking.erase(caller("projects:admin"), "shop", timeout_s=1)
    assert stage.orchestrator.sagas == {}
