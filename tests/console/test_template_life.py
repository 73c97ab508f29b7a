"""What became of templates and versions over time: planned, tried with a share, archived and restored."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from devstack.client import RefusedError
from tests.console.conftest import Console, check, sign_in
from tests.waiting import until_answered

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


async def _template(console: Console, name: str) -> None:
    """Version 1 in use, version 2 made."""
    await console.live.create_template(name, "email", {"en": {"subject": "Hi", "text": "one\n"}})
    await console.live.call("POST", f"/v1/templates/{name}/versions", {"contents": {"en": {"subject": "Hi", "text": "two\n"}}})


async def test_a_publication_is_planned_shown_and_called_off(page: Page, console: Console) -> None:
    await _template(console, "planned")
    await sign_in(page, "/console/templates/planned")
    await page.get_by_role("button", name="Publish").click()
    form = page.get_by_role("dialog")
    await form.get_by_label("Why, for those who read the history").fill("the campaign begins")
    await form.get_by_label("At this time of yours").fill("2020-01-01T09:00")
    await form.get_by_role("button", name="Publish").click()
    await expect(form.get_by_role("alert")).to_contain_text("publish_at")
    moment = datetime.now(UTC).replace(second=0, microsecond=0, tzinfo=None) + timedelta(days=20)
    await form.get_by_label("At this time of yours").fill(moment.isoformat(timespec="minutes"))
    await check(page)
    await form.get_by_role("button", name="Publish").click()
    plan = page.get_by_role("note")
    await expect(plan).to_contain_text("Version 2 comes into use by itself on")
    await expect(plan).to_contain_text("the campaign begins")
    await check(page)
    listed = await console.live.call("GET", "/v1/scheduled-publications?template=planned")
    local = await page.evaluate("(text) => new Date(text).toISOString().slice(0, 16)", moment.isoformat())
    assert [(one["version"], one["publish_at"][:16], one["previous_version"]) for one in listed["scheduled_publications"]] == [
        (2, local, 1)
    ]
    await plan.get_by_role("button", name="Call it off").click()
    await expect(plan).to_have_count(0)
    assert (await console.live.call("GET", "/v1/templates/planned"))["published_version"] == 1


async def test_a_version_is_tried_with_a_share_and_counted_beside_the_other(page: Page, console: Console) -> None:
    await _template(console, "tried")
    await sign_in(page, "/console/templates/tried")
    await page.get_by_role("button", name="Try it Version 2").click()
    form = page.get_by_role("dialog")
    await form.get_by_label("Share in percent").fill("99")
    await form.get_by_label("A share of what").select_option("user")
    await check(page)
    await form.get_by_role("button", name="Try it").click()
    part = page.get_by_role("region", name="Version 2 on trial")
    await expect(part).to_contain_text("99 % of the people since")
    people = [await console.live.create_user(f"tried-{number}@people.example") for number in range(6)]
    sent = [await console.live.send(person, "email", "tried", {}) for person in people]
    versions = [(await console.live.settled(one))["template_version"] for one in sent]

    async def counted() -> bool:
        found = (await console.live.call("GET", "/v1/activity?template=tried")).get("versions", [])
        return sum(int(one["counts"].get("sent", 0)) for one in found) == len(sent)

    await until_answered(counted)
    await part.get_by_role("button", name="Refresh").click()
    row = part.get_by_role("row").filter(has_text="Version 2")
    await expect(row.get_by_role("cell").nth(2)).to_have_text(str(versions.count(2)))
    await check(page)
    await expect(page.get_by_role("row").filter(has_text="Tried with 99 %")).to_be_visible()
    await part.get_by_role("button", name="Stop the trial").click()
    await expect(part).to_contain_text("it was stopped")
    assert (await console.live.call("GET", "/v1/templates/tried/canary"))["state"] == "stopped"


async def test_a_version_and_a_template_are_archived_and_restored(page: Page, console: Console) -> None:
    await _template(console, "put-away")
    await sign_in(page, "/console/templates/put-away")
    await page.get_by_role("button", name="Archive Version 2").click()
    rows = page.get_by_role("region", name="Versions").get_by_role("row")
    await expect(rows).to_have_count(2)
    await page.get_by_label("Show archived ones, too").check()
    await expect(rows.filter(has_text="Archived")).to_have_count(1)
    await page.get_by_role("button", name="Restore Version 2").click()
    await expect(rows.filter(has_text="Archived")).to_have_count(0)

    await page.get_by_role("button", name="Archive", exact=True).click()
    await page.get_by_role("dialog").get_by_role("button", name="Archive").click()
    await expect(page.get_by_role("note")).to_contain_text("sends with it are refused")
    await expect(page.get_by_role("button", name="Send a test")).to_have_count(0)
    await check(page)
    with pytest.raises(RefusedError, match="TEMPLATE_ARCHIVED"):
        await console.live.send(console.ada, "email", "put-away", {})
    await page.goto("/console/templates")
    row = page.get_by_role("row").filter(has_text="put-away")
    await expect(page.get_by_role("row").filter(has_text="welcome")).to_be_visible()
    await expect(row).to_have_count(0)
    await page.get_by_label("Show archived ones, too").check()
    await expect(row).to_contain_text("Archived")
    await row.get_by_role("link").click()
    await page.get_by_role("button", name="Restore", exact=True).click()
    await expect(page.get_by_role("button", name="Send a test")).to_be_visible()


async def test_what_a_template_is_is_shown_and_changed(page: Page, console: Console) -> None:
    await _template(console, "changed")
    await sign_in(page, "/console/templates/changed")
    about = page.get_by_role("region", name="What it is")
    await expect(about).to_contain_text("It has no category")
    await about.get_by_role("button", name="Change").click()
    form = page.get_by_role("dialog")
    await form.get_by_label("Category").fill("Not One")
    await form.get_by_role("button", name="Save").click()
    await expect(form.get_by_role("alert")).to_contain_text("template.category")
    await form.get_by_label("Category").fill("news")
    await form.get_by_label("What it is for").fill("The weekly letter")
    await form.get_by_label("Sent whatever people prefer").check()
    await form.get_by_label("Where it is unknown").select_option("hold")
    await check(page)
    await form.get_by_role("button", name="Save").click()
    await expect(about).to_contain_text("Category news. It is sent whatever people prefer.")
    await expect(page.get_by_text("The weekly letter")).to_be_visible()
    await check(page)
    found = await console.live.call("GET", "/v1/templates/changed")
    assert (found["category"], found["mandatory"], found["on_unknown"]) == ("news", True, "hold")


async def test_a_template_that_was_changed_meanwhile_is_not_overwritten(page: Page, console: Console) -> None:
    await _template(console, "contested")
    await sign_in(page, "/console/templates/contested")
    await page.get_by_role("region", name="What it is").get_by_role("button", name="Change").click()
    await console.live.call("PATCH", "/v1/templates/contested", {"category": "billing"})
    form = page.get_by_role("dialog")
    await form.get_by_role("button", name="Save").click()
    await expect(form.get_by_role("alert")).to_contain_text("changed since")
    assert (await console.live.call("GET", "/v1/templates/contested"))["category"] == "billing"
