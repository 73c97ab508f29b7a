"""Pages for people who have followed a link of a mail: without script, in one answer, asking no other server for anything."""

import base64
import hashlib
import html
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from math import ceil
from typing import NamedTuple, Protocol, TypeVar

from mesh import context
from mesh.context import CallContext
from mesh.correlation import CORRELATION_ID, with_correlation_id
from mesh.deadline import Deadline
from mesh.errors import Code, ServiceError
from transcoding.asgi import Receive, Scope, Send, send_response

log = logging.getLogger(__name__)

# Where the page of all choices is; that of one mail leads there.
PREFERENCES = "/preferences/"
_DEADLINE_S = 5.0
_ENGLISH = "en"
_COLOR = "#1a4fa0"
_STYLE = (
    "body{font:1.05rem/1.5 system-ui,sans-serif;max-width:36rem;margin:3rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}"
    "h1{font-size:1.5rem;line-height:1.25}a{color:inherit}"
    "button{font:inherit;padding:.6rem 1.4rem;border:0;border-radius:.3rem;color:#fff;background:COLOR;cursor:pointer}"
    "button.quiet{background:none;color:inherit;border:1px solid currentColor}"
    ".brand{display:flex;align-items:center;gap:.75rem;font-weight:600;text-decoration:none}.brand img{max-height:3rem;max-width:12rem}"
    "fieldset{border:0;border-top:1px solid #8884;margin:0;padding:1rem 0}legend{float:left;width:100%;font-weight:600;padding:0}"
    "legend+*{clear:both}fieldset p{margin:.1rem 0 .4rem;opacity:.8}"
    "label{display:inline-flex;align-items:center;gap:.5rem;margin-inline-end:1.5rem;min-height:2.5rem}input[type=checkbox]{width:1.2rem;height:1.2rem;accent-color:COLOR}input[type=time]{font:inherit}"
    "[role=status],[role=alert]{padding:.6rem .9rem;border-inline-start:.3rem solid COLOR;background:#8882}"
    "form>button{margin:1rem .8rem 0 0}"
    "@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}button:not(.quiet){outline:1px solid #fff6}}"
)
_NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
_HEADERS = [
    ("content-type", "text/html; charset=utf-8"),
    ("cache-control", "no-store"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-robots-tag", "noindex"),
]


class HtmlPage(NamedTuple):
    """A page. `content` and `banner`, what stands above the heading, are HTML; `color` is that of buttons, "#1a4fa0"."""

    language: str
    title: str
    content: str
    banner: str = ""
    color: str = _COLOR


class CommonWords(Protocol):
    """What each page says in its languages."""

    @property
    def title(self) -> str: ...

    @property
    def invalid(self) -> str: ...

    @property
    def later(self) -> str: ...


Words_co = TypeVar("Words_co", bound=CommonWords, covariant=True)


def words_for(locale: str, words: Mapping[str, Words_co]) -> tuple[str, Words_co]:
    """The language of a page for a person's locale, English where it does not speak theirs, and its words."""
    language = locale.partition("-")[0].lower()
    return (language, words[language]) if language in words else (_ENGLISH, words[_ENGLISH])


def enter_call(page: str) -> None:
    """Makes what follows a call with a deadline and a correlation id of its own: no one has signed in who could have brought one."""
    correlation_id = with_correlation_id({})[CORRELATION_ID]
    context.enter(CallContext(method=page, correlation_id=correlation_id, deadline=Deadline.after(_DEADLINE_S)))


async def send_refusal(send: Send, error: ServiceError, locale: str, words: Mapping[str, CommonWords], *, head: bool) -> None:
    """The page for a link that is not good (404), or not at the moment (503)."""
    call = context.current()
    log.info("a link was not served", extra={"page": call.method, "reason": error.reason, "correlation_id": call.correlation_id})
    language, said = words_for(locale, words)
    gone = error.code in {Code.NOT_FOUND, Code.INVALID_ARGUMENT}
    page = HtmlPage(language, said.title, paragraph(said.invalid if gone else said.later))
    if gone:
        await send_page(send, HTTPStatus.NOT_FOUND, page, head=head)
    else:
        # mail programs post by themselves, and try again as the header says
        wait = ("retry-after", str(max(1, ceil(error.retry_after_s or 0.0))))
        await send_page(send, HTTPStatus.SERVICE_UNAVAILABLE, page, head=head, more=[wait])


async def send_page(send: Send, status: HTTPStatus, page: HtmlPage, *, head: bool = False, more: Sequence[tuple[str, str]] = ()) -> None:
    """The page as an answer, with `more` headers. Its style is allowed by its hash, pictures only where the page holds them itself."""
    style = _STYLE.replace("COLOR", page.color or _COLOR)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"{_NOTHING}; style-src 'sha256-{digest}'; img-src data:; form-action 'self'"
    title = html.escape(page.title)
    text = (
        f'<!doctype html><html lang="{html.escape(page.language)}"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>'
        f"<body><main>{page.banner}<h1>{title}</h1>{page.content}</main></body></html>"
    )
    await send_response(send, status, [*_HEADERS, ("content-security-policy", policy), *more], text.encode(), head=head)


def paragraph(text: str) -> str:
    """Text as a paragraph of HTML."""
    return f"<p>{html.escape(text)}</p>"


async def read_body(receive: Receive, most: int) -> bytes | None:
    """The request's body; None when it has more than `most` bytes or does not end."""
    body, more = bytearray(), True
    while more:
        event = await receive()
        if event["type"] != "http.request":
            return None
        body += event.get("body", b"")
        more = event.get("more_body", False)
        if len(body) > most:
            return None
    return bytes(body)


def reader_language(scope: Scope) -> str:
    """The reader's first language, where the person's is not known."""
    accepted = dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1")
    return str(accepted.partition(",")[0].partition(";")[0].strip())
