"""The life of a process: settings, telemetry, open, serve, drain on SIGTERM, close in reverse order of opening."""

import argparse
import asyncio
import ctypes
import gc
import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import uvloop

from mesh.process import logs, telemetry, vitals
from mesh.process.health import HealthMonitor
from mesh.process.machine_door import MachineDoor, open_machine_door
from mesh.process.settings import CommonSettings, Env, SettingsError

log = logging.getLogger(__name__)

EXIT_FAILED = 1
EXIT_SETTINGS = 2
_MOST_FILES = 65_536
_FILES_OF_OUR_OWN = 256  # stores, other services, render processes, logs
_M_MMAP_THRESHOLD = -3  # malloc.h
_MARGIN_S = 5.0  # beyond the time that a stop may take, for what is cancelled to end


class ProcessSettings(Protocol):
    """What `run` needs to know of a service's settings."""

    @property
    def common(self) -> CommonSettings:
        """What every process reads."""


S = TypeVar("S", bound=ProcessSettings)


@dataclass(frozen=True, slots=True)
class App:
    """A process that is open and serving. `ports` by what listens there ("grpc", "http"); `fatal` is set when it can't go on.

    `connections` is how many clients it lets in at once.
    """

    name: str
    health: HealthMonitor
    ports: Mapping[str, int]
    connections: int
    fatal: asyncio.Event = field(default_factory=asyncio.Event)


class CannotStart(Exception):
    """What an operator can mend: the message says in one line what is wrong and what to do."""


class PortTaken(CannotStart):
    """Another process listens on the port, or the system does not allow it. `variable` moves it."""

    def __init__(self, port: int, variable: str) -> None:
        super().__init__(f"cannot listen on port {port}: it is taken or not allowed; {variable} names another one")
        self.port = port
        self.variable = variable


OpenApp = Callable[[S], AbstractAsyncContextManager[App]]


def run(name: str, from_env: Callable[[Env], S], open_app: OpenApp[S], *, migrate: Callable[[S], None] | None = None) -> int:
    """The body of every `__main__`: serves until SIGTERM or SIGINT, or runs `migrate`. Returns the exit code; 2 for bad settings."""
    arguments = _parse(name, from_env, commands=["serve"] if migrate is None else ["serve", "migrate"])
    env = Env(os.environ)
    settings = from_env(env)
    try:
        env.check()
    except SettingsError as error:
        for problem in error.problems:
            sys.stderr.write(f"{name}: {problem}\n")
        return EXIT_SETTINGS
    logs.set_up(name, level=settings.common.log_level, form=settings.common.log_format)
    for line in env.unread():
        log.warning("setting %s", line)
    _return_large_blocks()
    try:
        if arguments.command == "migrate" and migrate is not None:
            migrate(settings)
            log.info("database is up to date")
            return 0
        return uvloop.run(_serve(name, settings, open_app))
    except SettingsError as error:
        # a file that a variable names can turn out wrong only when it is opened
        for problem in error.problems:
            sys.stderr.write(f"{name}: {problem}\n")
        return EXIT_SETTINGS
    except CannotStart as error:
        log.error("%s", error)  # noqa: TRY400  the message says it all
        return 1


def _return_large_blocks() -> None:
    """Keeps glibc returning freed blocks of 128 KiB and more to the kernel (mallopt(3), M_MMAP_THRESHOLD).

    It raises that size by itself after the first such block. Then what clients send in large pieces lies in the heap between small
    things that stay, and a process keeps twice what it was ever allowed to hold. Other C libraries have no such knob, and no need of it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 128 * 1024)


def _parse(name: str, from_env: Callable[[Env], S], *, commands: Sequence[str]) -> argparse.Namespace:
    env = Env({})
    from_env(env)
    width = max(len(variable) for variable in env.names)
    lines = [f"  {variable:<{width}}  {default}" for variable, default in sorted(env.names.items())]
    parser = argparse.ArgumentParser(
        prog=f"python -m {name}",
        description=f"Runs {name}. It is configured by environment variables only.",
        epilog="environment variables and their defaults:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", default="serve", choices=commands, help="what to do (default: serve)")
    return parser.parse_args()


async def _serve(name: str, settings: S, open_app: OpenApp[S]) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    _allow_many_files()
    exporting = telemetry.set_up(name, settings.common)
    failed = False
    out_of_time = threading.Timer(settings.common.grace_s + _MARGIN_S, _end_now)
    out_of_time.daemon = True
    try:
        with ExitStack() as stack:
            machine_door = _open_machine_door(stack, settings.common)
            async with open_app(settings) as app:
                machine_door.health = app.health
                stack.enter_context(vitals.observed())
                _settle_garbage_collection()
                _warn_of_few_files(app)
                log.info("started", extra={"ports": dict(app.ports), "metrics_port": machine_door.port})
                failed = await _until(stop, app.fatal)
                await app.health.drain()
                # endpoints need time to notice that this replica is going, before it refuses connections
                await asyncio.sleep(settings.common.drain_s)
                log.info("stopping")
                # a thread's, since what does not stop may be the event loop
                out_of_time.start()
    finally:
        await exporting.close()
        out_of_time.cancel()
    log.info("stopped")
    return 1 if failed else 0


def _open_machine_door(stack: ExitStack, common: CommonSettings) -> MachineDoor:
    try:
        return stack.enter_context(open_machine_door(common.metrics_host, common.metrics_port))
    except OSError as error:
        raise PortTaken(common.metrics_port, "CLARION_METRICS_PORT") from error


def _allow_many_files() -> None:
    """Raises the soft limit of open files to the hard one: the usual 1,024 are for programs that use select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _warn_of_few_files(app: App) -> None:
    allowed, needed = resource.getrlimit(resource.RLIMIT_NOFILE)[0], app.connections + _FILES_OF_OUR_OWN
    if allowed < needed:
        log.warning(
            "this process may open too few files for the connections that its settings allow: raise `ulimit -Hn`, or lower them",
            extra={"open_files": allowed, "needed": needed},
        )


def _end_now() -> None:
    """Ends a process whose stop takes longer than it may: what is not done is left to the same means as after a crash."""
    log.error("stopping took longer than it may: this process ends now")
    logging.shutdown()
    os._exit(EXIT_FAILED)


@asynccontextmanager
async def together(*doors: AbstractAsyncContextManager[int]) -> AsyncIterator[tuple[int, ...]]:
    """Opens the doors one after the other, yields their ports, and closes all at the same time: each takes as long as its slowest call."""
    async with AsyncExitStack() as opened:
        ports = [await opened.enter_async_context(door) for door in doors]
        try:
            yield tuple(ports)
        finally:
            opened.pop_all()
            results = await asyncio.gather(*(door.__aexit__(None, None, None) for door in doors), return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result


def _settle_garbage_collection() -> None:
    """What was made at start-up stays, so the collector need not look at it again; and calls leave few cycles: it may look less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def _until(stop: asyncio.Event, fatal: asyncio.Event) -> bool:
    """Waits for either; True when it was the fatal one."""
    waiting = {asyncio.create_task(stop.wait()), asyncio.create_task(fatal.wait())}
    _, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    return fatal.is_set()
