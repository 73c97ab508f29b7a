"""The page at /unsubscribe/{token}: GET shows what the link would refuse and changes nothing, POST refuses it (RFC 8058).

A mail program posts on the person's behalf, without cookies and without having seen the page; a link checker only gets. The page needs no
script and asks no one else for anything.
"""

import base64
import hashlib
import html
import logging
from http import HTTPStatus
from typing import NamedTuple, Protocol

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
_STYLE = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}"
    "button{font:inherit;padding:.6rem 1.4rem;border:0;border-radius:.3rem;color:#fff;background:#1a4fa0;cursor:pointer}"
    "@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}button{background:#7fb0ff;color:#111}}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
_HEADERS = [
    ("content-type", "text/html; charset=utf-8"),
    ("content-security-policy", f"{_NOTHING}; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'"),
    ("cache-control", "no-store"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-robots-tag", "noindex"),
]


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
            await send_response(send, HTTPStatus.METHOD_NOT_ALLOWED, [*_HEADERS, ("allow", "GET, HEAD, POST")], b"")
            return
        if method == "POST" and not await _drained(receive):
            await send_response(send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _HEADERS, b"")
            return
        status, body = await self._answer(token, act=method == "POST", accepted=_language(scope))
        await send_response(send, status, _HEADERS, body, head=method == "HEAD")

    def refusal(self, error: ServiceError) -> Rendered:
        """The edge's response to a request that the HTTP server refuses before it is one."""
        return self._app.refusal(error)

    async def _answer(self, token: str, *, act: bool, accepted: str) -> tuple[HTTPStatus, bytes]:
        correlation_id = with_correlation_id({})[CORRELATION_ID]
        context.enter(CallContext(method="unsubscribe", correlation_id=correlation_id, deadline=Deadline.after(_DEADLINE_S)))
        try:
            found = await (self._subscriptions.unsubscribe if act else self._subscriptions.describe)(token)
        except ServiceError as error:
            language, words = words_for(accepted)
            gone = error.code in {Code.NOT_FOUND, Code.INVALID_ARGUMENT}
            log.info("an unsubscribe link was not served", extra={"reason": error.reason, "correlation_id": correlation_id})
            text = words.invalid if gone else words.later
            return HTTPStatus.NOT_FOUND if gone else HTTPStatus.SERVICE_UNAVAILABLE, _page(language, words.title, _paragraph(text))
        language, words = words_for(found.locale)
        if found.mandatory:
            return HTTPStatus.OK, _page(language, words.title, _paragraph(words.mandatory.format(category=found.category)))
        if found.refused:
            return HTTPStatus.OK, _page(language, words.title, _paragraph(words.done.format(category=found.category)))
        form = f'<form method="post"><button type="submit">{html.escape(words.button)}</button></form>'
        return HTTPStatus.OK, _page(language, words.title, _paragraph(words.question.format(category=found.category)) + form)


async def _drained(receive: Receive) -> bool:
    """Whether the body, which says nothing that matters, ends within bounds."""
    size, more = 0, True
    while more:
        event = await receive()
        if event["type"] != "http.request":
            return False
        size += len(event.get("body", b""))
        more = event.get("more_body", False)
        if size > _MOST_BODY:
            return False
    return True


def _language(scope: Scope) -> str:
    """The reader's first language, where the person's is not known."""
    accepted = dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1")
    return str(accepted.partition(",")[0].partition(";")[0].strip())


def _paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def _page(language: str, title: str, content: str) -> bytes:
    head = f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return f"{head}{view}<style>{_STYLE}</style></head><body><main><h1>{html.escape(title)}</h1>{content}</main></body></html>".encode()
