"""People: who they are, how they are reached, what they want, and that they can be forgotten."""

import json

import pytest
from playwright.async_api import Page, expect

from devstack.client import RefusedError
from tests.console.conftest import Console, check, sign_in, sign_in_by_key

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


async def _person(console: Console, name: str, **fields: str) -> str:
    answer = await console.live.call("POST", "/v1/users", {"email": f"{name}@people.example", "name": name.title(), **fields})
    return str(answer["id"])


@pytest.mark.parametrize("by", ["address", "id", "own id", "own id like an address"])
async def test_a_person_is_found(page: Page, console: Console, by: str) -> None:
    name = f"found-by-{by.replace(' ', '-')}"
    own = "crm@4711" if by == "own id like an address" else "crm-4711"
    person = await _person(console, name, external_id=own)
    await sign_in(page, "/console/people")
    await page.keyboard.press("/")
    await page.keyboard.type({"address": f"{name.upper()}@people.example", "id": person}.get(by, own))
    await page.keyboard.press("Enter")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.locator("tbody a").click()
    await expect(page.locator(".sentence")).to_have_text(f"{name}@people.example")
    await console.live.call("PATCH", f"/v1/users/{person}?update_mask=external_id", {"external_id": ""})


async def test_one_who_does_not_exist_is_said_not_to(page: Page) -> None:
    await sign_in(page, "/console/people?q=no.such@people.example")
    await expect(page.get_by_role("heading", name="There is no such person")).to_be_visible()
    await page.goto("/console/people/01890000-0000-7000-8000-000000000000")
    await expect(page.get_by_role("heading", name="There is no such person")).to_be_visible()


async def test_a_person_is_shown_with_devices_choices_and_what_was_sent(page: Page, console: Console) -> None:
    person = await _person(console, "ada-shown", locale="pt-BR")
    await console.live.call("POST", f"/v1/users/{person}/devices", {"token": f"token-of-{person}-abcdef", "platform": "ios"})
    rules = [{"channel": "email", "category": "news", "choice": "deny"}]
    quiet = {"start": "22:00", "end": "07:00"}
    await console.live.call("PATCH", f"/v1/users/{person}/preferences", {"rules": rules, "quiet_hours": quiet})
    sent = await console.test.send(person, "email", "welcome", {"name": "Ada"})
    await sign_in(page, f"/console/people/{person}")
    await expect(page.get_by_role("region", name="Devices").get_by_role("row").last).to_contain_text("abcdef")
    await expect(page.get_by_role("region", name="Preferences").get_by_role("listitem")).to_have_text(
        ["Quiet hours from 22:00 to 07:00.", "Refuses “news” by e-mail."]
    )
    await expect(page.get_by_role("region", name="Suppressions")).to_contain_text("Mail to the address is sent.")
    await page.get_by_role("region", name="Notifications").get_by_role("link").first.click()
    await page.wait_for_url(f"**/console/notifications/{sent}")
    await page.get_by_role("link", name="Addresses, devices, preferences").click()
    await page.wait_for_url(f"**/console/people/{person}")
    await expect(page.get_by_role("region", name="Devices")).to_be_visible()
    await check(page)


async def test_a_suppression_is_shown_with_its_reason_and_lifted(page: Page, console: Console) -> None:
    person = await _person(console, "ada-bounced")
    await console.live.call("POST", "/v1/suppressions", {"address": "ada-bounced@people.example", "reason": "complaint"})
    await sign_in(page, f"/console/people/{person}")
    part = page.get_by_role("region", name="Suppressions")
    await expect(part).to_contain_text("gets no mail, for complaint")
    await part.get_by_role("button", name="Allow mail again").click()
    await page.get_by_role("dialog").get_by_role("button", name="Allow mail again").click()
    await expect(part).to_contain_text("Mail to the address is sent.")
    left = await console.live.call("GET", "/v1/suppressions?address=ada-bounced@people.example")
    assert not left.get("suppressions")


