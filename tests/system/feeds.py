"""Reading the feed of changes."""

import asyncio

from devstack.client import Client


async def facts_in_the_feed(client: Client, user: str, *, least: int = 1) -> list[str]:
    """The facts about a person's notifications. The feed may hold a change back for a moment, until none before it can appear any more."""
    found: list[str] = []
    cursor = ""
    async with asyncio.timeout(20):
        while True:
            page = await client.call("GET", f"/v1/changes?user_id={user}&page_size=1000&cursor={cursor}")
            found += [change["fact"] for change in page.get("changes", []) if "fact" in change]
            cursor = page.get("next_cursor", "")
            if len(found) >= least and not page.get("has_more"):
                return found
