"""The page on which people choose what they get, in a browser that runs no script; and whether everyone can use it."""

import pytest
from playwright.async_api import Browser, expect

from tests.console.conftest import Console, check

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

_PNG = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


async def _page_of(console: Console, locale: str) -> tuple[str, str]:
    """A person who speaks it, and the path of their page."""
    person = await console.live.create_user(f"chooses-in-{locale}@clarion.test", locale=locale)
    texts = {"en": {"name": "Offers", "description": "Now and then"}, "fr": {"name": "Offres", "description": "De temps en temps"}}
    for identifier, mandatory in ((f"offers-{locale}", False), (f"terms-{locale}", True)):
        await console.live.call("POST", "/v1/categories", {"id": identifier, "texts": texts, "mandatory": mandatory})
    return person, str((await console.live.call("POST", f"/v1/users/{person}:createPreferenceLink", {}))["path"])


async def test_a_person_chooses_without_any_script(browser: Browser, console: Console) -> None:
    person, path = await _page_of(console, "fr")
    context = await browser.new_context(base_url=console.url, java_script_enabled=False)
    page = await context.new_page()
    await page.goto(path)
    await expect(page.get_by_role("heading", name="Choisir ce que vous recevez")).to_be_visible()
    offers = page.get_by_role("group", name="Offres").first
    await expect(offers.get_by_label("E-mail")).to_be_checked()
    await offers.get_by_label("E-mail").uncheck()
    await page.get_by_role("checkbox", name="Ne pas déranger").check()
    await page.get_by_label("de", exact=True).fill("21:15")
    await page.get_by_role("button", name="Enregistrer").click()
    await expect(page.get_by_role("status")).to_have_text("Vos choix sont enregistrés.")
    await expect(offers.get_by_label("E-mail")).not_to_be_checked()
    await expect(page.get_by_label("de", exact=True)).to_have_value("21:15")
    chosen = await console.live.call("GET", f"/v1/users/{person}/preferences")
    assert [(rule["channel"], rule["category"], rule["choice"]) for rule in chosen["rules"]] == [("email", "offers-fr", "deny")]
    assert chosen["quiet_hours"] == {"start": "21:15", "end": "07:00", "off": False}
    await page.get_by_role("button", name="Ne plus recevoir d’e-mails").click()
    await expect(page.get_by_role("status")).to_be_visible()
    assert await page.get_by_label("E-mail").evaluate_all("boxes => boxes.filter(box => box.checked).length") == 0
    await expect(page.get_by_text("Toujours envoyé.").first).to_be_visible()
    await context.close()


async def test_two_equal_times_are_refused_in_words(browser: Browser, console: Console) -> None:
    _, path = await _page_of(console, "en")
    context = await browser.new_context(base_url=console.url, java_script_enabled=False)
    page = await context.new_page()
    await page.goto(path)
    await page.get_by_role("checkbox", name="Do not disturb").check()
    await page.get_by_label("from", exact=True).fill("08:00")
    await page.get_by_label("to", exact=True).fill("08:00")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert")).to_contain_text("two times that differ")
    await context.close()


async def test_axe_finds_nothing_on_it(browser: Browser, console: Console) -> None:
    """With the policy that forbids scripts put aside, since axe-core is one; with a brand, whose picture and colours are the page's own."""
    await console.live.call(
        "PATCH", "/v1/brand", {"name": "Lovelace Books", "color": "#7a1f5c", "logo": _PNG, "home_url": "https://books.example/"}
    )
    _, path = await _page_of(console, "de")
    context = await browser.new_context(base_url=console.url, bypass_csp=True)
    page = await context.new_page()
    await page.emulate_media(color_scheme="light")
    await page.goto(path)
    await expect(page.get_by_role("link", name="Lovelace Books")).to_be_visible()
    await check(page)
    strict = await context.request.get(path)
    assert "img-src data:" in strict.headers["content-security-policy"]
    assert "script-src" not in strict.headers["content-security-policy"]
    await context.close()
