"""One bulk stream beside batch calls, interleaved: the rate of each, and what client and processes grew by while it ran."""

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from bench.meter import Meter, rss_mb
from bench.stack import Bench, open_bench
from clarion_client import Clarion
from devstack.processes import API_KEY

_BATCH = 1000
_ROUNDS = 3
_AT_ONCE = 2  # batch calls, so that the gateway is not idle while the client writes and reads


async def measure(bench: Bench, *, count: int, bulk_only: bool = False) -> dict[str, Any]:
    """Accepting through each door in turn, with the e-mail worker stopped. `count` items in each round."""
    bench.processes.stop("email_worker")
    rates: dict[str, list[float]] = {"batch": [], "bulk": []}
    grown: dict[str, float] = {}
    cpu: dict[str, float] = {}
    await _client(bench, "bulk", 2000)
    for _ in range(_ROUNDS):
        for kind in ("bulk",) if bulk_only else rates:
            before = {name: rss_mb(process.pid) for name, process in bench.processes.processes.items()}
            with Meter(bench.pids()) as meter:
                done = await _client(bench, kind, count)
            rates[kind].append(done["per_s"])
            if kind == "bulk":
                grown = {name: round(rss_mb(bench.pids()[name]) - before[name], 1) for name in before} | {"client": done["grown_mb"]}
                cpu = {name: round(used / count * 1000, 3) for name, used in meter.cpu_s.items()}
        if bulk_only:
            break
    bench.processes.spawn("email_worker")
    await bench.processes.wait_serving("email_worker")
    middle = {f"{kind}_per_s": round(sorted(runs)[len(runs) // 2], 1) for kind, runs in rates.items() if runs}
    return {**middle, "runs_per_s": rates, "items": count, "bulk_grown_mb": grown, "bulk_cpu_ms": cpu}


async def _client(bench: Bench, kind: str, count: int) -> dict[str, Any]:
    users = bench.folder / "users.json"
    users.write_text(json.dumps(bench.users))
    url = f"grpc://127.0.0.1:{bench.processes.grpc_ports['gateway']}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.bulk", "--client", kind, "--url", url, "--users", str(users), "--count", str(count),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the {kind} client failed")
    done: dict[str, Any] = json.loads(output.splitlines()[-1])
    return done


def _items(users: list[str], count: int) -> Iterator[dict[str, Any]]:
    for number, user in enumerate(itertools.islice(itertools.cycle(users), count)):
        variables = {"name": f"Ann {number}", "order": f"A{number}", "total": "12.50"}
        yield {"user_id": user, "channel": "email", "template": "order", "variables": variables}


def _run_client(kind: str, url: str, users: list[str], count: int) -> dict[str, Any]:
    own = psutil.Process()
    with Clarion(url, API_KEY, timeout_s=120) as clarion:
        items, accepted = _items(users, count), 0
        before = peak = own.memory_info().rss
        begun = time.monotonic()
        if kind == "batch":
            batches = iter(lambda: list(itertools.islice(items, _BATCH)), [])
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                while some := list(itertools.islice(batches, _AT_ONCE)):
                    calls = [pool.submit(clarion.notifications.batch_send, requests=batch) for batch in some]
                    accepted += sum(call.result().accepted_count for call in calls)
        else:
            for answered, result in enumerate(clarion.notifications.bulk_send(items), 1):
                accepted += result.accepted is not None
                if answered == _BATCH:  # the connection and the classes are there
                    before = own.memory_info().rss
                if answered % _BATCH == 0:
                    peak = max(peak, own.memory_info().rss)
        elapsed_s = time.monotonic() - begun
    if accepted != count:
        raise RuntimeError(f"{accepted} of {count} accepted")
    return {"per_s": round(count / elapsed_s, 1), "grown_mb": round((peak - before) / 2**20, 1)}


async def _alone(count: int, *, bulk_only: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="clarion-bulk-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        async with open_bench(folder, users=1000) as bench:
            return await measure(bench, count=count, bulk_only=bulk_only)


def main() -> None:
    """Measures it alone: `python -m bench.bulk --count 1000000 --bulk-only` is the long form."""
    parser = argparse.ArgumentParser(prog="python -m bench.bulk", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="items of one stream (default: 20000)")
    parser.add_argument("--bulk-only", action="store_true", help="one stream, no batch calls")
    parser.add_argument("--client", choices=("batch", "bulk"), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--users", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.client:
        done = _run_client(given.client, given.url, json.loads(given.users.read_text()), given.count)
    else:
        done = asyncio.run(_alone(given.count, bulk_only=given.bulk_only))
    sys.stdout.write(json.dumps(done) + "\n")


if __name__ == "__main__":
    main()
