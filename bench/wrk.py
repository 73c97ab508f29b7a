"""wrk as the load: a fixed number of connections, each request with its own idempotency key, as the standard stack is measured."""

import asyncio
import json
import os
import re
import shutil
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = """
local n, limit, run, users = 0, {limit}, "{run}", {{{users}}}
local head = {{["Authorization"]="Bearer {key}", ["Content-Type"]="application/json"}}
function request()
  n = n + 1
  head["Idempotency-Key"] = run .. n
  return wrk.format("POST", "{path}", head, string.format(
    '{{"user_id":"%s","channel":"email","template":"order","variables":{{"name":"Ann %d","order":"A%d","total":"12.50"}}}}',
    users[(n - 1) % #users + 1], n, n))
end
{stop}
function done(summary, latency, requests)
  io.write(string.format('JSON {{"p50_ms":%.2f,"p99_ms":%.2f,"requests":%d,"us":%d,"refused":%d,"errors":%d}}\\n',
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, summary.requests, summary.duration, summary.errors.status,
    summary.errors.timeout + summary.errors.connect + summary.errors.read + summary.errors.write))
end
"""
_STOP = "local seen = 0; function response() seen = seen + 1; if seen >= limit then wrk.thread:stop() end end"


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw. `bad` counts refusals and errors of the connection."""

    requests: int
    per_s: float
    p50_ms: float
    p99_ms: float
    bad: int


async def wrk(
    folder: Path,
    url: str,
    *,
    key: str,
    users: list[str],
    path: str = "/v1/notifications",
    seconds: int,
    limit: int = 0,
    connections: int = 32,
    reached: Callable[[], Awaitable[bool]] | None = None,
) -> Load:
    """Loads `url` for `seconds`, or until `limit` answers came. `reached` ends when the store holds them all, since wrk then sleeps on."""
    program = shutil.which("wrk")
    if program is None:
        raise FileNotFoundError("wrk is not installed: run `make setup-bench`")
    script = folder / "load.lua"
    users_lua = ",".join(f'"{user}"' for user in users)
    script.write_text(
        _SCRIPT.format(limit=limit, run=os.urandom(6).hex() + "-", users=users_lua, key=key, path=path, stop=_STOP if limit else "")
    )
    process = await asyncio.create_subprocess_exec(
        program, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "-s", str(script), url, stdout=asyncio.subprocess.PIPE
    )
    if limit and reached is not None:
        await _stop_when(process, reached)
    output, _ = await process.communicate()
    found = re.search(r"JSON (\{.*\})", output.decode())
    if found is None:
        raise RuntimeError(f"wrk printed no figures:\n{output.decode()[-2000:]}")
    seen = json.loads(found.group(1))
    per_s = round(seen["requests"] / (seen["us"] / 1e6), 1)
    return Load(seen["requests"], per_s, seen["p50_ms"], seen["p99_ms"], seen["refused"] + seen["errors"])


async def _stop_when(process: asyncio.subprocess.Process, reached: Callable[[], Awaitable[bool]]) -> None:
    while process.returncode is None:
        if await reached():
            process.send_signal(signal.SIGINT)
            return
        await asyncio.sleep(0.1)
