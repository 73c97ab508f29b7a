"""The page at /preferences/ as an application of its own: what it makes of forms that no page has made."""

from http import HTTPStatus
from typing import Any

import pytest

from gateway.preference_page.models import Brand, Choices, Page
from gateway.preference_page.page import PreferencePage
from mesh.errors import NotFound, ServiceError, Unavailable

PAGE = Page("en", "UTC", Brand("Books", "", "", ""), (), None)


class FakePages:
    """One page, and what was saved on it; `error` stands for the service behind it."""

    def __init__(self, error: ServiceError | None = None) -> None:
        self.saved: list[Choices] = []
        self._error = error

    async def describe(self, token: str) -> Page:
        return PAGE

    async def save(self, token: str, choices: Choices) -> Page:
        if self._error is not None:
            raise self._error
        self.saved.append(choices)
        return PAGE


async def post(pages: FakePages, body: bytes) -> int:
    """The status of the answer to a form."""
    return int((await answer_to(pages, body))["status"])


async def answer_to(pages: FakePages, body: bytes, *, kind: bytes = b"") -> Any:
    """Status and headers of the answer to a form, `kind` is its media type."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/preferences/token",
        "query_string": b"",
        "headers": [(b"content-type", kind)] * bool(kind),
    }
    await PreferencePage(pages)(scope, receive, send)
    return sent[0]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe\x00",
        b"%ff=%00&%zz&===",
        b'{"refuse_mail": 1}',
        b";" * 5000,
        b"shown=news%3Aemail&" * 2,
        b"shown=%3Aemail&shown=a:sms&shown=\xc3\xa4:push",
        b"want=news:email",
    ],
)
async def test_a_form_that_chooses_nothing_of_the_page_is_no_error(body: bytes) -> None:
    pages = FakePages()
    assert await post(pages, body) == HTTPStatus.SEE_OTHER
    assert [(set(choices.wanted) - {("news", "email")}, choices.quiet_hours, choices.refuse_mail) for choices in pages.saved] == [
        (set(), None, False)
    ]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (b"application/x-www-form-urlencoded; charset=UTF-8", 303), (b"Application/X-WWW-Form-Urlencoded", 303),
        (b"multipart/form-data; boundary=b", 415), (b"application/json", 415), (b"\xff", 415), (b";", 415),
    ],
)  # fmt: skip
async def test_what_is_no_such_form_is_not_said_to_be_saved(kind: bytes, status: int) -> None:
    pages = FakePages()
    assert (await answer_to(pages, b"refuse_mail=1", kind=kind))["status"] == status
    assert [choices.refuse_mail for choices in pages.saved] == [True] * (status == 303)


@pytest.mark.parametrize("body", [b"&" * 2000, b"shown=a:email&" * 3000, b"x" * (128 * 1024 + 1)])
async def test_a_form_that_is_too_long_is_refused_and_saves_nothing(body: bytes) -> None:
    pages = FakePages()
    assert await post(pages, body) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert pages.saved == []


@pytest.mark.parametrize(("error", "wait"), [(Unavailable("away"), b"1"), (Unavailable("away", retry_after_s=2.4), b"3")])
async def test_a_page_that_is_not_served_now_says_when_to_try_again(error: ServiceError, wait: bytes) -> None:
    """The button of a mail program posts by itself."""
    answer = await answer_to(FakePages(error), b"")
    assert answer["status"] == HTTPStatus.SERVICE_UNAVAILABLE
    assert dict(answer["headers"])[b"retry-after"] == wait


async def test_a_link_that_is_no_link_is_not_to_be_tried_again() -> None:
    answer = await answer_to(FakePages(NotFound("no such link")), b"")
    assert answer["status"] == HTTPStatus.NOT_FOUND
    assert b"retry-after" not in dict(answer["headers"])
