"""Fixtures for every test, the tiers, and who runs what when several workers share the run.

The real servers are started once and only when a test asks for them. docs/testing.md says which tier to run when.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import settings
from xdist.remote import Producer

from tests.memory_folder import MemoryFolder, open_memory_folder
from tests.one_authority import trust_one_authority
from tests.scheduling import GroupScheduling

pytest_plugins = ["tests.reports", "tests.fixtures_postgres", "tests.fixtures_valkey", "tests.fixtures_broker"]

# Until all is collected nothing is garbage, and each look for it goes over more objects than the one before.
gc.disable()

# For a pytest that was not started by make, too: the Makefile says why.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A test that asks for one of these starts a process.
_SERVERS = {"_migrated_postgres", "valkey_server", "rabbitmq_server", "_amqp_base_url"}
_STARTS_A_PROCESS = frozenset({"subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.system"})

# An example that takes long on a busy machine is no failure.
settings.register_profile("full", deadline=None)
# For a look between two edits: `make test-fast` asks for it, `make test` tries more (tests/examples.py for tests that name a number).
settings.register_profile("fast", deadline=None, max_examples=25)
settings.load_profile("full")

# How a module says it of all its tests; where it is said in another way, the module is imported and its tests are deselected.
_ALL_START_PROCESSES = re.compile(r"^pytestmark = .*\bpytest\.mark\.(?:system|processes)\b", re.MULTILINE)
_FAST_TIER = "not processes"

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_may_start_processes = True
_FOLDER = pytest.StashKey[MemoryFolder]()


def pytest_configure(config: pytest.Config) -> None:
    """The process that the run begins in makes the folder for temporary files, which its workers inherit."""
    if hasattr(config, "workerinput"):
        return
    if config.option.basetemp is None and (folder := open_memory_folder()):
        config.stash[_FOLDER] = folder
    trust_one_authority()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """What has passed leaves no files."""
    if _FOLDER in session.config.stash:
        session.config.stash[_FOLDER].keep = exitstatus != pytest.ExitCode.OK


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The fast tier does not import modules, and folders of modules, of which it runs nothing: browsers, fuzzers, whole systems."""
    if config.option.markexpr != _FAST_TIER:
        return None
    modules = list(collection_path.rglob("test_*.py")) if collection_path.is_dir() else [collection_path]
    return True if modules and all(_ALL_START_PROCESSES.search(module.read_text()) for module in modules) else None


def pytest_itemcollected(item: pytest.Item) -> None:
    """Marks what starts processes."""
    if item.get_closest_marker("system") or _SERVERS & set(getattr(item, "fixturenames", ())):
        item.add_marker(pytest.mark.processes)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """An id that is made at collection names no test: pytest-xdist refuses to run when the workers see different names."""
    return argname if isinstance(val, str | UUID) and _UUID.search(str(val)) else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    """Used with `--dist=loadscope`, as the Makefile says."""
    return GroupScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that the workers end together."""
    items.sort(key=lambda item: 0 if item.get_closest_marker("system") else 1 if item.get_closest_marker("processes") else 2)


def pytest_collection_finish() -> None:
    """What has been imported and collected stays: no later collection of garbage looks at it."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Any:
    """A test of the fast tier that starts a process fails, in whichever tier it runs."""
    global _may_start_processes  # noqa: PLW0603  an audit hook can't be removed, so it looks at this
    _may_start_processes = item.get_closest_marker("processes") is not None
    try:
        return (yield)
    finally:
        _may_start_processes = True


def _audit(event: str, _arguments: tuple[Any, ...], starts: frozenset[str] = _STARTS_A_PROCESS) -> None:
    # as a default, for at its end Python clears the names of a module before it is done
    if event in starts and not _may_start_processes:
        raise RuntimeError("this test starts a process, which keeps it out of the fast tier: mark it with pytest.mark.processes")


sys.addaudithook(_audit)
