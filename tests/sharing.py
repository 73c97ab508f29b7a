"""One server for all pytest-xdist workers of a run: the first that needs it starts it, and stops it when the last is done."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

import pytest


def run_folder(factory: pytest.TempPathFactory, worker: str) -> Path:
    """The folder that all workers of this run see; `worker` is "master" in a run without workers."""
    own = factory.getbasetemp()
    return own if worker == "master" else own.parent


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time is in the block. Blocks the thread; the kernel releases the lock of a process that dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def shared(folder: Path, name: str, open_server: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """The address of the server of that name, which `open_server` starts where no other worker has.

    Leaving the block, the worker that started it waits until no other is in its own block.
    """
    door, address = folder / f"{name}.door", folder / f"{name}.address"
    with ExitStack() as stack, (folder / f"{name}.users").open("w") as users:
        with locked(door):
            started_here = not address.exists()
            if started_here:
                address.write_text(stack.enter_context(open_server()))
            text = address.read_text()
            fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield text
        finally:
            fcntl.flock(users, fcntl.LOCK_UN)
            if started_here:
                _close_when_unused(door, address, users)


def _close_when_unused(door: Path, address: Path, users: TextIO) -> None:
    while True:
        # Behind the door nobody begins to use it; without waiting there, or those who want in would wait for those who are.
        with locked(door):
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            else:
                address.unlink()
                return
        fcntl.flock(users, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_UN)