async def test_a_suppression_of_a_category_is_lifted_by_itself(page: Page, console: Console) -> None:
    person, address = await _person(console, "ada-paused"), "ada-paused@people.example"
    await console.live.call("POST", "/v1/suppressions", {"address": address, "reason": "complaint"})
    await console.live.call("POST", "/v1/suppressions", {"address": address, "category": "news", "expire_time": "2999-01-01T00:00:00Z"})
    await sign_in(page, f"/console/people/{person}")
    part = page.get_by_role("region", name="Suppressions")
    await expect(part).to_contain_text("gets no mail of the category news, for manual")
    await expect(part).to_contain_text("until")
    await part.get_by_role("button", name="Allow mail again").nth(1).click()
    await page.get_by_role("dialog").get_by_role("button", name="Allow mail again").click()
    await expect(part).not_to_contain_text("news")
    left = await console.live.call("GET", f"/v1/suppressions?address={address}")
    assert [one["reason"] for one in left["suppressions"]] == ["complaint"]


async def test_a_person_is_erased_after_their_address_is_typed(page: Page, console: Console) -> None:
    person = await _person(console, "ada-erased")
    await sign_in(page, f"/console/people/{person}")
    await page.get_by_role("button", name="Erase").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("button", name="Erase")).to_be_disabled()
    await dialog.get_by_role("textbox").fill("ada@people.example")
    await expect(dialog.get_by_role("button", name="Erase")).to_be_disabled()
    await dialog.get_by_role("textbox").fill("ada-erased@people.example")
    await dialog.get_by_role("button", name="Erase").click()
    await expect(page.get_by_role("heading", name="This person is")).to_be_visible()
    with pytest.raises(RefusedError, match="404"):
        await console.live.call("GET", f"/v1/users/{person}")


async def test_a_key_without_the_scope_is_refused_in_words(page: Page, console: Console) -> None:
    await sign_in_by_key(page, await console.key("notifications:read"), "/console/people")
    await expect(page.get_by_role("alert")).to_contain_text("users:read")


async def test_axe_finds_nothing(page: Page, console: Console) -> None:
    await _person(console, "ada-for-everyone")
    await sign_in(page, "/console/people?q=ada-for-everyone@people.example")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await check(page)


async def test_attributes_are_shown_and_sessions_are_ended(page: Page, console: Console) -> None:
    password = "correct horse battery staple 47"
    body = {"email": "sessions@example.com", "name": "Sam", "password": password, "attributes": {"plan": "pro", "seats": 5}}
    user = (await console.live.call("POST", "/v1/users", body))["id"]
    for _ in range(2):
        await console.live.call("POST", "/v1/auth/login", {"email": "sessions@example.com", "password": password})
    await sign_in(page, f"/console/people/{user}")
    await expect(page.get_by_role("region", name="Attributes")).to_contain_text("pro")
    sessions = page.get_by_role("region", name="Where they are signed in")
    await expect(sessions.get_by_role("listitem")).to_have_count(2)
    await check(page)
    await sessions.get_by_role("button", name="Sign out", exact=True).first.click()
    await expect(sessions.get_by_role("listitem")).to_have_count(1)
    await sessions.get_by_role("button", name="Sign out everywhere").click()
    await expect(sessions).to_contain_text("Nowhere.")
    assert (await console.live.call("GET", f"/v1/users/{user}/sessions")).get("sessions", []) == []


async def test_what_is_held_about_a_person_is_saved_as_a_file(page: Page, console: Console) -> None:
    person = await _person(console, "ada-exported")
    await console.live.settled(await console.live.send(person, "email", "welcome", {"name": "Ada"}))
    await sign_in(page, f"/console/people/{person}")
    async with page.expect_download() as started:
        await page.get_by_role("button", name="Export their data").click()
    saved = await started.value
    assert saved.suggested_filename == f"{person}.json"
    document = json.loads((await saved.path()).read_text())
    assert document["user"]["email"] == "ada-exported@people.example"
    assert [one["notification"]["template"] for one in document["notifications"]] == ["welcome"]
    assert document["notifications"][0]["variables"] == {"name": "Ada"}
    assert {"preferences", "devices", "suppressions", "identities"} <= document.keys()


async def test_an_export_that_is_refused_says_why(page: Page, console: Console) -> None:
    person = await _person(console, "ada-not-exported")
    await sign_in_by_key(page, await console.key("notifications:read", "users:read"), f"/console/people/{person}")
    await page.get_by_role("button", name="Export their data").click()
    await expect(page.get_by_role("alert")).to_contain_text("users:export")
