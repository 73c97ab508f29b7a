"""Signing in at a real issuer of OpenID Connect, a process of its own, in a real browser."""

from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.console.conftest import Console, Profile, check

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

_STYLES = "https://cdn.jsdelivr.net/"
BUTTON = "Sign in with Example Corp"


async def agree(page: Page, name: str) -> None:
    """As this person, at the issuer."""
    await page.get_by_role("button", name=name, exact=True).first.click()


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def issuer_alone(page: Page, profile: Profile, issuer: str) -> AsyncIterator[None]:
    """Beside Clarion the issuer may be asked; the style sheet that its pages want from elsewhere is not there."""
    await page.route(f"{_STYLES}**", lambda route: route.abort())
    yield
    profile.elsewhere[:] = [url for url in profile.elsewhere if not url.startswith((issuer, _STYLES))]


async def test_a_person_comes_back_from_the_issuer_to_where_they_were(page: Page, console: Console, issuer: str) -> None:
    await page.goto("/console/people?q=ada")
    async with page.expect_request(lambda sent: sent.url.startswith(issuer)) as asked:
        await page.get_by_role("button", name=BUTTON).click()
    query = parse_qs(urlsplit((await asked.value).url).query)
    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == [f"{console.url}/console/sign-in"]
    await agree(page, "grace")
    await expect(page.get_by_role("heading", name="People")).to_be_visible()
    assert page.url == f"{console.url}/console/people?q=ada"
    kept = await page.evaluate("JSON.stringify({ ...sessionStorage }) + history.length")
    assert "clarion.sign-in" not in kept, "the flow is used up"
    # what their group may do, and no more
    await expect(page.get_by_role("link", name="Notifications")).to_be_visible()
    await expect(page.get_by_role("link", name="Operate")).to_have_count(0)


async def test_going_back_does_not_use_the_code_again(page: Page, console: Console) -> None:
    await page.goto("/console/")
    await page.get_by_role("button", name=BUTTON).click()
    await agree(page, "grace")
    await expect(page.get_by_role("heading", name="Notifications")).to_be_visible()
    again: list[str] = []
    page.on("request", lambda sent: again.append(sent.url) if "complete-sign-in" in sent.url else None)
    await page.goto("/console/sign-in")
    await expect(page.get_by_role("heading", name="Notifications")).to_be_visible()
    assert again == []


async def test_who_is_in_no_group_is_refused_in_words(page: Page) -> None:
    await page.goto("/console/")
    await page.get_by_role("button", name=BUTTON).click()
    await agree(page, "eve")
    await expect(page.get_by_role("alert")).to_contain_text("none of your groups")
    assert "code=" not in page.url
    assert await page.evaluate("sessionStorage.length") == 0


async def test_who_refuses_at_the_issuer_is_back_at_the_form(page: Page) -> None:
    await page.goto("/console/")
    await page.get_by_role("button", name=BUTTON).click()
    await agree(page, "Deny")
    await expect(page.get_by_role("alert")).to_contain_text("refused")
    await expect(page.get_by_role("button", name=BUTTON)).to_be_enabled()


async def test_an_answer_that_this_tab_did_not_ask_for_signs_no_one_in(page: Page) -> None:
    await page.goto("/console/sign-in?code=of-a-stranger&state=of-a-stranger")
    await expect(page.get_by_role("alert")).to_contain_text("not begun in this tab")


async def test_an_issuer_that_is_down_is_said_in_words_and_the_page_stays_usable(page: Page) -> None:
    await page.goto("/console/")
    await page.get_by_role("button", name="Sign in with Away").click()
    await expect(page.get_by_role("alert")).to_contain_text("the issuer away is not reached")
    await expect(page.get_by_role("button", name="Sign in with Away")).to_be_enabled()
    await check(page)
