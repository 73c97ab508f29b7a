"""The page at /unsubscribe/{token}: GET shows what the link would refuse and changes nothing, POST refuses it (RFC 8058).

A mail program posts on the person's behalf, without cookies and without having seen the page; a link checker only gets. The page needs no
script and asks no one else for anything.
"""

import html
from http import HTTPStatus
from typing import NamedTuple, Protocol

from gateway.html_page import PREFERENCES, HtmlPage, enter_call, paragraph, read_body, reader_language, send_page, send_refusal, words_for
from gateway.unsubscribe.words import WORDS
from mesh.errors import ServiceError
from transcoding.asgi import Receive, Scope, Send, send_response

UNSUBSCRIBE = "/unsubscribe/"
# What a one-click request holds: "List-Unsubscribe=One-Click", as a form of either kind.
_MOST_BODY = 8192


class Subscription(NamedTuple):
    """What a link is about. What is `mandatory` is sent whether it is refused or not."""

    category: str
    locale: str
    refused: bool
    mandatory: bool


class Subscriptions(Protocol):
    """What the links of mails stand for."""

    async def describe(self, token: str) -> Subscription:
        """Raises ServiceError; NotFound for a link that is not, or no longer, good."""

    async def unsubscribe(self, token: str) -> Subscription:
        """Refuses it. Raises ServiceError; NotFound for a link that is not, or no longer, good."""


class UnsubscribePage:
    """Serves the page."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        method, token = scope["method"], scope["path"].removeprefix(UNSUBSCRIBE)
        if method not in {"GET", "HEAD", "POST"}:
            await send_response(send, HTTPStatus.METHOD_NOT_ALLOWED, [("allow", "GET, HEAD, POST")], b"")
            return
        if method == "POST" and await read_body(receive, _MOST_BODY) is None:
            await send_response(send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, [], b"")
            return
        enter_call("unsubscribe")
        try:
            found = await (self._subscriptions.unsubscribe if method == "POST" else self._subscriptions.describe)(token)
            await send_page(send, HTTPStatus.OK, _drawn(found, token), head=method == "HEAD")
        except ServiceError as error:
            await send_refusal(send, error, reader_language(scope), WORDS, head=method == "HEAD")


def _drawn(found: Subscription, token: str) -> HtmlPage:
    language, words = words_for(found.locale, WORDS)
    more = f'<p><a href="..{PREFERENCES}{html.escape(token)}">{html.escape(words.more)}</a></p>'
    if found.mandatory:
        content = paragraph(words.mandatory.format(category=found.category))
    elif found.refused:
        content = paragraph(words.done.format(category=found.category))
    else:
        form = f'<form method="post"><button type="submit">{html.escape(words.button)}</button></form>'
        content = paragraph(words.question.format(category=found.category)) + form
    return HtmlPage(language, words.title, content + more)
