"""The console before a lot: 100,000 notifications stored, 200 changes a second into the live feed, for five minutes.

`python -m bench.console` is run alone; its last line is JSON. `longest_frame_ms` is the longest time without a picture, `heap_mb` what
the page's script holds after the collector has run: it must not grow with the changes that went by.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg
from playwright.async_api import CDPSession, Page, async_playwright

from bench.stack import Bench, open_bench
from devstack.browser import find_browser
from devstack.client import Client
from devstack.processes import API_KEY

_CHANGES = 3  # of a notification that is sent at the first attempt
_SAMPLE_S = 15.0
# older than everything that is sent here, as their ids say
_FILL = """
    INSERT INTO notifications (
        id, user_id, channel, template, template_version, locale, priority, category, status, create_time, update_time, dispatch_at, caller,
        correlation_id
    )
    SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, gen_random_uuid(), 1, 'order', 1, 'en', 1, '', 6, now(), now(),
        now(), '', ''
    FROM generate_series(1, $1::int) AS n
"""
_WATCH = """() => {
    window.frames_ = { count: 0, longest: 0, last: performance.now() };
    const turn = (now) => {
        const frames = window.frames_;
        frames.count += 1;
        frames.longest = Math.max(frames.longest, now - frames.last);
        frames.last = now;
        requestAnimationFrame(turn);
    };
    requestAnimationFrame(turn);
}"""
_FRAMES = """() => {
    const { count, longest } = window.frames_;
    Object.assign(window.frames_, { count: 0, longest: 0 });
    return { count, longest };
}"""
_PAINT = """() => ({
    first_paint_ms: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? -1,
    bytes: performance.getEntriesByType("resource").reduce((sum, one) => sum + one.encodedBodySize, 0),
})"""


async def _open(page: Page, path: str) -> dict[str, float]:
    await page.goto(path)
    await page.locator("tbody tr, .beacon.live").first.wait_for()
    return {name: round(value, 1) for name, value in (await page.evaluate(_PAINT)).items()}


async def _sample(page: Page, cdp: CDPSession, seconds: float) -> dict[str, float]:
    await page.evaluate(_FRAMES)
    await asyncio.sleep(seconds)
    frames = await page.evaluate(_FRAMES)
    await cdp.send("HeapProfiler.collectGarbage")
    metrics = {one["name"]: one["value"] for one in (await cdp.send("Performance.getMetrics"))["metrics"]}
    return {
        "frames_per_s": round(frames["count"] / seconds, 1),
        "longest_frame_ms": round(frames["longest"], 1),
        "heap_mb": round(metrics["JSHeapUsedSize"] / 1e6, 2),
        "nodes": metrics["Nodes"],
        "rows": await page.locator("tbody tr").count(),
    }


async def _send(bench: Bench, client: Client, *, rate: float, until: float) -> int:
    """At a steady rate of notifications; returns how many were accepted."""
    begun, sent = time.monotonic(), 0
    async with asyncio.TaskGroup() as sending:
        while time.monotonic() < until:
            await asyncio.sleep(begun + sent / rate - time.monotonic())
            variables = {"name": "Ann", "order": f"A{sent}", "total": "12.50"}
            sending.create_task(client.send(bench.users[sent % len(bench.users)], "email", "order", variables))
            sent += 1
    return sent


async def _feed(bench: Bench, page: Page, *, seconds: float, rate: float) -> dict[str, Any]:
    await _open(page, "/console/live")
    cdp = await page.context.new_cdp_session(page)
    await cdp.send("Performance.enable")
    await page.evaluate(_WATCH)
    async with Client(bench.processes.url, API_KEY, timeout_s=60) as client:
        until = time.monotonic() + seconds
        sending = asyncio.create_task(_send(bench, client, rate=rate / _CHANGES, until=until))
        samples = []
        while time.monotonic() < until:
            samples.append(await _sample(page, cdp, min(_SAMPLE_S, max(1.0, until - time.monotonic()))))
        sent = await sending
    return {
        "changes_per_s": round(sent * _CHANGES / seconds, 1),
        "frames_per_s": min(one["frames_per_s"] for one in samples),
        "longest_frame_ms": max(one["longest_frame_ms"] for one in samples),
        "heap_mb_first": samples[0]["heap_mb"],
        "heap_mb_last": samples[-1]["heap_mb"],
        "nodes_most": max(one["nodes"] for one in samples),
        "rows": samples[-1]["rows"],
    }


async def measure(bench: Bench, *, stored: int, seconds: float, rate: float) -> dict[str, Any]:
    """What the pages cost when they are opened, and the feed while so many changes a second go by."""
    connection = await asyncpg.connect(bench.postgres.url("clarion_gateway"))
    try:
        await connection.execute(_FILL, stored, timeout=300)
        await connection.execute("ANALYZE notifications", timeout=300)
    finally:
        await connection.close()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        page = await browser.new_page(base_url=bench.processes.url)
        session = json.dumps(json.dumps({"token": API_KEY}))
        await page.add_init_script(f'sessionStorage.setItem("clarion.session", {session})')
        cold = await _open(page, "/console/notifications")
        warm = await _open(page, "/console/notifications")
        feed = await _feed(bench, page, seconds=seconds, rate=rate)
        await browser.close()
    return {"stored": stored, "cold": cold, "warm": warm, "feed": feed}


async def _alone(stored: int, seconds: float, rate: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="clarion-console-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        async with open_bench(folder, users=200) as bench:
            return await measure(bench, stored=stored, seconds=seconds, rate=rate)


def main() -> None:
    """Measures it."""
    parser = argparse.ArgumentParser(prog="python -m bench.console", description=__doc__)
    parser.add_argument("--stored", type=int, default=100_000, help="notifications that are stored already (default: 100000)")
    parser.add_argument("--seconds", type=float, default=300.0, help="how long the feed is watched (default: 300)")
    parser.add_argument("--rate", type=float, default=200.0, help="changes per second (default: 200)")
    given = parser.parse_args()
    sys.stdout.write(json.dumps(asyncio.run(_alone(given.stored, given.seconds, given.rate))) + "\n")


if __name__ == "__main__":
    main()
