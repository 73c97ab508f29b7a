"""What is made of a mail's source when a version is created: HTML of MJML, styles put into their elements, and a text part of the HTML.

The two libraries read HTML and know nothing of Jinja2, so its tags are taken out before and put back after: a statement between two
elements as a comment, which may stand anywhere, and everything else as a word.
"""

import re
from html.parser import HTMLParser

import css_inline
import mjml

_TAG = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_RAW = re.compile(r"\{%[-+]?\s*raw\s*[-+]?%\}.*?\{%[-+]?\s*endraw\s*[-+]?%\}", re.DOTALL)
_WORD = re.compile(r"<!--jinja(?P<comment>\d+)x-->|jinja(?P<word>\d+)x(?:=\"\")?")
_BETWEEN = re.compile(r"(?<=>)(?P<inside>(?:\s*jinja\d+x)+\s*)(?=<)")
_MJML_LEFT = re.compile(r"</?(mj-[a-z-]+)")
_INLINE_STYLE = re.compile(r"<mj-style\b[^>]*\binline\s*=\s*[\"']inline[\"'][^>]*>(?P<css>.*?)</mj-style>", re.DOTALL)
_STYLE = re.compile(r"<style\b[^>]*>(?P<css>.*?)</style>", re.DOTALL | re.IGNORECASE)
_BLANK_LINES = re.compile(r"\n{3,}")
_SPACES = re.compile(r"\s+")


class MarkupFault(Exception):
    """A source that can't be read as MJML; the message is for its author."""


def html_of_mjml(source: str) -> str:
    """The HTML of an MJML document, without `lang` and `dir`, which each locale has its own of (`html_language`).

    No font is loaded from elsewhere, and nothing is included. Raises MarkupFault.
    """
    plain, tags = _taken_out(source)
    styles = "\n".join(found["css"] for found in _INLINE_STYLE.finditer(plain))
    plain = _INLINE_STYLE.sub("", plain)
    try:
        html = mjml.mjml2html(plain, fonts={})
    except ValueError as error:
        raise MarkupFault(_explained(str(error), plain)) from None
    unknown = _MJML_LEFT.search(html)
    if unknown is not None:
        raise MarkupFault(f"there is no MJML element {unknown[1]!r} in that place")
    lost = set(_order(plain)) - set(_order(html))
    if lost:
        raise MarkupFault(f"{tags[min(lost)]} stands where MJML can not take it")
    if styles:
        inliner = css_inline.CSSInliner(inline_style_tags=False, keep_style_tags=True, load_remote_stylesheets=False, extra_css=styles)
        html = inliner.inline(html)
    return _put_back(html.replace(' lang="und" dir="auto"', ""), tags)


def with_inline_styles(source: str) -> str:
    """The HTML with the rules of its `style` elements in the elements that they are for, since not every mail client reads the former.
    The `style` elements stay, for what only they can say. HTML without any, or with a statement of Jinja2 in one, stays as it is.
    """
    plain, tags = _taken_out(source)
    styles = _STYLE.findall(plain)
    statements = {f"jinja{number}x" for number, tag in enumerate(tags) if tag.startswith("{%")}
    if not styles or any(word in css for css in styles for word in statements):
        return source
    inliner = css_inline.CSSInliner(keep_style_tags=True, load_remote_stylesheets=False)
    document = re.search(r"<html\b|<body\b|<!doctype\b", plain, re.IGNORECASE) is not None
    try:
        html = inliner.inline(plain) if document else inliner.inline_fragment(plain, "")
    except css_inline.InlineError:
        return source  # a style sheet that no program understands harms no mail
    if _order(html) != _order(plain):
        return source  # HTML that is not well formed, which the library has put in another order
    if "<tbody" not in plain.lower():  # which HTML implies around rows, also where a loop stands between them and their table
        html = html.replace("<tbody>", "").replace("</tbody>", "")
    return _put_back(html, tags)


def text_of_html(source: str) -> str:
    """A text part that says what the HTML says: a line for each block, links with their addresses, pictures by their alternative texts.

    Read as a stream, because a parser that builds a tree moves text, such as Jinja2's tags, out of tables.
    """
    plain, tags = _taken_out(source, comments=False)
    reader = _TextReader(tags)
    reader.feed(plain)
    reader.close()
    return _put_back(reader.text(), tags)


