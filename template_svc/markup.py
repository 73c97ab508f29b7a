"""What is made of a mail's source when a version is created: HTML of MJML, styles put into their elements, and a text part of the HTML.

The two libraries read HTML and know nothing of Jinja2, so its tags are taken out before and put back after: a statement between two
elements as a comment, which may stand anywhere, and everything else as a word.
"""

import re
from collections.abc import Collection

import css_inline
import mjml

from template_svc.source_syntax import JINJA_TAG, VOID
from template_svc.text_part import TextReader

_RAW = r"\{%[-+]?\s*raw\s*[-+]?%\}.*?\{%[-+]?\s*endraw\s*[-+]?%\}"
# What an author has written like one of the words below is taken out with the tags.
_TAKEN = re.compile(f"{_RAW}|{JINJA_TAG.pattern}|(?i:jinja[0-9]+x)", re.DOTALL)
_WORD = re.compile(r"<!--jinja(?P<comment>[0-9]+)x-->|jinja(?P<word>[0-9]+)x(?:=\"\")?")
_BETWEEN = re.compile(r"(?<=>)(?P<inside>(?:\s*jinja[0-9]+x)+\s*)(?=<)")
_SILENT = ("{%", "{#")
_MJML_LEFT = re.compile(r"</?(mj-[a-z-]+)")
_INLINE_STYLE = re.compile(r"<mj-style\b[^>]*\binline\s*=\s*[\"']inline[\"'][^>]*>(?P<css>.*?)</mj-style>", re.DOTALL)
_STYLE = re.compile(r"<style\b[^>]*>(?P<css>.*?)</style>", re.DOTALL | re.IGNORECASE)

# The libraries recurse: a deeper document ends the process, or takes it seconds.
MAX_DEPTH = 200
# Rules times elements: putting styles in compares each with each, 50 million a second.
MAX_MATCHES = 20_000_000
_ELEMENT = re.compile(r"<(?P<end>/?)(?P<name>[a-zA-Z][^\s/>]*)(?:[^<>\"'/]|/(?!>)|\"[^\"]*\"|'[^']*')*+(?P<empty>/?)>")
# Tags and comments.
MAX_UNCLOSED = 100


class MarkupFault(Exception):
    """A source that can't be read as MJML or HTML; the message is for its author."""


def html_of_mjml(source: str) -> str:
    """The HTML of an MJML document, without `lang` and `dir`, which each locale has its own of (`html_language`).

    No font is loaded from elsewhere, and nothing is included. Raises MarkupFault.
    """
    plain, tags = _taken_out(source)
    if _depth(plain) > MAX_DEPTH:
        raise MarkupFault(f"has elements in each other more than {MAX_DEPTH} deep")
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


def check_closed(source: str) -> None:
    """Raises MarkupFault for HTML with many tags or comments that are never closed: the time to read it grows with their square."""
    plain, _ = _taken_out(source)
    if abs(plain.count("<") - plain.count(">")) > MAX_UNCLOSED or plain.count("<!--") - plain.count("-->") > MAX_UNCLOSED:
        raise MarkupFault(f"has more than {MAX_UNCLOSED} tags or comments that are not closed")


def with_inline_styles(source: str) -> str:
    """The HTML with the rules of its `style` elements in the elements that they are for, since not every mail client reads the former.
    The `style` elements stay, for what only they can say. HTML whose styles can't be put in (`_fit_to_inline`) stays as it is.
    """
    plain, tags = _taken_out(source)
    if not _fit_to_inline(plain, {f"jinja{number}x" for number, tag in enumerate(tags) if tag.startswith("{%")}):
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


def _fit_to_inline(plain: str, statements: Collection[str]) -> bool:
    """Whether the HTML has styles, all of them closed, without a statement of Jinja2, and as few and as plain as those of a mail."""
    begun = plain.lower().count("<style")
    if not begun or begun != plain.lower().count("</style"):
        return False
    css = "\n".join(_STYLE.findall(plain))
    # the library takes a time that grows with the square of what is not closed, and with rules times elements
    closed = css.count("{") == css.count("}") and css.count("(") == css.count(")") and "{{{" not in re.sub(r"\s", "", css)
    return (
        closed
        and css.count("{") * plain.count("<") <= MAX_MATCHES
        and _depth(plain) <= MAX_DEPTH
        and not any(word in css for word in statements)
    )


def text_of_html(source: str) -> str:
    """A text part that says what the HTML says: a line for each block, links with their addresses, pictures by their alternative texts.

    Read as a stream, because a parser that builds a tree moves text, such as Jinja2's tags, out of tables.
    """
    plain, tags = _taken_out(source, comments=False)
    statements = frozenset(f"jinja{number}x" for number, tag in enumerate(tags) if tag.startswith(_SILENT))
    reader = TextReader(lambda text: not _WORD.sub(lambda found: "" if found[0] in statements else found[0], text).strip())
    reader.feed(plain)
    reader.close()
    return _put_back(reader.text(), tags)


def _taken_out(source: str, *, comments: bool = True) -> tuple[str, list[str]]:
    numbers: dict[str, int] = {}  # the same tag is the same word, so that a link is seen to show its own address

    def word(found: re.Match[str]) -> str:
        return f"jinja{numbers.setdefault(found[0], len(numbers))}x"

    plain = _TAKEN.sub(word, source)
    tags = list(numbers)

    def commented(found: re.Match[str]) -> str:
        if not all(tags[int(number)].startswith(_SILENT) for number in re.findall(r"jinja([0-9]+)x", found["inside"])):
            return found[0]
        return re.sub(r"jinja([0-9]+)x", r"<!--jinja\1x-->", found["inside"])

    return (_BETWEEN.sub(commented, plain) if comments else plain), tags


def _depth(source: str) -> int:
    depth, deepest = 0, 0
    for found in _ELEMENT.finditer(source):
        if found["end"]:
            depth = max(0, depth - 1)
        elif not found["empty"] and found["name"].lower() not in VOID:
            depth += 1
            deepest = max(deepest, depth)
    return deepest


def _order(text: str) -> list[int]:
    return [_number(found) for found in _WORD.finditer(text)]


def _number(word: re.Match[str]) -> int:
    return int((word["comment"] or word["word"])[:9])


def _put_back(text: str, tags: list[str]) -> str:
    # a word of another number was written with character references, which the libraries have read
    return _WORD.sub(lambda found: tags[_number(found)] if _number(found) < len(tags) else found[0], text)


def _explained(problem: str, source: str) -> str:
    """The library says where it stopped as positions of characters."""
    position = re.search(r"position (\d+)", problem)
    line = f"line {source.count(chr(10), 0, int(position[1])) + 1}: " if position else ""
    return f"{line}is not valid MJML"
