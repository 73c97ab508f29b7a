"""Where a run keeps its temporary files: in memory, if there is plenty. A database writes much that no one reads again.

Files of a database that is made and dropped cost 270 ms of processor time on a disk with a journal and 70 ms in memory.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import TextIO

import psutil

_MEMORY = Path("/dev/shm")
# What a whole run needs at once is a third of that.
_ROOM = 6 << 30
_PREFIX = "clarion-tests-"


class MemoryFolder:
    """A folder that this process and those that it starts use for temporary files. A run that failed leaves it to be looked at."""

    def __init__(self) -> None:
        self._path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_MEMORY))
        # servers that run as another user look for their files below it
        self._path.chmod(0o1777)
        self._lock: TextIO = (self._path / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        self.keep = True
        os.environ["TMPDIR"] = tempfile.tempdir = str(self._path)
        # pytest looks at its own folders when the process ends: what is registered first is called last
        atexit.register(self._close)

    def _close(self) -> None:
        if not self.keep:
            shutil.rmtree(self._path, ignore_errors=True)
        self._lock.close()


def open_memory_folder() -> MemoryFolder | None:
    """A new one, where the caller has not named a folder and there is enough memory. Removes what earlier runs left."""
    if "TMPDIR" in os.environ or not _MEMORY.is_dir():
        return None
    for left in _MEMORY.glob(f"{_PREFIX}*"):
        _remove_unused(left)
    room = min(shutil.disk_usage(_MEMORY).free, psutil.virtual_memory().available)
    # some tests run what they have written
    can_run = not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC
    return MemoryFolder() if room > _ROOM and can_run else None


def _remove_unused(folder: Path) -> None:
    try:
        with (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except (BlockingIOError, FileNotFoundError, PermissionError):
        # of a run that goes on, that begins, or of another user
        return
