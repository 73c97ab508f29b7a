"""Render processes: what one rendering does to its process, and that it costs nobody else anything."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import psutil
import pytest

from mesh.context import FIRST_PROJECT
from mesh.errors import ServiceError, Unavailable
from template_svc.errors import InvalidContents, MissingVariable, RenderCrashed, RenderFailed, RenderTooSlow
from template_svc.models import Channel, Content, ContentKey, Rendered, RenderJob, VersionDraft
from template_svc.processes.pool import NICE, ProcessPool
from template_svc.processes.process import Limits, RenderProcess
from template_svc.scheduling import Lane
from tests.template_svc.factories import EMAIL, content_of, make_job, struct_bytes
from tests.waiting import until

pytestmark = pytest.mark.processes

SHARES = {Lane.SHARED: 1, Lane.APART: 1, Lane.AUTHORING: 1}
ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
# allocates 100,000 lists of 100,000 references each, one C call at a time
# processor time that only a long rendering takes
LONG_S = 0.3
HOARD = "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x, range(99999)|list] %}{% endfor %}"


@pytest.fixture
async def pool() -> AsyncIterator[ProcessPool]:
    """Real processes with a short limit."""
    opened = ProcessPool(Limits(cpu_s=0.3, memory_mb=64), SHARES)
    await opened.open()
    yield opened
    await opened.close()


def job(text: str = "", name: str = "welcome", /, **variables: object) -> RenderJob:
    content = Content(subject="s", text=text) if text else EMAIL
    return make_job(ContentKey(FIRST_PROJECT, name, 1, "en"), content, struct_bytes(variables))


def children() -> list[psutil.Process]:
    """The render processes of this test process that live."""
    return [child for child in psutil.Process().children() if is_render_process(child)]


def is_render_process(child: psutil.Process) -> bool:
    """False for one that is gone or about to be."""
    try:
        return "template_svc.processes.child" in child.cmdline()
    except psutil.Error:
        return False


async def test_a_batch_is_rendered_in_order_and_each_item_has_its_own_outcome(pool: ProcessPool) -> None:
    jobs = [job(name=f"Ada {number}") for number in range(200)]
    jobs[100] = job()
    outcomes = await pool.render(jobs, Lane.SHARED)
    assert isinstance(outcomes[100].result, MissingVariable)
    assert outcomes[100].result.violations[0].field == "variables.name"
    subjects = [content_of(outcome.result).subject for number, outcome in enumerate(outcomes) if number != 100]
    assert subjects == [f"Hello Ada {number}" for number in range(200) if number != 100]


async def test_an_endless_template_is_stopped_and_its_neighbours_are_rendered(pool: ProcessPool) -> None:
    bad, good = await pool.render([job(ENDLESS, "bad"), job(name="Ada")], Lane.SHARED)
    assert isinstance(bad.result, RenderTooSlow)
    assert bad.stopped
    assert isinstance(good.result, Rendered)


async def test_a_template_that_takes_too_much_memory_is_stopped_and_its_process_replaced(pool: ProcessPool) -> None:
    before = {child.pid for child in children()}
    bad, good = await pool.render([job(HOARD, "bad"), job(name="Ada")], Lane.SHARED)
    assert isinstance(bad.result, RenderTooSlow)
    assert isinstance(good.result, Rendered)
    await until(lambda: len({child.pid for child in children()} - before) >= 1)


async def killed_while_rendering(pool: ProcessPool, jobs: list[RenderJob], times: int, number: int) -> list[ServiceError | Rendered]:
    """The results of jobs whose render process gets a signal so many times, each time when it is in the middle of a long rendering."""
    rendering = asyncio.create_task(pool.render(jobs, Lane.SHARED))
    began: dict[int, float] = {}
    hit: set[int] = set()
    while len(hit) < times and not rendering.done():
        for process in pool._sends.all - set(pool._sends.idle):
            pid = process._process.pid
            computed = processor_time(pid)
            if pid not in hit and computed - began.setdefault(pid, computed) > LONG_S:
                hit.add(pid)
                os.kill(pid, number)
        await asyncio.sleep(0.005)
    return [outcome.result for outcome in await rendering]


def processor_time(pid: int) -> float:
    """Of a process, in seconds; 0 for one that is gone."""
    try:
        return float(sum(psutil.Process(pid).cpu_times()[:2]))
    except psutil.Error:
        return 0.0


@pytest.fixture
async def patient_pool() -> AsyncIterator[ProcessPool]:
    """Real processes that would work for minutes."""
    opened = ProcessPool(Limits(cpu_s=100, memory_mb=64), SHARES)
    await opened.open()
    await until(lambda: len(opened._sends.idle) + len(opened._trials.idle) == 4)
    yield opened
    await opened.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_who_ends_two_processes_fails_and_the_others_are_rendered(patient_pool: ProcessPool, number: int) -> None:
    """A second one, since the first end may have been the machine's doing."""
    good, bad, after = await killed_while_rendering(patient_pool, [job(name="Ada"), job(ENDLESS, "bad"), job(name="Bob")], 2, number)
    assert isinstance(bad, RenderCrashed)
    assert bad.message.startswith("contents.en: ended the process")
    assert content_of(good).subject == "Hello Ada"
    assert content_of(after).subject == "Hello Bob"


