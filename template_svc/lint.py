"""What a version may contain and had better not: findings for its author, each with the rule, the place, and what to do about it.

Nothing here makes a version unusable; `CLARION_LINT_ERRORS` names the rules that are to refuse one all the same.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from template_svc.models import Channel, Content, Finding
from template_svc.source_syntax import JINJA_TAG, VOID, HtmlReader

# Gmail cuts what is longer, and the rest, such as the link for unsubscribing, with it.
GMAIL_CLIPS_BYTES = 102 * 1024
MAX_SUBJECT_SHOWN, MAX_TITLE_SHOWN, MAX_BODY_SHOWN = 70, 65, 240
MIN_CONTRAST = 4.5  # WCAG 2.2, 1.4.3
MAX_FINDINGS = 100

RULES: Mapping[str, str] = {
    "clipped-html": "Gmail shows 102 kB of a mail and cuts the rest",
    "empty-link": "a link that leads nowhere",
    "image-without-alt": "screen readers and clients that show no pictures have nothing to say",
    "image-without-size": "the text jumps when the picture comes",
    "incomplete-catalog": "texts that stay in the default locale's language",
    "insecure-link": "a link or a picture without https",
    "local-link": "an address that only a developer's machine has",
    "long-text": "more than a list of messages or a lock screen shows",
    "low-contrast": "text that is hard to read on its background",
    "spam-words": "what filters take for spam",
    "unbalanced-html": "elements that are not closed, or closed without being open",
    "untranslated-part": "a part that is the same as in the default locale",
    "unused-variable": "a variable of the default locale that this one does not mention",
}

_LOOSE_ENDS = frozenset({"li", "p", "td", "th", "tr", "tbody", "thead", "tfoot", "dt", "dd", "option", "html", "body", "head", "colgroup"})
_LOCAL_HOSTS = re.compile(
    r"localhost|127\.\d+\.\d+\.\d+|\[?::1\]?|0\.0\.0\.0|10\.\d+\.\d+\.\d+|192\.168\.\d+\.\d+|.*\.(local|internal|test|localhost)"
)
_SPAM = re.compile(
    r"!{2,}|\${2,}|\b(?:100% free|act now|click here|no risk|winner|viagra|make money|cash bonus|risk[- ]free)\b", re.IGNORECASE
)
_COLOURS = {"white": "fff", "black": "000", "red": "f00", "green": "008000", "blue": "00f", "gray": "808080", "grey": "808080"}
_COLOUR = re.compile(r"(?:^|;)\s*color\s*:\s*(#[0-9a-f]{3,6}|[a-z]+)\b", re.IGNORECASE)
_BACKGROUND = re.compile(r"(?:^|;)\s*background(?:-color)?\s*:\s*(#[0-9a-f]{3,6}|[a-z]+)\b", re.IGNORECASE)


def lint(contents: Mapping[str, Content], finished: Mapping[str, Content], channel: Channel, default_locale: str) -> list[Finding]:
    """Findings about contents as they were given (`contents`) and as they are rendered (`finished`), at most MAX_FINDINGS."""
    found: list[Finding] = []
    for locale, content in contents.items():
        path = f"contents.{locale}"
        if channel is Channel.EMAIL:
            found += _mail(path, content, finished[locale])
        else:
            found += _push(path, content)
        if locale != default_locale:
            found += _same_parts(path, content, contents[default_locale], default_locale)
    return found[:MAX_FINDINGS]


def _mail(path: str, content: Content, finished: Content) -> Iterator[Finding]:
    place = f"{path}.mjml" if content.mjml else f"{path}.html"
    subject = JINJA_TAG.sub("", content.subject)
    if len(subject) > MAX_SUBJECT_SHOWN:
        yield Finding(
            "long-text", f"{path}.subject", 1, f"has {len(subject)} characters without variables; most lists show {MAX_SUBJECT_SHOWN}"
        )
    if _SPAM.search(subject) or (len(subject) > 10 and subject.isupper()):
        yield Finding("spam-words", f"{path}.subject", 1, "looks like spam to filters: no shouting, no promises, one exclamation mark")
    size = len(finished.html.encode())
    if size > GMAIL_CLIPS_BYTES:
        yield Finding("clipped-html", place, 1, f"has {size} bytes without its variables; Gmail cuts after {GMAIL_CLIPS_BYTES}")
    if content.mjml:
        # what the library makes is well formed; its lines are not the author's
        yield from (finding._replace(line=1) for finding in _html(place, finished.html) if finding.rule != "unbalanced-html")
    else:
        yield from _html(place, content.html)


def _push(path: str, content: Content) -> Iterator[Finding]:
    for name, most in (("title", MAX_TITLE_SHOWN), ("body", MAX_BODY_SHOWN)):
        shown = JINJA_TAG.sub("", getattr(content, name))
        if len(shown) > most:
            yield Finding("long-text", f"{path}.{name}", 1, f"has {len(shown)} characters without variables; a lock screen shows {most}")


def _same_parts(path: str, content: Content, default: Content, default_locale: str) -> Iterator[Finding]:
    for name in ("subject", "mjml", "html", "text", "title", "body"):
        text = getattr(content, name)
        if re.search(r"[^\W\d_]{4,}", JINJA_TAG.sub("", text)) and text == getattr(default, name):
            yield Finding(
                "untranslated-part", f"{path}.{name}", 1, f"is the same as in {default_locale}; translate it, or leave the locale out"
            )


def _html(place: str, source: str) -> list[Finding]:
    reader = _LintReader(place)
    # Jinja2's tags as blanks and letters, so that lines stay what they are
    reader.feed(
        JINJA_TAG.sub(lambda tag: re.sub(r"[^\n]", "x", tag[0]) if tag[0].startswith("{{") else re.sub(r"[^\n]", " ", tag[0]), source)
    )
    reader.close()
    return reader.end()


class _Open(NamedTuple):
    tag: str
    line: int


class _LintReader(HtmlReader):
    """Collects findings about one HTML source."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self._place = place
        self._found: list[Finding] = []
        self._open: list[_Open] = []

    def end(self) -> list[Finding]:
        """What was found, once the source is at its end."""
        for left in self._open:
            if left.tag not in _LOOSE_ENDS:
                self._add("unbalanced-html", f"<{left.tag}> is not closed", left.line)
        return sorted(self._found, key=lambda finding: finding.line)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in VOID:
            self._open.append(_Open(tag, self.getpos()[0]))
        if tag == "img":
            if "alt" not in given:
                self._add("image-without-alt", 'a picture has no alt; give alt="" to one that only decorates')
            if not {"width", "height"} & given.keys() and "width" not in given.get("style", ""):
                self._add("image-without-size", "a picture has neither width nor height")
        if tag == "a" and "href" in given and given["href"].strip() in {"", "#"}:
            self._add("empty-link", "a link leads nowhere")
        for name in ("href", "src"):
            self._address(given.get(name, "").strip())
        self._contrast(given.get("style", ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        names = [each.tag for each in self._open]
        if tag not in names:
            if tag not in _LOOSE_ENDS and tag not in VOID:
                self._add("unbalanced-html", f"</{tag}> closes nothing")
            return
        while self._open[-1].tag != tag:
            left = self._open.pop()
            if left.tag not in _LOOSE_ENDS:
                self._add("unbalanced-html", f"<{left.tag}> is not closed", left.line)
        self._open.pop()

    def _address(self, address: str) -> None:
        try:
            parts = urlsplit(address)
            host = parts.hostname or ""
        except ValueError:
            return
        if host and _LOCAL_HOSTS.fullmatch(host):
            self._add("local-link", f"{host} is an address that recipients do not have")
        elif parts.scheme == "http":
            self._add("insecure-link", "http:// is read and changed on the way; use https://")

    def _contrast(self, style: str) -> None:
        text, background = _COLOUR.search(style), _BACKGROUND.search(style)
        if text is None or background is None:
            return
        ratio = contrast(text[1], background[1])
        if ratio is not None and ratio < MIN_CONTRAST:
            self._add("low-contrast", f"{text[1]} on {background[1]} has a contrast of {ratio:.1f}; {MIN_CONTRAST} can be read")

    def _add(self, rule: str, description: str, line: int = 0) -> None:
        self._found.append(Finding(rule, self._place, line or self.getpos()[0], description))


def contrast(text: str, background: str) -> float | None:
    """WCAG's contrast of two colours, from 1 to 21; None for a colour that is not known here."""
    lights = sorted(light for colour in (text, background) if (light := _luminance(colour)) is not None)
    return (lights[1] + 0.05) / (lights[0] + 0.05) if len(lights) == 2 else None


def _luminance(colour: str) -> float | None:
    digits = _COLOURS.get(colour.lower(), colour).removeprefix("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    if not re.fullmatch(r"[0-9a-fA-F]{6}", digits):
        return None
    parts = [int(digits[index : index + 2], 16) / 255 for index in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