def _taken_out(source: str, *, comments: bool = True) -> tuple[str, list[str]]:
    numbers: dict[str, int] = {}  # the same tag is the same word, so that a link is seen to show its own address

    def word(found: re.Match[str]) -> str:
        return f"jinja{numbers.setdefault(found[0], len(numbers))}x"

    def commented(found: re.Match[str]) -> str:
        tags = list(numbers)
        if any(tags[int(number)].startswith("{{") for number in re.findall(r"jinja(\d+)x", found["inside"])):
            return found[0]
        return re.sub(r"jinja(\d+)x", r"<!--jinja\1x-->", found["inside"])

    plain = _TAG.sub(word, _RAW.sub(word, source))
    return (_BETWEEN.sub(commented, plain) if comments else plain), list(numbers)


def _order(text: str) -> list[int]:
    return [int(found["comment"] or found["word"]) for found in _WORD.finditer(text)]


def _put_back(text: str, tags: list[str]) -> str:
    previous = None
    while previous != text:  # a raw block holds words of its own
        previous = text
        text = _WORD.sub(lambda found: tags[int(found["comment"] or found["word"])], text)
    return text


def _explained(problem: str, source: str) -> str:
    """The library says where it stopped as positions of characters."""
    position = re.search(r"position (\d+)", problem)
    line = f"line {source.count(chr(10), 0, int(position[1])) + 1}: " if position else ""
    return f"{line}is not valid MJML"


class _TextReader(HTMLParser):
    """Collects lines."""

    _APART = frozenset({"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "table", "ul"})
    _BLOCKS = _APART | {
        "address",
        "article",
        "body",
        "div",
        "dl",
        "dt",
        "dd",
        "footer",
        "header",
        "hr",
        "li",
        "main",
        "pre",
        "section",
        "tr",
    }
    _UNREAD = frozenset({"head", "script", "style", "title", "noscript"})

    def __init__(self, tags: list[str]) -> None:
        super().__init__(convert_charrefs=True)
        self._statements = {f"jinja{number}x" for number, tag in enumerate(tags) if not tag.startswith("{{")}
        self._lines: list[str] = [""]
        self._unread = 0
        self._links: list[tuple[str, int]] = []
        self._hidden: list[str] = []

    def text(self) -> str:
        """The lines so far."""
        return _BLANK_LINES.sub("\n\n", "\n".join(line.rstrip() for line in self._lines)).strip() + "\n"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if self._hidden:
            self._hidden += [tag] if tag not in {"br", "img", "hr", "meta", "input", "link"} else []
        elif tag in self._UNREAD:
            self._unread += 1
        elif "display:none" in given.get("style", "").replace(" ", "") and tag not in {"br", "img", "hr"}:
            self._hidden.append(tag)  # such as the line that only the list of an inbox shows
        elif tag == "br":
            self._lines.append("")
        elif tag == "img":
            self.handle_data(given.get("alt", ""))
        elif tag == "a" and given.get("href", "").strip():
            self._links.append((given["href"].strip(), len("\n".join(self._lines))))
        elif tag == "td" and not self._at_start():
            self._lines[-1] += " "
        elif tag in self._BLOCKS:
            self._begin_line(apart=tag in self._APART)
            if tag == "li":
                self._lines[-1] += "- "

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            if tag in self._hidden:
                del self._hidden[len(self._hidden) - 1 - self._hidden[::-1].index(tag) :]
        elif tag in self._UNREAD:
            self._unread = max(0, self._unread - 1)
        elif tag == "a" and self._links:
            address, start = self._links.pop()
            shown = "\n".join(self._lines)[start:].strip()
            if shown not in {address, address.removeprefix("mailto:")}:
                self._lines[-1] += f" ({address})" if shown else address
        elif tag in self._BLOCKS:
            self._begin_line(apart=tag in self._APART)

    def handle_data(self, data: str) -> None:
        if self._unread or self._hidden:
            return
        text = _SPACES.sub(" ", data)
        line = self._lines[-1]
        self._lines[-1] = line + (text.lstrip() if line.endswith(" ") or self._at_start() else text)

    def _at_start(self) -> bool:
        """Whether the line has nothing but statements, which become no text."""
        return not _WORD.sub(lambda found: "" if found[0] in self._statements else found[0], self._lines[-1]).strip()

    def _begin_line(self, *, apart: bool) -> None:
        # a line with nothing but statements goes on: it must not become an empty one in each round of a loop
        if self._at_start():
            self._lines[-1] = self._lines[-1].replace(" ", "")
            return
        self._lines += ["", ""] if apart else [""]
