"""What must hold of the processes while they are fuzzed: each lives, keeps within its memory, and logs no error of its own."""

import asyncio
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil
import yaml

from devstack.processes import ROOT, SERVICES, ProcessStack

_LOOK_EVERY_S = 1.0
_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_MOST_LINES = 5
# What gRPC's core writes at its level INFO, such as that an idle connection was closed, and the line before its first.
_REMARK_OF_GRPC = re.compile(r"I\d{4} |WARNING: All log messages before absl::InitializeLog\(\)")


def memory_limits() -> dict[str, int]:
    """Bytes that Kubernetes gives each service, from its Deployment."""
    return {service: _limit_of(ROOT / "k8s" / "base" / service / "deployment.yaml") for service in SERVICES}


def _limit_of(manifest: Path) -> int:
    container = yaml.safe_load(manifest.read_text())["spec"]["template"]["spec"]["containers"][0]
    text = str(container["resources"]["limits"]["memory"])
    return int(text[:-2]) * _UNITS[text[-2:]]


class Guard:
    """Looks once a second. `peaks` is the most memory of each process with its children, shared pages counted once (PSS)."""

    def __init__(self, stack: ProcessStack) -> None:
        self._stack = stack
        self._begun = {name: process.pid for name, process in stack.processes.items()}
        self._log_sizes = {log: log.stat().st_size for log in stack.folder.glob("*.log")}
        self.peaks: dict[str, int] = dict.fromkeys(self._begun, 0)

    async def watch(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.to_thread(self._look)
            await asyncio.sleep(_LOOK_EVERY_S)

    def _look(self) -> None:
        for name, pid in self._begun.items():
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                self.peaks[name] = max(self.peaks[name], sum(map(_size, (process, *process.children(recursive=True)))))

    def violations(self, limits: Mapping[str, int]) -> list[str]:
        """A line for each thing that must not be."""
        found = [
            f"{name} has ended with {self._stack.processes[name].poll()}"
            for name, pid in self._begun.items()
            if self._stack.processes[name].pid != pid or self._stack.processes[name].poll() is not None
        ]
        found += [f"{name} took {peak >> 20} MiB" for name, peak in self.peaks.items() if peak > limits[name.partition(".")[0]]]
        return found + [line for log in sorted(self._stack.folder.glob("*.log")) for line in self._errors(log)]

    def _errors(self, log: Path) -> list[str]:
        """Lines of level ERROR, and what was written past the log."""
        with log.open("rb") as lines:
            lines.seek(self._log_sizes.get(log, 0))
            wrong = [line for line in lines.read().decode(errors="replace").splitlines() if _is_wrong(line)]
        return [f"{log.stem} logged ({len(wrong)} such): {line[:2000]}" for line in wrong[:_MOST_LINES]]


def _size(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def _is_wrong(line: str) -> bool:
    try:
        return json.loads(line)["level"] in {"ERROR", "CRITICAL"}
    except (ValueError, TypeError, KeyError):
        return bool(line.strip()) and not _REMARK_OF_GRPC.match(line)
