"""`make bench`: measures accepting and delivering, prints a table with the floors and ratios, and one JSON object as its last line."""

import argparse
import asyncio
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import asyncpg

from bench import bulk, floors, people, templates
from bench.meter import Meter, rss_mb
from bench.stack import Bench, open_bench
from bench.wrk import Load, wrk
from devstack.client import Client
from devstack.processes import API_KEY, SERVICES

# docs/performance.md says where these come from: the standard stack at its best on a 2-core machine
_STANDARD = {"accepts_per_s": 405.0, "accept_p99_ms": 185.0, "end_to_end_per_s": 119.0, "cpu_ms_per_notification": 15.0}
_SENT = 6
_OPEN = "status NOT IN (6, 7, 8, 9, 10)"


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


async def _count(connection: "asyncpg.Connection[Any]", condition: str = "true") -> int:
    return int(await connection.fetchval(f"SELECT count(*) FROM notifications WHERE {condition}"))


async def _accepts(bench: Bench, seconds: int) -> tuple[Load, Meter]:
    """Accepting with the e-mail worker stopped: the durable insert and the publish, no delivery."""
    bench.processes.stop("email_worker")
    await wrk(bench.folder, bench.processes.url, key=API_KEY, users=bench.users, seconds=3)
    with Meter(bench.pids()) as meter:
        load = await wrk(bench.folder, bench.processes.url, key=API_KEY, users=bench.users, seconds=seconds)
    bench.processes.spawn("email_worker")
    await bench.processes.wait_serving("email_worker")
    return load, meter


async def _drained(connection: "asyncpg.Connection[Any]", timeout_s: float = 300) -> None:
    async with asyncio.timeout(timeout_s):
        while await _count(connection, _OPEN):  # noqa: ASYNC110  another process settles them
            await asyncio.sleep(0.1)


async def _end_to_end(bench: Bench, connection: "asyncpg.Connection[Any]", count: int) -> tuple[float, Meter, int]:
    """From the first POST to the last SENT, all parts running."""
    before = await _count(connection)

    async def reached() -> bool:
        return await _count(connection) >= before + count

    with Meter(bench.pids()) as meter:
        begun = time.monotonic()
        await wrk(bench.folder, bench.processes.url, key=API_KEY, users=bench.users, seconds=120, limit=count, reached=reached)
        await _drained(connection)
        elapsed = time.monotonic() - begun
    done = await _count(connection) - before
    return done / elapsed, meter, done


async def _latency_ms(bench: Bench, connection: "asyncpg.Connection[Any]", count: int = 50) -> float:
    """Median time from accept to the provider's answer, one notification at a time."""
    begun = await connection.fetchval("SELECT now()")
    async with Client(bench.processes.url, API_KEY) as client:
        for _ in range(count):
            sent = await client.send(bench.users[0], "email", "order", {"name": "Ann", "order": "A1", "total": "12.50"})
            await client.settled(sent)
    return float(
        await connection.fetchval(
            "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM t.time - n.create_time)) * 1000"
            " FROM notifications n JOIN timeline t ON t.notification_id = n.id AND t.status = $2 WHERE n.create_time >= $1",
            begun,
            _SENT,
        )
    )


async def _floors(bench: Bench, seconds: int) -> dict[str, float]:
    return {
        "asgi_requests_per_s": await floors.asgi(bench.folder, seconds=seconds),
        "postgresql_rows_per_s": await floors.inserts(bench.postgres.url(), seconds=seconds),
        "rabbitmq_publishes_per_s": await floors.publishes(bench.rabbitmq.url, seconds=seconds),
        "smtp_mails_per_s": await floors.mails(bench.smtp_port, count=5000),
    }


