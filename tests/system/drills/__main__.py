"""`make drill`: takes every part away under load, one at a time, and accounts for every notification afterwards.

Prints a table; the last line is one JSON object. Exits with 1 when anything is lost, doubled beyond what its fault allows or settled
too late, or when the ledger equation does not hold.
"""

import argparse
import asyncio
import json
import secrets
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from devstack.processes import Start
from tests.prepared import start_service
from tests.system.drills.catalogue import ALL, SHORT, chosen
from tests.system.drills.drill import Drill, Plan
from tests.system.drills.fault import Fault
from tests.system.drills.feed import watched
from tests.system.drills.fuzz.run import fuzz
from tests.system.drills.poison import poisoned
from tests.system.drills.rates import LEAST_PART, compare_rates
from tests.system.drills.report import Line, lines_of, markdown, summary, table
from tests.system.drills.rig import Rig, can_have_small_disk, open_rig
from tests.system.drills.roll import Rolled, rolled
from tests.system.drills.soak import Soaked, soaked

SHORT_PLAN = Plan(rounds=2, count=60, seed=0, overlap=True, one_rig=True, calm_s=0.5, pace=0.5)
LONG_PLAN = Plan(rounds=20, count=200, seed=0)
T = TypeVar("T")
_STARTING = "starting PostgreSQL, Valkey, RabbitMQ, SMTP, FCM and two of each of the five processes ...\n"


def main() -> int:
    """Returns the exit code."""
    arguments = _parse()
    if arguments.list:
        sys.stdout.write("\n".join(fault.name for fault in ALL) + "\n")
        return 0
    if arguments.fuzz:
        return asyncio.run(
            _fuzzed(secrets.randbelow(2**32) if arguments.seed is None else arguments.seed, arguments.seconds or 600.0, keep=arguments.keep)
        )
    if arguments.rates:
        return _rates(keep=arguments.keep)
    if arguments.feed:
        count = arguments.count or (200 if arguments.short else 1500)
        return _feed(count, kills=arguments.kills or (4 if arguments.short else 12), keep=arguments.keep)
    if arguments.soak:
        return _soak(arguments.seconds or (60.0 if arguments.short else 1800.0), rate=arguments.rate or 100.0, keep=arguments.keep)
    if arguments.roll:
        return _roll(arguments.rounds or (1 if arguments.short else 10), rate=arguments.rate or 200.0, keep=arguments.keep)
    if arguments.poison:
        return _poison(arguments.count or (60 if arguments.short else 300), keep=arguments.keep)
    form = SHORT_PLAN if arguments.short else LONG_PLAN
    try:
        faults = chosen(SHORT if arguments.short else ALL, arguments.fault)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    plan = replace(
        form,
        rounds=arguments.rounds or form.rounds,
        count=arguments.count or form.count,
        seed=secrets.randbelow(2**32) if arguments.seed is None else arguments.seed,
        overlap=form.overlap or arguments.overlap,
    )
    sys.stderr.write(f"seed {plan.seed}\n")
    lines = asyncio.run(drilled(faults, plan, keep=arguments.keep))
    if arguments.markdown:
        arguments.markdown.write_text(markdown(lines))
    result = summary(lines)
    sys.stdout.write(f"{table(lines)}\n{json.dumps(result)}\n")
    return 1 if result["lost"] or result["violations"] or result["late"] else 0


def _rates(*, keep: bool) -> int:
    """The exit code: 1 when a sick worker costs the channel more than a tenth of its rate."""
    with _folder(keep=keep) as folder:
        rates = asyncio.run(compare_rates(folder))
    sys.stdout.write(json.dumps(rates) + "\n")
    return 0 if rates["part"] >= LEAST_PART else 1