async def test_a_process_that_was_killed_by_the_way_is_no_fault_of_what_it_rendered(patient_pool: ProcessPool) -> None:
    slow = job("{% for i in range(n) %}{% for j in range(1000) %}{% endfor %}{% endfor %}done", "slow", n=60_000)
    results = await killed_while_rendering(patient_pool, [slow, job(name="Ada")], 1, signal.SIGKILL)
    assert [type(result) for result in results] == [Rendered, Rendered]


async def test_a_process_that_dies_while_it_waits_is_replaced_before_anyone_needs_it(pool: ProcessPool) -> None:
    await until(lambda: len(children()) == 4)
    before = children()
    for child in before:
        child.kill()
    result = (await pool.render([job(name="Ada")], Lane.SHARED))[0].result
    assert isinstance(result, Rendered)


async def test_a_check_names_what_is_wrong_and_outlives_what_never_ends(pool: ProcessPool) -> None:
    checked = await pool.check(VersionDraft(Channel.EMAIL, "en", {"EN": EMAIL, "pt_br": EMAIL}, {}, {}))
    assert (checked.locales, checked.required_variables) == ({"EN": "en", "pt_br": "pt-BR"}, ["name"])
    with pytest.raises(InvalidContents, match=r"contents\.en\.text: line 1"):
        await pool.check(VersionDraft(Channel.EMAIL, "en", {"en": Content(subject="s", text="{{ x|safe }}")}, {}, {}))


async def test_contents_that_a_newer_program_refuses_fail_as_a_rendering_does(pool: ProcessPool) -> None:
    result = (await pool.render([job("{{ x|safe }}", x=1)], Lane.SHARED))[0].result
    assert isinstance(result, RenderFailed)
    assert result.message.startswith("contents.en.text: line 1")


async def test_more_contents_than_a_process_keeps_are_still_rendered(pool: ProcessPool) -> None:
    filler = "x" * 90_000
    jobs = [job(f"{{{{ n }}}}{filler}", f"template{number}", n=number) for number in range(40)] * 2
    outcomes = await pool.render(jobs, Lane.SHARED)
    assert [content_of(outcome.result).text.rstrip("x") for outcome in outcomes] == [str(number) for number in range(40)] * 2


async def test_a_caller_that_leaves_costs_no_process(pool: ProcessPool) -> None:
    await until(lambda: len(children()) == 4)
    before = {child.pid for child in children()}
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pool.render([job(ENDLESS, "bad")], Lane.SHARED), 0.05)
    assert isinstance((await pool.render([job(name="Ada")], Lane.SHARED))[0].result, Rendered)
    assert {child.pid for child in children()} == before


async def test_what_is_unproven_stands_back_behind_sends(pool: ProcessPool) -> None:
    """In one session with us: in another one the kernel would not weigh them against each other."""
    ours = psutil.Process().nice()
    await until(lambda: sorted(child.nice() - ours for child in children()) == [0, NICE, NICE, NICE])
    assert {os.getsid(child.pid) for child in children()} == {os.getsid(0)}
    assert len({os.getpgid(child.pid) for child in children()} - {os.getpgid(0)}) == 4


async def test_a_render_process_holds_no_secret_and_can_start_nothing() -> None:
    os.environ["CLARION_SERVICE_SECRET"] = "do not take this along"
    try:
        process = await RenderProcess.start(Limits(0.2, 64))
    finally:
        del os.environ["CLARION_SERVICE_SECRET"]
    child = psutil.Process(process._process.pid)
    assert "CLARION_SERVICE_SECRET" not in child.environ()
    for limit, most in ((psutil.RLIMIT_FSIZE, 0), (psutil.RLIMIT_CORE, 0), (psutil.RLIMIT_NOFILE, 32)):
        assert child.rlimit(limit) == (most, most)
    assert 0 < child.rlimit(psutil.RLIMIT_AS)[0] < 2**30
    assert not [file for file in child.open_files() if "memfd" not in file.path]
    process.close()


async def test_processes_end_with_the_pool() -> None:
    pool = ProcessPool(Limits(0.2, 64), SHARES)
    await pool.open()
    await pool.ping()
    mine = {process._process.pid for stock in (pool._sends, pool._trials) for process in stock.all}
    await pool.close()
    assert not mine & {child.pid for child in children()}
    with pytest.raises(Unavailable):
        await pool.ping()


PARENT = """
import asyncio, sys
from template_svc.processes.process import Limits, RenderProcess
async def main():
    process = await RenderProcess.start(Limits(5, 64))
    print(process._process.pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_a_render_process_ends_with_the_process_that_started_it() -> None:
    """However that ended: nothing computes on for nobody."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=subprocess.PIPE, env=environ)
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert psutil.pid_exists(child)
    parent.kill()
    await parent.wait()
    await until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


def test_one_long_call_into_c_ends_the_process_at_the_hard_limit() -> None:
    """No exception reaches it, so the kernel's second timer ends the process."""
    program = "from template_svc.processes.cpu_limit import CpuLimit\nwith CpuLimit(2) as limit: limit.run(0.1, sum, range(10**12))"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", program], env=environ, check=False, timeout=60)
    assert ended.returncode == -signal.SIGPROF
