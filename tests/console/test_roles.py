"""Roles: made, changed, given to people, and deleted."""

import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Console, check, sign_in, sign_in_by_key

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


async def test_a_role_is_made_given_changed_and_deleted(page: Page, console: Console) -> None:
    person = await console.live.create_user("of-a-role@people.example", name="Kim")
    await sign_in(page, "/console/roles")
    await page.get_by_role("button", name="Make a role").click()
    form = page.get_by_role("dialog")
    await form.get_by_label("Id, such as support").fill("Front Desk")
    await form.get_by_label("notifications:read").check()
    await form.get_by_role("button", name="Make it").click()
    await expect(form.get_by_role("alert")).to_contain_text("lower-case letters")
    await check(page)
    await form.get_by_label("Id, such as support").fill("front-desk")
    await form.get_by_role("button", name="Make it").click()
    row = page.get_by_role("row").filter(has_text="front-desk")
    await expect(row).to_contain_text("no one yet")
    await check(page)

    await page.goto(f"/console/people/{person}")
    await page.get_by_role("button", name="Assign a role").click()
    await page.get_by_role("dialog").get_by_label("Role").select_option("front-desk")
    await page.get_by_role("dialog").get_by_role("button", name="Assign", exact=True).click()
    await expect(page.locator(".facts div").filter(has_text="Assigned role")).to_contain_text("front-desk")

    await page.goto("/console/roles")
    await row.get_by_role("button", name="Change front-desk").click()
    await form.get_by_label("What it is for").fill("Answers the door")
    await form.get_by_label("users:read").check()
    await form.get_by_role("button", name="Save").click()
    await expect(row).to_contain_text("Answers the door")
    role = await console.live.call("GET", "/v1/roles/front-desk")
    assert (role["scopes"], role["user_ids"]) == (["notifications:read", "users:read"], [person])

    await row.get_by_role("button", name="Delete front-desk").click()
    await form.get_by_role("button", name="Delete").click()
    await expect(form.get_by_role("alert")).to_be_visible()
    await page.keyboard.press("Escape")
    await console.live.call("POST", f"/v1/users/{person}:assignRole", {"role": ""})
    await row.get_by_role("button", name="Delete front-desk").click()
    await form.get_by_role("button", name="Delete").click()
    await expect(row).to_have_count(0)


async def test_what_another_one_has_changed_meanwhile_is_not_overwritten(page: Page, console: Console) -> None:
    await console.live.call("POST", "/v1/roles", {"id": "contended", "scopes": ["users:read"]})
    await sign_in(page, "/console/roles")
    await page.get_by_role("button", name="Change contended").click()
    await console.live.call("PATCH", "/v1/roles/contended?update_mask=description", {"description": "of a program"})
    form = page.get_by_role("dialog")
    await form.get_by_label("What it is for").fill("of the console")
    await form.get_by_role("button", name="Save").click()
    await expect(form.get_by_role("alert")).to_be_visible()
    assert (await console.live.call("GET", "/v1/roles/contended"))["description"] == "of a program"
    await console.live.call("DELETE", "/v1/roles/contended")


async def test_a_key_without_the_scope_is_refused_in_words(page: Page, console: Console) -> None:
    await sign_in_by_key(page, await console.key("notifications:read"), "/console/roles")
    await expect(page.get_by_role("alert")).to_contain_text("roles:read")
