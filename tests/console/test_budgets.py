"""What the live feed keeps and asks for while a lot goes by: counts, which hold on any machine. `python -m bench.console` has the times."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import CDPSession, Page, expect

from tests.console.conftest import Console, sign_in

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

_KEPT = 300  # rows (pages/feed.tsx)
_NODES_OF_A_ROW = 40
_NODES_OF_THE_PAGE = 2_000
_HEAP_BYTES = 30_000_000
_COUNT_ROWS = """() => {
    window.rowsAtMost = 0;
    const count = () => { window.rowsAtMost = Math.max(window.rowsAtMost, document.querySelectorAll("tbody tr").length) };
    new MutationObserver(count).observe(document.body, { childList: true, subtree: true });
}"""


async def _counted(cdp: CDPSession) -> dict[str, Any]:
    for _ in range(2):  # nodes go when the listeners of the first round have gone
        await cdp.send("HeapProfiler.collectGarbage")
    return {one["name"]: one["value"] for one in (await cdp.send("Performance.getMetrics"))["metrics"]}


async def test_the_feed_keeps_little_of_what_goes_by_and_asks_once(page: Page, console: Console) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.partition("/v1/")[2].partition("?")[0]))
    person = await console.person("delivered")
    await sign_in(page, f"/console/live?user_id={person}")
    await expect(page.get_by_role("status")).to_have_text("Live")
    cdp = await page.context.new_cdp_session(page)
    await cdp.send("Performance.enable")
    await page.evaluate(_COUNT_ROWS)
    last = ""
    for _ in range(4):
        sent = await asyncio.gather(*(console.test.send(person, "email", "welcome", {"name": "Ada"}) for _ in range(50)))
        for one in sent:
            await console.test.settled(one)
        last = sent[-1]
    await expect(page.locator(f'tbody a[href$="{last}"]').first).to_be_visible()
    await expect(page.locator("tbody tr")).to_have_count(_KEPT)
    found = await _counted(cdp)
    assert await page.evaluate("window.rowsAtMost") == _KEPT
    assert found["Nodes"] <= _KEPT * _NODES_OF_A_ROW + _NODES_OF_THE_PAGE
    assert found["JSHeapUsedSize"] <= _HEAP_BYTES
    assert [path for path in asked if path] == ["changes:watch"]
