"""How many mails template_svc renders: a batch of 100 with a date, a plural and a currency in 5 kB of HTML, beside bare Jinja2."""

import asyncio
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import jinja2
import psutil
from babel import Locale, dates, numbers
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from mesh.context import FIRST_PROJECT
from template_svc.contents import derived_parts
from template_svc.messages import content_to_bytes, variables_from_bytes
from template_svc.models import Channel, Content, ContentKey, Rendered, RenderJob, with_derived
from template_svc.processes.pool import ProcessPool
from template_svc.processes.process import Limits
from template_svc.reader import reader_of
from template_svc.renderer import Renderer
from template_svc.scheduling import Lane, Scheduler, Standing

_SECONDS = 3.0
_TURNS = 6
_PAUSE_S = 0.7
_BATCH = 100
_MJML = """<mjml><mj-head><mj-title>{{ name }}</mj-title></mj-head><mj-body><mj-section><mj-column>
<mj-text>Hello {{ name }}, your {{ plural(count, one='item', other='# items') }} from {{ at|date('long') }}:</mj-text>
<mj-table>{% for item in items %}<tr><td>{{ item.name }}</td><td>{{ item.count }}</td></tr>{% endfor %}</mj-table>
<mj-button href="https://shop.example/{{ order }}">{{ total|currency('EUR') }}</mj-button></mj-column></mj-section></mj-body></mjml>"""

_BOMBS = (
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% set ns = namespace(t='x') %}{% for i in range(99) %}{% set ns.t = ns.t ~ ns.t %}{% endfor %}",
    "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = [ns.l, ns.l, range(99999)|list] %}{% endfor %}",
)


def _variables(number: int) -> dict[str, Any]:
    """Of one mail; no two have the same."""
    return {
        "name": f"Ann <{number}>", "count": number, "at": f"2030-01-{number % 28 + 1:02}T15:04:05Z",
        "total": number * 1.25, "order": f"A-{number}",
        "items": [{"name": f"Item {item}", "count": item} for item in range(3)],
    }  # fmt: skip


async def measure() -> dict[str, float]:
    """Mails/s: `batch` through the scheduler and one render process; `renderer` and `bare_jinja2` in this process, of processor time."""
    source = Content(subject="Order {{ order }}", mjml=_MJML)
    content = with_derived(source, derived_parts(source))
    key = ContentKey(FIRST_PROJECT, "order", 1, "en")
    variables = [ParseDict(_variables(number), Struct()).SerializeToString() for number in range(50 * _BATCH)]
    jobs = [RenderJob(key, Channel.EMAIL, content, given, "en", "Europe/Paris", ("en",)) for given in variables]
    return {**await _batches(jobs), **_in_this_process(content, variables), **await _beside_bombs(jobs)}


async def _batches(jobs: Sequence[RenderJob]) -> dict[str, float]:
    pool = ProcessPool(Limits(0.2, 96), {Lane.SHARED: 1, Lane.APART: 1, Lane.AUTHORING: 1})
    await pool.open()
    try:
        scheduler = Scheduler(pool, Standing(time.monotonic))
        for result in await scheduler.render_batch(jobs[:_BATCH]):
            assert isinstance(result, Rendered), result
        done, begun, cpu, rendering = 0, time.perf_counter(), _cpu_s(), _cpu_of_children_s()
        while (elapsed := time.perf_counter() - begun) < _SECONDS:
            start = done % len(jobs)
            done += len(await scheduler.render_batch(jobs[start : start + _BATCH]))
        spent = _cpu_s() - cpu
        rendering = _cpu_of_children_s() - rendering
    finally:
        await pool.close()
    rates = {"batch_per_s": round(done / elapsed), "batch_per_core_s": round(done / (spent + rendering))}
    return {**rates, "service_cpu_us": round(spent / done * 1e6, 1)}


async def _beside_bombs(jobs: Sequence[RenderJob]) -> dict[str, float]:
    """What others of a batch feel of templates that never end or take all memory, and how long such a one takes until it is killed.

    Alone and beside them by turns, because the machine's speed changes.
    """
    pool = ProcessPool(Limits(0.2, 96), {Lane.SHARED: 2, Lane.APART: 1, Lane.AUTHORING: 1})
    await pool.open()
    try:
        scheduler = Scheduler(pool, Standing(time.monotonic))
        await scheduler.render_batch(jobs[:_BATCH])
        alone, beside, killed = list[float](), list[float](), list[float]()
        for _ in range(_TURNS):
            await _render(scheduler, jobs, alone)
            stop = asyncio.Event()
            bombing = asyncio.create_task(_bomb(scheduler, pool, stop, killed))
            await _render(scheduler, jobs, beside)
            stop.set()
            await bombing
            await asyncio.sleep(_PAUSE_S)  # a process that was killed is replaced
    finally:
        await pool.close()
    p99s = {"p99_ms": _p99_ms(alone), "p99_beside_bombs_ms": _p99_ms(beside)}
    return {**p99s, "bombs_ratio": round(_p99_ms(beside) / _p99_ms(alone), 2), "slowest_kill_ms": round(max(killed) * 1e3)}


