"""The page at /preferences/{token}: GET shows what a person gets and changes nothing, POST saves what they have chosen.

Who holds the link may choose, without cookies or signing in: it shows no address and no name. The page needs no script.
"""

import html
import re
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qs, quote

from gateway.html_page import PREFERENCES, HtmlPage, enter_call, paragraph, read_body, reader_language, send_page, send_refusal, words_for
from gateway.preference_page.models import CHANNELS, Brand, Category, Choices, Page
from gateway.preference_page.words import WORDS, Words
from mesh.errors import Code, ServiceError
from transcoding.asgi import Receive, Scope, Send, send_response

# 200 categories on two channels, each twice: as shown and as chosen.
_MOST_BODY = 128 * 1024
_MOST_FIELDS = 2000
_SAVED = b"saved"
_FORM = "application/x-www-form-urlencoded"
# A form that the page did not make may name anything.
_CATEGORY = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


class Pages(Protocol):
    """What the links stand for."""

    async def describe(self, token: str) -> Page:
        """Raises ServiceError; NotFound for a link that is not, or no longer, good."""

    async def save(self, token: str, choices: Choices) -> Page:
        """Raises ServiceError; NotFound for a link that is not, or no longer, good, InvalidArgument for quiet hours that are none."""


class PreferencePage:
    """Serves the page."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        method, token = scope["method"], scope["path"].removeprefix(PREFERENCES)
        enter_call("preferences")
        try:
            if method in {"GET", "HEAD"}:
                page = await self._pages.describe(token)
                notice = words_for(page.locale, WORDS)[1].saved if scope["query_string"] == _SAVED else ""
                await send_page(send, HTTPStatus.OK, _drawn(page, notice), head=method == "HEAD")
            elif method == "POST" and _is_form(scope):
                await self._save(token, receive, send)
            elif method == "POST":
                # nothing of it would be read, and the page would say that it is saved
                await send_response(send, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, [("accept-post", _FORM)], b"")
            else:
                await send_response(send, HTTPStatus.METHOD_NOT_ALLOWED, [("allow", "GET, HEAD, POST")], b"")
        except ServiceError as error:
            await send_refusal(send, error, reader_language(scope), WORDS, head=method == "HEAD")

    async def _save(self, token: str, receive: Receive, send: Send) -> None:
        body = await read_body(receive, _MOST_BODY)
        if body is None or body.count(b"&") >= _MOST_FIELDS:
            await send_response(send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, [], b"")
            return
        try:
            await self._pages.save(token, _choices(body))
        except ServiceError as error:
            if error.code is not Code.INVALID_ARGUMENT:
                raise
            page = await self._pages.describe(token)
            await send_page(send, HTTPStatus.BAD_REQUEST, _drawn(page, words_for(page.locale, WORDS)[1].bad_hours, role="alert"))
            return
        # so that loading the page anew does not send the form again; relative, since the public path may begin with something else
        location = f"{quote(token, safe='')}?{_SAVED.decode()}"
        await send_response(send, HTTPStatus.SEE_OTHER, [("location", location), ("cache-control", "no-store")], b"")


def _is_form(scope: Scope) -> bool:
    given = dict(scope["headers"]).get(b"content-type", _FORM.encode()).decode("latin-1")
    return bool(given.partition(";")[0].strip().lower() == _FORM)


def _choices(body: bytes) -> Choices:
    """What a form holds: `shown` and `want` are like "news:email"; one that was shown and is not wanted was unticked."""
    form = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    want, wanted = set(form.get("want", ())), {}
    for name in form.get("shown", ()):
        category, _, channel = name.rpartition(":")
        if _CATEGORY.fullmatch(category) and channel in CHANNELS:
            wanted[category, channel] = name in want
    hours = None
    if "hours" in form:
        quiet = "quiet" in form
        hours = (form.get("start", [""])[0], form.get("end", [""])[0]) if quiet else ("", "")
        if quiet and not all(hours):
            hours = ("00:00", "00:00")  # refused, as two equal times are
    return Choices(wanted, hours, "refuse_mail" in form)


def _drawn(page: Page, notice: str, role: str = "status") -> HtmlPage:
    language, words = words_for(page.locale, WORDS)
    said = f'<p role="{role}">{html.escape(notice)}</p>' if notice else ""
    fields = "".join(_category(category, words) for category in page.categories) or paragraph(words.nothing)
    actions = f'<button type="submit">{html.escape(words.save)}</button>'
    actions += f'<button type="submit" name="refuse_mail" value="1" class="quiet">{html.escape(words.refuse_mail)}</button>'
    form = f'<form method="post" action="?">{fields}{_quiet_hours(page, words)}{actions}</form>'
    intro = paragraph(words.intro.format(brand=page.brand.name))
    return HtmlPage(language, words.title, said + intro + form, _banner(page.brand), page.brand.color)


def _category(category: Category, words: Words) -> str:
    about = paragraph(category.description) if category.description else ""
    if category.mandatory:
        return f"<fieldset><legend>{html.escape(category.name)}</legend><div>{about}{paragraph(words.mandatory)}</div></fieldset>"
    boxes = ""
    for channel, label in (("email", words.email), ("push", words.push)):
        name = html.escape(f"{category.id}:{channel}")
        ticked = " checked" if channel in category.channels else ""
        boxes += f'<label><input type="checkbox" name="want" value="{name}"{ticked}>{html.escape(label)}</label>'
        boxes += f'<input type="hidden" name="shown" value="{name}">'
    return f"<fieldset><legend>{html.escape(category.name)}</legend><div>{about}{boxes}</div></fieldset>"


def _quiet_hours(page: Page, words: Words) -> str:
    start, end = page.quiet_hours or ("22:00", "07:00")
    ticked = " checked" if page.quiet_hours else ""
    times = "".join(
        f'<label>{html.escape(label)} <input type="time" name="{name}" value="{html.escape(value)}"></label>'
        for name, label, value in (("start", words.start, start), ("end", words.end, end))
    )
    about = paragraph(words.quiet_about.format(timezone=page.timezone))
    switch = f'<label><input type="checkbox" name="quiet" value="1"{ticked}>{html.escape(words.quiet)}</label>'
    fields = f'<input type="hidden" name="hours" value="1">{switch}{times}'
    return f"<fieldset><legend>{html.escape(words.quiet)}</legend><div>{about}{fields}</div></fieldset>"


def _banner(brand: Brand) -> str:
    logo = f'<img src="{html.escape(brand.logo)}" alt="">' if brand.logo else ""
    inside = f"{logo}<span>{html.escape(brand.name)}</span>"
    if brand.home_url:
        return f'<a class="brand" href="{html.escape(brand.home_url)}">{inside}</a>'
    return f'<p class="brand">{inside}</p>' if brand.name or logo else ""