async def _measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    _say(f"starting PostgreSQL, Valkey, RabbitMQ, smtp-sink and the services with {arguments.gateways} gateways ...")
    async with open_bench(folder, users=arguments.users, gateways=arguments.gateways) as bench:
        await asyncio.sleep(2)
        idle = {name: round(rss_mb(pid), 1) for name, pid in bench.pids().items()}
        connection = await asyncpg.connect(bench.postgres.url("clarion_gateway"))
        try:
            _say(f"accepting for {arguments.seconds} s with the e-mail worker stopped ...")
            load, accept_meter = await _accepts(bench, arguments.seconds)
            _say(f"  {load.per_s:.0f}/s, p50 {load.p50_ms} ms, p99 {load.p99_ms} ms, {load.bad} bad; draining ...")
            await _drained(connection)
            _say(f"delivering {arguments.count} from end to end ...")
            rates = [await _end_to_end(bench, connection, arguments.count) for _ in range(arguments.repetitions)]
            per_s, meter, done = sorted(rates, key=lambda rate: rate[0])[len(rates) // 2]
            _say(f"  {per_s:.0f}/s; latency at low load ...")
            latency_ms = await _latency_ms(bench, connection)
            _say("bulk ...")
            streamed = await bulk.measure(bench, count=arguments.bulk)
            await _drained(connection)
            _say("floors ...")
            below = await _floors(bench, min(arguments.seconds, 5))
            _say("people ...")
            decided = await people.measure(bench.postgres)
            _say("templates ...")
            rendered = await templates.measure()
            busy = {name: round(rss_mb(pid), 1) for name, pid in bench.pids().items()}
        finally:
            await connection.close()
    return {
        "accepts_per_s": load.per_s,
        "accept_p50_ms": load.p50_ms,
        "accept_p99_ms": load.p99_ms,
        "accept_bad": load.bad,
        "accept_cpu_ms": {name: round(used / load.requests * 1000, 3) for name, used in accept_meter.cpu_s.items()},
        "end_to_end_per_s": round(per_s, 1),
        "end_to_end_runs_per_s": [round(rate[0], 1) for rate in rates],
        "cpu_ms_per_notification": round(sum(meter.cpu_s.values()) / done * 1000, 3),
        "cpu_ms_by_process": {name: round(used / done * 1000, 3) for name, used in meter.cpu_s.items()},
        "other_cores": {"accept": accept_meter.other_cores, "end_to_end": meter.other_cores},
        "latency_p50_ms": round(latency_ms, 2),
        "gateways": arguments.gateways,
        "rss_mb": round(sum(idle[name] for name in SERVICES), 1),
        "rss_mb_by_process": idle,
        "rss_mb_after_load": busy,
        "floors": below,
        "people": decided,
        "bulk": streamed,
        "templates": rendered,
        "accept": asdict(load),
        "machine": {"python": platform.python_version(), "cores": _cores()},
    }


def _cores() -> int:
    import psutil

    return int(psutil.cpu_count() or 0)


def _peer(folder: Path, python: str, seconds: int, count: int) -> dict[str, Any]:
    """Runs the standard stack's own benchmark on the same machine right after ours, with its best settings."""
    _say("measuring the standard stack ...")
    command = [python, "run.py", "--api-workers", "2", "--reps", "1", "--pool-size", "32", "--secs", str(seconds), "--n", str(count)]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True, text=True)
    config = json.loads(done.stdout.splitlines()[-1])["configs"]["uvicorn_2"]
    return {
        "accepts_per_s": config["accept_worker_off"]["rps"]["median"],
        "accept_p99_ms": config["accept_worker_off"]["p99_ms"]["median"],
        "end_to_end_per_s": config["end_to_end"]["per_s"]["median"],
        "cpu_ms_per_notification": config["end_to_end"]["cpu_ms_per_notification"]["median"],
    }


def _table(result: dict[str, Any]) -> str:
    other = result["standard"]
    floor = result["floors"]
    lines = [f"{'':<28}{'Clarion':>12}{'standard':>12}{'ratio':>8}"]
    lines += [
        f"{name:<28}{result[name]:>12}{other[name]:>12}{result[name] / other[name]:>8.2f}"
        for name in ("accepts_per_s", "accept_p99_ms", "end_to_end_per_s", "cpu_ms_per_notification")
    ]
    lines.append(f"{'latency_p50_ms':<28}{result['latency_p50_ms']:>12}")
    lines.append(f"{'rss_mb (idle, all)':<28}{result['rss_mb']:>12}")
    lines.append("")
    lines.append(f"{'floor':<28}{'floor':>12}{'Clarion':>12}{'ratio':>8}")
    pairs = {
        "asgi_requests_per_s": "accepts_per_s",
        "postgresql_rows_per_s": "accepts_per_s",
        "rabbitmq_publishes_per_s": "end_to_end_per_s",
        "smtp_mails_per_s": "end_to_end_per_s",
    }
    lines += [f"{name:<28}{floor[name]:>12}{result[own]:>12}{result[own] / floor[name]:>8.2f}" for name, own in pairs.items()]
    streamed = result["bulk"]
    lines += ["", *(f"{f'bulk: {name}':<28}{streamed[name]:>12}" for name in ("batch_per_s", "bulk_per_s"))]
    lines += [f"{f'bulk: {name} grew by (MB)':<28}{grown:>12}" for name, grown in streamed["bulk_grown_mb"].items()]
    lines += ["", *(f"{f'people: {name}':<28}{value:>12}" for name, value in result["people"].items())]
    lines += ["", *(f"{f'templates: {name}':<28}{value:>12}" for name, value in result["templates"].items())]
    return "\n".join(lines)


def main() -> int:
    """Runs the benchmark. Returns the exit code: 1 when a request was refused, since the figures then mean nothing."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--seconds", type=int, default=15, help="how long to accept (default: 15)")
    parser.add_argument("--count", type=int, default=5000, help="notifications from end to end (default: 5000)")
    parser.add_argument("--repetitions", type=int, default=3, help="runs from end to end, of which the median counts (default: 3)")
    parser.add_argument("--users", type=int, default=1000, help="recipients (default: 1000)")
    parser.add_argument("--bulk", type=int, default=5000, help="items of a bulk stream, and of as many batch calls (default: 5000)")
    parser.add_argument("--gateways", type=int, default=1, help="gateways that share the REST port (default: 1)")
    parser.add_argument("--peer", type=Path, help="folder of a standard stack whose run.py is measured after ours")
    parser.add_argument("--peer-python", default=sys.executable, help="the Python that has the standard stack's packages")
    parser.add_argument("--output", type=Path, default=Path("bench.json"), help="where the JSON goes too (default: bench.json)")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="clarion-bench-"))
    folder.chmod(0o755)
    try:
        result = asyncio.run(_measure(arguments, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    same_run = arguments.peer is not None
    result["standard"] = _peer(arguments.peer, arguments.peer_python, arguments.seconds, 2000) if same_run else _STANDARD
    result["standard_measured_in_this_run"] = same_run
    _say("\n" + _table(result) + "\n")
    line = json.dumps(result)
    arguments.output.write_text(line + "\n")
    sys.stdout.write(line + "\n")
    return 1 if result["accept_bad"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