async def _render(scheduler: Scheduler, jobs: Sequence[RenderJob], taken: list[float]) -> None:
    begun = time.perf_counter()
    while time.perf_counter() - begun < _SECONDS / 2:
        start = len(taken) * 10 % len(jobs)
        at = time.perf_counter()
        for result in await scheduler.render_batch(jobs[start : start + 10]):
            assert isinstance(result, Rendered), result
        taken.append(time.perf_counter() - at)


def _p99_ms(taken: Sequence[float]) -> float:
    return round(sorted(taken)[len(taken) * 99 // 100] * 1e3, 1)


async def _bomb(scheduler: Scheduler, pool: ProcessPool, stop: asyncio.Event, killed: list[float]) -> None:
    number = 0
    while not stop.is_set():
        number += 1
        source = _BOMBS[number % len(_BOMBS)]
        key = ContentKey(FIRST_PROJECT, f"bomb-{number}", 1, "en")
        bomb = RenderJob(key, Channel.EMAIL, Content(subject="s", text=source), b"", "en", "", ("en",))
        begun = time.perf_counter()
        await pool.render([bomb], Lane.APART)
        killed.append(time.perf_counter() - begun)
        # as a send, too: it is new, and must not be tried among others
        await scheduler.render_batch([bomb._replace(key=key._replace(template=f"sent-bomb-{number}"))])


def _in_this_process(content: Content, variables: Sequence[bytes]) -> dict[str, float]:
    renderer = Renderer()
    compiled = renderer.compile(content, Channel.EMAIL, "en", stored=True)
    reader = reader_of("en", "Europe/Paris", datetime.now(UTC))
    locale, zone = reader.locale, reader.zone

    def plural(count: int, **forms: str) -> str:
        return forms[locale.plural_form(count)].replace("#", numbers.format_decimal(count, locale=locale))

    def date(value: str, style: Any) -> str:
        return dates.format_date(datetime.fromisoformat(value).astimezone(zone).date(), style, locale)

    def currency(value: float, code: str) -> str:
        return numbers.format_currency(value, code, locale=locale)

    assert isinstance(locale, Locale)
    bare = {}
    for name, escaped in (("subject", False), ("html", True), ("text", False)):
        environment = jinja2.Environment(autoescape=escaped)
        environment.filters |= {"date": date, "currency": currency}
        environment.globals["plural"] = plural
        bare[name] = environment.from_string(getattr(content, name))

    def ours(given: bytes) -> None:
        content_to_bytes(renderer.render(compiled, variables_from_bytes(given), "contents.en", reader))

    def jinja(serialized: bytes) -> None:
        given = variables_from_bytes(serialized)
        texts = {name: template.render(given) for name, template in bare.items()}
        content_to_bytes(Content(subject=texts["subject"], html=texts["html"], text=texts["text"]))

    rates = {"renderer_per_s": 0.0, "bare_jinja2_per_s": 0.0}
    ratios: list[float] = []
    for _ in range(_TURNS):  # because the machine's speed changes
        turn = {"renderer_per_s": _rate(ours, variables), "bare_jinja2_per_s": _rate(jinja, variables)}
        rates = {name: max(rate, turn[name]) for name, rate in rates.items()}
        ratios.append(turn["renderer_per_s"] / turn["bare_jinja2_per_s"])
    return {**rates, "of_bare_jinja2": round(statistics.median(ratios), 2)}


def _rate(work: Callable[[bytes], None], variables: Sequence[bytes]) -> float:
    done, begun = 0, time.thread_time()
    while (elapsed := time.thread_time() - begun) < _SECONDS / 3:
        for given in variables[done % len(variables) :][:500]:  # more than a process remembers the texts of
            work(given)
        done += 500
    return round(done / elapsed)


def _cpu_of_children_s() -> float:
    """Of those that live."""
    return sum(sum(child.cpu_times()[:2]) for child in psutil.Process().children())


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