async def _fuzzed(seed: int, seconds: float, *, keep: bool) -> int:
    """The exit code: 1 when anything was found."""
    with _folder(keep=keep) as folder:
        sys.stderr.write(f"seed {seed}\n{_STARTING}")
        async with open_rig(folder) as rig:
            outcome = await fuzz(rig.processes, seed=seed, seconds=seconds)
    sys.stdout.write(outcome.report() + "\n")
    return 1 if outcome.violations else 0


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    """A temporary folder that PostgreSQL's own user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="clarion-drill-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        if keep:
            sys.stderr.write(f"logs in {folder}\n")
        else:
            shutil.rmtree(folder, ignore_errors=True)


async def drilled(faults: Sequence[Fault], plan: Plan, *, keep: bool = False, start: Start | None = None) -> list[Line]:
    """A line per fault. Those behind proxies are drilled on a rig of their own, so that the others meet the parts themselves."""
    with _folder(keep=keep) as folder:
        disk = can_have_small_disk(folder)
        possible = [fault for fault in faults if fault.is_possible() and (disk or not fault.small_disk)]
        missing = [Line(fault.name, rounds=0) for fault in faults if fault not in possible]
        direct = [fault for fault in possible if not fault.links]
        linked = [fault for fault in possible if fault.links]
        groups = [possible] if plan.one_rig else [direct, linked]
        lines = [line for number, group in enumerate(groups) if group for line in await _drilled(folder / str(number), group, plan, start)]
        return lines + missing


async def _drilled(folder: Path, faults: Sequence[Fault], plan: Plan, start: Start | None) -> list[Line]:
    folder.mkdir()
    sys.stderr.write(_STARTING)
    links = list(dict.fromkeys(link for fault in faults for link in fault.links))
    small_disk = any(fault.small_disk for fault in faults)
    async with open_rig(folder, links=links, small_disk=small_disk, start=start) as rig:
        drill = Drill(rig, plan)
        await drill.run(faults)
        await drill.finish()
        lines = lines_of(drill)
        if summary(lines)["violations"] or summary(lines)["lost"]:
            sys.stderr.write(drill.tails() + "\n")
        return lines


async def _on_a_rig(folder: Path, drill: Callable[[Rig], Awaitable[T]]) -> T:
    async with open_rig(folder) as rig:
        return await drill(rig)


def _poison(count: int, *, keep: bool) -> int:
    with _folder(keep=keep) as folder:
        sys.stderr.write(_STARTING)
        result = asyncio.run(_on_a_rig(folder, partial(poisoned, count=count)))
    sys.stdout.write(f"{result.lines()}\n")
    return 0 if result.passed else 1


def _soak(seconds: float, *, rate: float, keep: bool) -> int:
    """The exit code: 1 when a process holds more than at its beginning, its loop is late, or the books do not balance."""
    with _folder(keep=keep) as folder:
        sys.stderr.write(_STARTING)
        result = asyncio.run(_on_a_rig(folder, partial(soaked, seconds=seconds, rate=rate)))
    return _print(result)


def _roll(rounds: int, *, rate: float, keep: bool) -> int:
    """The exit code: 1 when a request failed that must not, or the books do not balance."""
    with _folder(keep=keep) as folder:
        sys.stderr.write(_STARTING)
        result = asyncio.run(rolled(folder, rounds=rounds, rate=rate, start=start_service))
    return _print(result)


def _print(result: Soaked | Rolled) -> int:
    """Prints it; the exit code."""
    problems = result.problems()
    sys.stdout.write("\n".join((result.table(), *problems, json.dumps(result.summary()))) + "\n")
    return 1 if problems else 0


def _feed(count: int, *, kills: int, keep: bool) -> int:
    """The exit code: 1 when a reader has not seen every change, in order, once."""
    with _folder(keep=keep) as folder:
        sys.stderr.write(_STARTING)
        result = asyncio.run(_on_a_rig(folder, partial(watched, count=count, kills=kills)))
    sys.stdout.write(json.dumps(asdict(result)) + "\n")
    return 0 if result.passed else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.system.drills", description=__doc__)
    parser.add_argument(
        "--short", action="store_true", help="2 rounds of the main faults, one beginning while another is settled: 2 minutes"
    )
    parser.add_argument("--fuzz", action="store_true", help="random deep, large and odd requests and templates instead of faults")
    parser.add_argument("--soak", action="store_true", help="a steady load, after which no process may hold more, instead of faults")
    parser.add_argument("--roll", action="store_true", help="rolling restarts and lost replicas; counts failed requests")
    parser.add_argument("--rate", type=float, help="notifications per second while soaking (default: 100), requests while rolling (200)")
    parser.add_argument("--seconds", type=float, help="how long to fuzz (default: 600) or to soak (1800, short 60)")
    parser.add_argument("--poison", action="store_true", help="one caller's hostile input among nine others' mail, instead of faults")
    parser.add_argument("--feed", action="store_true", help="four readers of the feed while gateways are killed, instead of faults")
    parser.add_argument("--kills", type=int, help="how many gateways to kill while the feed is read (default: 12, short 4)")
    parser.add_argument("--rounds", type=int, help="rounds of each fault (default: 20, short 2), or rolling restarts (10, short 1)")
    parser.add_argument("--overlap", action="store_true", help="begin a round while the one before is still being settled: faster, harsher")
    parser.add_argument("--fault", action="append", default=[], help="only the faults of this name, * stands for anything; may be repeated")
    parser.add_argument("--count", type=int, help="notifications of a round (default: 200, short 60), or of the feed (1500, short 200)")
    parser.add_argument("--seed", type=int, help="makes the random moments, or values, repeatable (default: printed)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="where the table goes too, as Markdown")
    parser.add_argument("--keep", action="store_true", help="leave the folder with the logs behind, and say where it is")
    parser.add_argument("--rates", action="store_true", help="only compare the mails/s of one healthy and one sick worker with one alone")
    parser.add_argument("--list", action="store_true", help="name all faults and exit")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
