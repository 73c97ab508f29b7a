"""Who is rendered beside whom: nobody waits for, or fails because of, what another one's template does."""

import asyncio
from collections.abc import Sequence

import pytest

from mesh.context import FIRST_PROJECT
from template_svc.errors import RenderHeld, RenderTooSlow, TooManyPreviews
from template_svc.models import Checked, ContentKey, Rendered, RenderJob, VersionDraft
from template_svc.scheduling import MAX_APART, MAX_PER_CALLER, SUSPECT_S, Lane, Outcome, Scheduler, Standing
from tests.template_svc.factories import EMAIL, Clock, make_job


class ScriptedProcesses:
    """Does as the name of the template says: "slow" is stopped, "heavy" takes long, "hangs" waits for `release`. `asked` has all calls."""

    def __init__(self) -> None:
        self.asked: list[tuple[Lane, list[str]]] = []
        self.release = asyncio.Event()

    async def render(self, jobs: Sequence[RenderJob], lane: Lane) -> list[Outcome]:
        self.asked.append((lane, [job.key.template for job in jobs]))
        if any(job.key.template == "hangs" for job in jobs):
            await self.release.wait()
        return [self._outcome(job) for job in jobs]

    async def check(self, draft: VersionDraft) -> Checked:
        await self.release.wait()
        return Checked({}, [], {}, {}, [], {}, [])

    def _outcome(self, job: RenderJob) -> Outcome:
        name = job.key.template
        if name == "slow" or b"bomb" in job.variables:
            return Outcome(RenderTooSlow("too slow"), 0.2, stopped=True)
        return Outcome(Rendered(name.encode() + job.variables, job.key.locale, 1, job.chain), 0.1 if name == "heavy" else 0.001)


@pytest.fixture
def processes() -> ScriptedProcesses:
    return ScriptedProcesses()


@pytest.fixture
def scheduler(processes: ScriptedProcesses, clock: Clock) -> Scheduler:
    return Scheduler(processes, Standing(lambda: clock().timestamp()))


def job(name: str = "good", number: int = 0) -> RenderJob:
    return make_job(ContentKey(FIRST_PROJECT, name, 1, "en"), EMAIL, str(number).encode())


async def test_a_new_content_is_tried_once_apart_and_the_rest_shares_a_process(scheduler: Scheduler, processes: ScriptedProcesses) -> None:
    results = await scheduler.render_batch([job(number=number) for number in range(50)])
    assert [result.content for result in results if isinstance(result, Rendered)] == [f"good{number}".encode() for number in range(50)]
    assert processes.asked == [(Lane.APART, ["good"]), (Lane.SHARED, ["good"] * 49)]
    await scheduler.render_batch([job(), job()])
    assert processes.asked[2:] == [(Lane.SHARED, ["good", "good"])]


async def test_a_content_that_was_stopped_is_apart_for_a_minute(scheduler: Scheduler, processes: ScriptedProcesses, clock: Clock) -> None:
    await scheduler.render_batch([job("fickle")])
    bomb = job("fickle")._replace(variables=b"bomb")
    assert isinstance((await scheduler.render_batch([bomb]))[0], RenderTooSlow)
    processes.asked.clear()
    assert isinstance((await scheduler.render_batch([job("fickle"), job("fickle", 2)]))[1], Rendered)
    assert processes.asked == [(Lane.APART, ["fickle"])] * 2
    clock.advance(seconds=SUSPECT_S + 1)
    await scheduler.render_batch([job("fickle", 3)])
    processes.asked.clear()
    await scheduler.render_batch([job("fickle", 4)])
    assert processes.asked == [(Lane.SHARED, ["fickle"])]


async def test_a_content_that_takes_long_never_shares_a_process(scheduler: Scheduler, processes: ScriptedProcesses) -> None:
    for number in range(3):
        assert isinstance((await scheduler.render_batch([job("heavy", number)]))[0], Rendered)
    assert processes.asked == [(Lane.APART, ["heavy"])] * 3


async def test_who_is_not_finished_in_time_is_held_and_gets_the_result_on_asking_again(
    scheduler: Scheduler, processes: ScriptedProcesses
) -> None:
    """The others of the batch are rendered. Being held is no failure: the caller asks again later."""
    good, held = await scheduler.render_batch([job(), job("hangs")])
    assert isinstance(good, Rendered)
    assert isinstance(held, RenderHeld)
    assert held.retry_after_s
    processes.release.set()
    await asyncio.gather(*scheduler._apart.values())
    asked = len(processes.asked)
    assert await scheduler.render_batch([job("hangs")]) == [Rendered(b"hangs0", "en", 1, ("en",))]
    assert len(processes.asked) == asked


async def test_no_more_than_so_many_wait_apart(scheduler: Scheduler, processes: ScriptedProcesses) -> None:
    results = await scheduler.render_batch([job("hangs", number) for number in range(MAX_APART + 20)])
    assert {type(result) for result in results} == {RenderHeld}
    assert len(processes.asked) == MAX_APART
    processes.release.set()
    await asyncio.gather(*scheduler._apart.values())


async def test_previews_prove_nothing_and_have_their_own_processes(scheduler: Scheduler, processes: ScriptedProcesses) -> None:
    """Three slow previews do not make a template slow for who sends it."""
    await scheduler.render_batch([job("fickle")])
    for _ in range(5):
        with pytest.raises(RenderTooSlow):
            await scheduler.preview(job("fickle")._replace(variables=b"bomb"), "key")
    processes.asked.clear()
    await scheduler.render_batch([job("fickle"), job("fickle")])
    assert processes.asked == [(Lane.SHARED, ["fickle", "fickle"])]
    await scheduler.preview(job(), "key")
    assert processes.asked[1:] == [(Lane.AUTHORING, ["good"])]


async def test_a_caller_has_so_many_previews_in_hand_and_one_at_a_time(scheduler: Scheduler, processes: ScriptedProcesses) -> None:
    previews = [asyncio.create_task(scheduler.preview(job("hangs", number), "greedy")) for number in range(30)]
    done, waiting = await asyncio.wait(previews, timeout=0.05)
    assert len(waiting) == MAX_PER_CALLER
    for preview in done:
        assert isinstance(preview.exception(), TooManyPreviews)
    other = asyncio.create_task(scheduler.preview(job(), "other"))
    assert (await other).content == b"good0"
    assert processes.asked == [(Lane.AUTHORING, ["hangs"]), (Lane.AUTHORING, ["good"])]
    processes.release.set()
    await asyncio.gather(*waiting)
    assert (await scheduler.preview(job(), "greedy")).content == b"good0"


async def test_who_leaves_early_gets_no_second_place(scheduler: Scheduler, processes: ScriptedProcesses) -> None:
    for number in range(MAX_PER_CALLER):
        preview = asyncio.create_task(scheduler.preview(job("hangs", number), "hasty"))
        await asyncio.sleep(0)
        preview.cancel()
        await asyncio.gather(preview, return_exceptions=True)
    with pytest.raises(TooManyPreviews):
        await scheduler.preview(job(), "hasty")
    processes.release.set()
