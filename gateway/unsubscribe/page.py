"""The page at /unsubscribe/{token}: GET shows what the link would refuse and changes nothing, POST refuses it (RFC 8058).

A mail program posts on the person's behalf, without cookies and without having seen the page; a link checker only gets. The page needs no
script and asks no one else for anything.
"""

import html
import logging
from http import HTTPStatus
from typing import NamedTuple, Protocol

from gateway.html_page import PREFERENCES, HtmlPage, paragraph, read_body, reader_language, send_page
from gateway.unsubscribe.words import words_for
from mesh import context
from mesh.context import CallContext
from mesh.correlation import CORRELATION_ID, with_correlation_id
from mesh.deadline import Deadline
from mesh.errors import Code, ServiceError
from transcoding.asgi import Receive, Scope, Send, send_response
from transcoding.cors import App
from transcoding.errors import Rendered

log = logging.getLogger(__name__)

PREFIX = "/unsubscribe/"
_DEADLINE_S = 5.0
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
    """Serves the page in front of an edge, which gets every other request."""

    def __init__(self, app: App, subscriptions: Subscriptions) -> None:
        self._app = app
        self._subscriptions = subscriptions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection scope."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        method, token = scope["method"], scope["path"].removeprefix(PREFIX)
        if method not in {"GET", "HEAD", "POST"}:
            await send_response(send, HTTPStatus.METHOD_NOT_ALLOWED, [("allow", "GET, HEAD, POST")], b"")
            return
        if method == "POST" and await read_body(receive, _MOST_BODY) is None:
            await send_response(send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, [], b"")
            return
        status, page = await self._answer(token, act=method == "POST", accepted=reader_language(scope))
        await send_page(send, status, page, head=method == "HEAD")

    def refusal(self, error: ServiceError) -> Rendered:
        """The edge's response to a request that the HTTP server refuses before it is one."""
        return self._app.refusal(error)

    async def _answer(self, token: str, *, act: bool, accepted: str) -> tuple[HTTPStatus, HtmlPage]:
        correlation_id = with_correlation_id({})[CORRELATION_ID]
        context.enter(CallContext(method="unsubscribe", correlation_id=correlation_id, deadline=Deadline.after(_DEADLINE_S)))
        try:
            found = await (self._subscriptions.unsubscribe if act else self._subscriptions.describe)(token)
        except ServiceError as error:
            language, words = words_for(accepted)
            gone = error.code in {Code.NOT_FOUND, Code.INVALID_ARGUMENT}
            log.info("an unsubscribe link was not served", extra={"reason": error.reason, "correlation_id": correlation_id})
            text = words.invalid if gone else words.later
            return HTTPStatus.NOT_FOUND if gone else HTTPStatus.SERVICE_UNAVAILABLE, HtmlPage(language, words.title, paragraph(text))
        language, words = words_for(found.locale)
        more = f'<p><a href="..{PREFERENCES}{html.escape(token)}">{html.escape(words.more)}</a></p>'
        if found.mandatory:
            return HTTPStatus.OK, HtmlPage(language, words.title, paragraph(words.mandatory.format(category=found.category)) + more)
        if found.refused:
            return HTTPStatus.OK, HtmlPage(language, words.title, paragraph(words.done.format(category=found.category)) + more)
        form = f'<form method="post"><button type="submit">{html.escape(words.button)}</button></form>'
        return HTTPStatus.OK, HtmlPage(language, words.title, paragraph(words.question.format(category=found.category)) + form + more)
