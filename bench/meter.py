"""CPU and memory of named processes with their children."""

import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self

import psutil

Pids = Callable[[], Mapping[str, int]]


def _tree(pid: int) -> Iterable[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_s(pid: int) -> float:
    """CPU seconds that a process and its children have used, those that ended included."""
    total = 0.0
    for process in _tree(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def rss_mb(pid: int) -> float:
    """Resident memory of a process and its children in MiB."""
    total = 0
    for process in _tree(pid):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return float(total / 2**20)


class Meter:
    """Measures CPU and wall time over a block: `cpu_s` by name, `elapsed_s`, and `other_cores` used by strangers."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self.cpu_s: dict[str, float] = {}
        self.elapsed_s = 0.0
        self.other_cores = 0.0

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._before = {name: cpu_s(pid) for name, pid in self._pids.items()}
        self._busy = _busy_s()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.elapsed_s = time.monotonic() - self._began
        self.cpu_s = {name: round(cpu_s(pid) - self._before[name], 3) for name, pid in self._pids.items()}
        self.other_cores = round((_busy_s() - self._busy - sum(self.cpu_s.values())) / self.elapsed_s, 2)


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)
