"""`make drill ARGS=--soak`: a steady load for half an hour, after which no process may hold more than at its beginning."""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.system.drills.ledger import Account, balance
from tests.system.drills.load import Load
from tests.system.drills.rig import Rig

# Caches fill, pools open and the allocator finds its size first.
_WARM_UP_PART = 0.25
_MOST_SAMPLES, _FEWEST_SAMPLES, _SAMPLE_EVERY_S = 60, 8, 3.0
_SETTLED_S = 120.0
# Growth of memory from the first to the last quarter after that, and what of tasks and open files is noise of the moment.
MOST_GROWTH = 0.05
_NOISE_PART, _NOISE = 0.2, 5
MOST_LAG_S = 0.02
_LAG = "clarion_loop_lag_seconds"


@dataclass(frozen=True, slots=True)
class Vitals:
    """A process at one moment."""

    rss_mb: float
    tasks: float
    files: float


@dataclass(frozen=True, slots=True)
class Growth:
    """A process from the first to the last quarter of the time, by medians, and how late its event loop was (p99, seconds)."""

    first: Vitals
    last: Vitals
    lag_p99_s: float

    @property
    def memory(self) -> float:
        """Part by which it grew."""
        return self.last.rss_mb / self.first.rss_mb - 1

    @property
    def flat(self) -> bool:
        """Whether tasks and open files are as many as they were, but for what comes and goes."""
        pairs = ((self.first.tasks, self.last.tasks), (self.first.files, self.last.files))
        return all(late <= early + max(_NOISE, early * _NOISE_PART) for early, late in pairs)


@dataclass(frozen=True, slots=True)
class Soaked:
    """The drill's result."""

    account: Account
    settled: bool
    seconds: float
    growth: Mapping[str, Growth]

    def problems(self, *, most_growth: float = MOST_GROWTH, most_lag_s: float | None = MOST_LAG_S) -> list[str]:
        """What is not as promised; `most_lag_s` is None where the machine is busy with other things."""
        found = list(self.account.violations)
        if not self.settled:
            found.append(f"not everything was settled within {_SETTLED_S:g} s")
        for name, grown in self.growth.items():
            if grown.memory > most_growth:
                found.append(f"{name} grew by {grown.memory:.1%}, from {grown.first.rss_mb:.0f} to {grown.last.rss_mb:.0f} MB")
            if not grown.flat:
                found.append(f"{name} has more tasks or open files: {grown.first} before, {grown.last} after")
            if most_lag_s is not None and grown.lag_p99_s > most_lag_s:
                found.append(f"the event loop of {name} is {grown.lag_p99_s * 1000:.0f} ms late at p99")
        return found

    def table(self) -> str:
        """For people."""
        lines = [f"{'process':<16}{'MB':>8}{'MB after':>10}{'tasks':>8}{'after':>8}{'files':>8}{'after':>8}{'lag p99 ms':>12}"]
        for name, grown in sorted(self.growth.items()):
            first, last = grown.first, grown.last
            lines.append(
                f"{name:<16}{first.rss_mb:>8.1f}{last.rss_mb:>10.1f}{first.tasks:>8.0f}{last.tasks:>8.0f}"
                f"{first.files:>8.0f}{last.files:>8.0f}{grown.lag_p99_s * 1000:>12.1f}"
            )
        return "\n".join(lines)

    def summary(self) -> dict[str, Any]:
        """For programs."""
        return {
            "accepted": self.account.accepted,
            "accepted_per_s": round(self.account.accepted / self.seconds, 1),
            "settled": self.settled,
            "growth": {name: asdict(one) for name, one in self.growth.items()},
        }


async def soaked(rig: Rig, *, seconds: float, rate: float) -> Soaked:
    """Sends at a steady rate (per second) for so long, and looks at every process all along."""
    async with httpx.AsyncClient() as http:
        load = Load(rig.urls, rig.people, tag="soak", count=max(1, round(seconds * rate)), rate=rate)
        sending = asyncio.create_task(load.run())
        begun = time.monotonic()
        warm_up_s = seconds * _WARM_UP_PART
        await asyncio.wait([sending], timeout=warm_up_s)
        before = await _lags(rig, http)
        samples: dict[str, list[Vitals]] = {name: [] for name in rig.processes.names}
        count = min(_MOST_SAMPLES, max(_FEWEST_SAMPLES, round((seconds - warm_up_s) / _SAMPLE_EVERY_S)))
        pause_s = (seconds - warm_up_s) / count
        for number in range(1, count + 1):
            await asyncio.wait([sending], timeout=max(0.0, begun + warm_up_s + number * pause_s - time.monotonic()))
            for name, seen in samples.items():
                seen.append(await _vitals(rig, http, name))
            if number % (count // 4) == 0:
                sys.stderr.write(f"{time.monotonic() - begun:5.0f} s  {len(load.accepted)} accepted, {_total(samples):.0f} MB in all\n")
        lags = await _lags(rig, http)
        load.end()
        await sending
        settled, account = await balance(rig.database_url(), "soak", load.accepted, timeout_s=_SETTLED_S)
        growth = {name: _growth(seen, _p99(before[name], lags[name])) for name, seen in samples.items()}
        return Soaked(account, settled, seconds, growth)


def _total(samples: Mapping[str, Sequence[Vitals]]) -> float:
    return sum(seen[-1].rss_mb for seen in samples.values())


def _growth(samples: Sequence[Vitals], lag_p99_s: float) -> Growth:
    quarter = max(1, len(samples) // 4)
    return Growth(_middle(samples[:quarter]), _middle(samples[-quarter:]), lag_p99_s)


def _middle(samples: Sequence[Vitals]) -> Vitals:
    return Vitals(*(median(getattr(one, field) for one in samples) for field in ("rss_mb", "tasks", "files")))


async def _vitals(rig: Rig, http: httpx.AsyncClient, name: str) -> Vitals:
    process = psutil.Process(rig.processes.processes[name].pid)
    family = [process, *process.children(recursive=True)]  # template_svc has processes that render
    rss_mb, files = sum(one.memory_info().rss for one in family) / 2**20, process.num_fds()
    metrics = await _scrape(rig, http, name)
    return Vitals(rss_mb, metrics["clarion_loop_tasks"][""], files)


async def _lags(rig: Rig, http: httpx.AsyncClient) -> dict[str, dict[float, float]]:
    """How many timers of each process were at most so late, by the bound."""
    found = {}
    for name in rig.processes.names:
        buckets = (await _scrape(rig, http, name)).get(f"{_LAG}_bucket", {})
        found[name] = {float(bound): count for bound, count in buckets.items()}
    return found


async def _scrape(rig: Rig, http: httpx.AsyncClient, name: str) -> dict[str, dict[str, float]]:
    """Values by metric and bound of a bucket."""
    answer = await http.get(f"http://127.0.0.1:{rig.processes.metrics_ports[name]}/metrics")
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(answer.raise_for_status().text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[sample.labels.get("le", "")] = sample.value
    return found


def _p99(before: Mapping[float, float], after: Mapping[float, float]) -> float:
    """Within its bucket, straight between the bounds, as Prometheus does it."""
    counts = sorted((bound, count - before.get(bound, 0.0)) for bound, count in after.items())
    wanted = 0.99 * counts[-1][1] if counts else 0.0
    lower, below = 0.0, 0.0
    for bound, count in counts:
        if count >= wanted:
            inside = count - below
            return lower if bound == float("inf") or not inside else lower + (bound - lower) * (wanted - below) / inside
        lower, below = bound, count
    return lower
