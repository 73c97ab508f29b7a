"""Where in the HTML each output of a template stands, found by reading the template as a browser would read what it makes.

Escaping keeps a variable inside of its text or its quoted attribute, which is all that most places need. Some need more: a URL must not
begin with `javascript:`, a style must not load anything, and in a script, a tag or an unquoted attribute nothing helps. The idea is that of
contextual escaping (Samuel, Saxena and Song, "Context-Sensitive Auto-Sanitization in Web Templating Languages", CCS 2011); a template that
can be in several places at once, because its branches differ, is read in all of them.
"""

import html
import re
from collections.abc import Iterable
from enum import Enum, auto
from typing import NamedTuple

from jinja2 import nodes

from template_svc.syntax import SyntaxFault

MAX_PLACES = 32
MAX_ROUNDS = 8
# What is kept of an attribute's text before an output; enough to see whether a scheme or a `url(` is open.
MAX_BEFORE = 200

_URLS = frozenset(
    {
        "href", "src", "action", "formaction", "xlink:href", "poster", "background", "cite", "longdesc", "data", "ping", "manifest",
        # of HTML 4 and of old mail programs
        "archive", "classid", "codebase", "dynsrc", "lowsrc", "profile", "usemap",
    }
)  # fmt: skip
_URL_LISTS = frozenset({"srcset", "imagesrcset"})
_RAW = frozenset({"script", "style"})
# Elements whose attributes set others' while they run.
_ANIMATIONS = frozenset({"animate", "animatetransform", "set"})
# Outlook reads what stands in a comment with a condition, so that it is read here, too; `<!-->` is a comment as a whole.
# HTML has no other white space than this: a no-break space beside a `=` belongs to the value, which is then not in quotes.
_BLANK = " \t\n\f\r"
_TAG = re.compile(rf"<(?:(!---?>|!--\s*\[if\b[^\]]*\]>)|(!--)|(/?[a-zA-Z][^{_BLANK}/>]*))")
_COMMENT_END = re.compile(r"--!?>")
_NAME = re.compile(rf"[^{_BLANK}=>/]+")
_SPACE = re.compile(rf"[{_BLANK}/]*")
# Up to the URL of a `meta` that goes there by itself.
_REFRESH_URL = re.compile(rf".*url[{_BLANK}]*=[{_BLANK}]*['\"]?", re.IGNORECASE | re.DOTALL)
# What a `meta` element is known to be by the attributes before.
_REFRESHES, _HAS_CONTENT = "meta refreshes", "meta content"
_METAS = frozenset({"meta", _REFRESHES, _HAS_CONTENT})
_SCHEME_IS_OVER = re.compile(r"[:/?#]")
_RUNS = re.compile(r"(?:javascript|vbscript|livescript|data(?!:image/(?:png|jpeg|gif|webp)[;,])):")
_IGNORED = re.compile(r"[\x00-\x20]")
_OPEN_URL = re.compile(r"url\(\s*['\"]?([^)]*)\Z", re.IGNORECASE)
# Stands for what an output has put there.
_FILLED = ":"
# The same after a scheme whose URLs run what they hold.
_RUNNING = "javascript:"


class Mode(Enum):
    """The states of an HTML tokenizer, as far as they make a difference for an output."""

    TEXT = auto()
    COMMENT = auto()
    RAW = auto()
    TAG = auto()
    NAME = auto()
    AFTER_NAME = auto()
    BEFORE_VALUE = auto()
    QUOTED = auto()
    UNQUOTED = auto()


class Guard(Enum):
    """What an output has to be checked for when it is rendered."""

    URL = "url"
    URL_LIST = "url_list"
    STYLE = "style"
    STYLE_URL = "style_url"


class Place(NamedTuple):
    """A state of the tokenizer; `before` is what the attribute or the style holds already."""

    mode: Mode = Mode.TEXT
    tag: str = ""
    attribute: str = ""
    quote: str = ""
    before: str = ""


START = frozenset({Place()})


def mark_outputs(tree: nodes.Template, *, stored: bool = False) -> list[SyntaxFault]:
    """Sets `guards` of each output that needs some. Returns the first output where no variable may stand, if there is one.

    In a `stored` template, which was made when less was refused, the outputs before such a one get their guards, and nothing is returned.
    """
    try:
        _walk(tree.body, START)
    except SyntaxFault as fault:
        return [] if stored else [fault]
    return []


def _walk(body: Iterable[nodes.Node], places: frozenset[Place]) -> frozenset[Place]:
    for node in body:
        if isinstance(node, nodes.Output):
            places = _output(node, places)
        elif isinstance(node, nodes.If):
            branches = (node.body, *(branch.body for branch in node.elif_), node.else_)
            places = frozenset[Place]().union(*(_walk(branch, places) for branch in branches))
        elif isinstance(node, nodes.For):
            places = _loop(node, places)
        elif isinstance(node, nodes.With):
            places = _walk(node.body, places)
        elif isinstance(node, nodes.Macro | nodes.AssignBlock | nodes.FilterBlock):
            if _walk(node.body, START) != START:
                raise SyntaxFault(node.lineno, "a block that begins in the middle of the text must not end inside of a tag")
            if isinstance(node, nodes.FilterBlock) and any(_guard_of(place, node.lineno) for place in places):
                raise SyntaxFault(node.lineno, "a filter block can't stand in a URL or a style; use the filter on the variable")
        if len(places) > MAX_PLACES:
            raise SyntaxFault(node.lineno, "the HTML around this depends on too many conditions")
    return places


def _loop(node: nodes.For, places: frozenset[Place]) -> frozenset[Place]:
    reached = places
    for _ in range(MAX_ROUNDS):
        more = reached | _walk(node.body, reached)
        if more == reached:
            return reached | _walk(node.else_, places)
        reached = more
        if len(reached) > MAX_PLACES:
            break
    raise SyntaxFault(node.lineno, "each round of a loop must leave the HTML where it found it")


def _output(node: nodes.Output, places: frozenset[Place]) -> frozenset[Place]:
    for child in node.nodes:
        if isinstance(child, nodes.TemplateData):
            try:
                places = frozenset(_advance(place, child.data) for place in places)
            except SyntaxFault as fault:
                raise SyntaxFault(child.lineno, fault.description) from None
        elif (texts := _constants(child)) is not None:
            places = frozenset(_fill_with(place, text) for place in places for text in texts)
        else:
            guards = {guard for place in places if (guard := _guard_of(place, child.lineno)) is not None}
            if guards:
                child.guards = sorted(guard.value for guard in guards)  # type: ignore[attr-defined]  # nodes take attributes
            # an `if` without `else` may be nothing, so that the next output is the first one
            before = places if guards and _may_be_nothing(child) else frozenset[Place]()
            places = before | frozenset(_fill(place) for place in places)
    return places


def _constants(node: nodes.Node | None) -> frozenset[str] | None:
    """The texts that can come out where the author wrote all of them, such as `'selected' if chosen`; None for any other output."""
    if node is None:
        return frozenset({""})
    if isinstance(node, nodes.CondExpr):
        texts, others = _constants(node.expr1), _constants(node.expr2)
        return None if texts is None or others is None else texts | others
    return frozenset({str(node.value)}) if isinstance(node, nodes.Const) else None


def _may_be_nothing(node: nodes.Node) -> bool:
    conditions = [*node.find_all(nodes.CondExpr), *([node] if isinstance(node, nodes.CondExpr) else [])]
    return any(condition.expr2 is None for condition in conditions)


def _fill(place: Place) -> Place:
    if place.tag == "meta" and place.attribute == "content":
        place = place._replace(tag=_HAS_CONTENT)
    return place._replace(before=_FILLED) if place.mode in {Mode.QUOTED, Mode.RAW} else place


def _fill_with(place: Place, text: str) -> Place:
    if place.mode is Mode.QUOTED:
        return place._replace(before=_kept(place, html.escape(text)))
    return place._replace(before=(place.before + text)[-MAX_BEFORE:]) if place.mode is Mode.RAW else place


def _guard_of(place: Place, line: int) -> Guard | None:
    mode, name = place.mode, place.attribute
    if mode in {Mode.TEXT, Mode.COMMENT}:
        return None
    if mode is Mode.RAW:
        if place.tag == "script":
            raise SyntaxFault(line, "a variable can't stand in a script")
        return _style_guard(place.before, line)
    if mode in {Mode.BEFORE_VALUE, Mode.UNQUOTED}:
        raise SyntaxFault(line, f"put the value of the attribute {name} in quotes: a variable in it could start another attribute")
    if mode is not Mode.QUOTED:
        raise SyntaxFault(line, "a variable can't be part of a tag, only of its text and of quoted attribute values")
    if place.tag in _METAS and name == "http-equiv":
        raise SyntaxFault(line, "a variable can't stand in the attribute http-equiv, which decides what the content does")
    if name.startswith("on") or name == "srcdoc" or (place.tag == "script" and name in _URLS) or place.tag in _ANIMATIONS:
        raise SyntaxFault(line, f"a variable can't stand in the attribute {name}, which runs what it holds")
    if name == "style":
        return _style_guard(html.unescape(place.before), line)
    if name in _URL_LISTS:
        return _url_guard(place.before.rpartition(",")[2], line, name, Guard.URL_LIST)
    if name in _URLS:
        return _url_guard(place.before, line, name, Guard.URL)
    return _meta_guard(place, line) if place.tag in _METAS and name == "content" else None


def _meta_guard(place: Place, line: int) -> Guard | None:
    """What `http-equiv="refresh"` makes of a content: a page to go to."""
    url = _REFRESH_URL.match(html.unescape(place.before))
    if url is not None:
        return _url_guard(html.unescape(place.before)[url.end() :], line, place.attribute, Guard.URL)
    if place.tag == _REFRESHES and not place.before.startswith(_FILLED):
        raise SyntaxFault(line, 'a meta that refreshes needs its seconds and "url=" in the template, as in content="0;url={{ link }}"')
    return None


def _url_guard(before: str, line: int, name: str, guard: Guard) -> Guard | None:
    before = before.strip()
    if not before:
        return guard
    plain = _plain_url(before)
    if _RUNS.match(plain):
        raise SyntaxFault(line, f"a variable can't stand in a URL in {name} that runs what it holds")
    if _SCHEME_IS_OVER.search(plain):
        return None
    raise SyntaxFault(line, f"a URL in {name} needs its scheme in the template (https://...), or to be one variable as a whole")


def _plain_url(text: str) -> str:
    """The beginning of a URL as a browser reads it, which leaves out line breaks and the like."""
    return _IGNORED.sub("", html.unescape(text)).lower()


def _style_guard(before: str, line: int) -> Guard:
    url = _OPEN_URL.search(before)
    if url is None:
        return Guard.STYLE
    return Guard.STYLE_URL if _url_guard(url[1], line, "style", Guard.STYLE_URL) is not None else Guard.STYLE


def _advance(place: Place, text: str) -> Place:
    position = 0
    while position < len(text):
        place, position = _STEPS[place.mode](place, text, position)
    return place


def _in_text(place: Place, text: str, position: int) -> tuple[Place, int]:
    found = _TAG.search(text, position)
    if found is None:
        return place, len(text)
    if found[1]:
        return place, found.end()
    if found[2]:
        return Place(Mode.COMMENT), found.end()
    return Place(Mode.TAG, tag=found[3].lower()), found.end()


def _in_comment(place: Place, text: str, position: int) -> tuple[Place, int]:
    end = _COMMENT_END.search(text, position)
    return (place, len(text)) if end is None else (Place(), end.end())


def _in_raw(place: Place, text: str, position: int) -> tuple[Place, int]:
    end = text.lower().find(f"</{place.tag}", position)
    if end < 0:
        return place._replace(before=(place.before + text[position:])[-MAX_BEFORE:]), len(text)
    return Place(Mode.TAG, tag=f"/{place.tag}"), end + 2 + len(place.tag)


def _in_tag(place: Place, text: str, position: int) -> tuple[Place, int]:
    position = _SPACE.match(text, position).end()  # type: ignore[union-attr]  # matches the empty text too
    if position == len(text):
        return place, position
    if text[position] == ">":
        return Place(Mode.RAW, tag=place.tag) if place.tag in _RAW else Place(), position + 1
    name = _NAME.match(text, position)
    if name is None:
        return place, position + 1
    return Place(Mode.NAME, tag=place.tag, attribute=name[0].lower()), name.end()


def _in_name(place: Place, text: str, position: int) -> tuple[Place, int]:
    character = text[position]
    if character == "=":
        return place._replace(mode=Mode.BEFORE_VALUE), position + 1
    if character in _BLANK:
        return place._replace(mode=Mode.AFTER_NAME), position + 1
    if place.mode is Mode.NAME and (rest := _NAME.match(text, position)) is not None:
        return place._replace(attribute=place.attribute + rest[0].lower()), rest.end()
    return Place(Mode.TAG, tag=place.tag), position


def _before_value(place: Place, text: str, position: int) -> tuple[Place, int]:
    character = text[position]
    if character in _BLANK:
        return place, position + 1
    if character in "'\"":
        return place._replace(mode=Mode.QUOTED, quote=character), position + 1
    if character == ">":
        return Place(Mode.TAG, tag=place.tag), position
    return place._replace(mode=Mode.UNQUOTED), position


def _in_quotes(place: Place, text: str, position: int) -> tuple[Place, int]:
    end = text.find(place.quote, position)
    if end < 0:
        return place._replace(before=_kept(place, text[position:])), len(text)
    return _behind(place, text[position:end]), end + 1


def _behind(place: Place, text: str) -> Place:
    """Behind the value of an attribute, whose end the text is. Raises SyntaxFault, without the line."""
    tag = place.tag
    if tag in _METAS and place.attribute == "http-equiv" and html.unescape(place.before + text).strip(_BLANK).lower() == "refresh":
        if tag == _HAS_CONTENT:
            raise SyntaxFault(0, 'http-equiv="refresh" must stand before a content with a variable')
        tag = _REFRESHES
    return Place(Mode.TAG, tag=tag)


def _kept(place: Place, text: str) -> str:
    """Texts that mean the same for what follows become the same, so that branches come together again."""
    before = (place.before + text)[-MAX_BEFORE:]
    if place.attribute in _URLS and _SCHEME_IS_OVER.search(plain := _plain_url(place.before + text)):
        return _RUNNING if _RUNS.match(plain) else _FILLED
    return before if place.attribute in _URLS | _URL_LISTS or place.attribute in {"style", "content", "http-equiv"} else ""


def _unquoted(place: Place, text: str, position: int) -> tuple[Place, int]:
    begin = position
    while position < len(text) and text[position] not in _BLANK and text[position] != ">":
        position += 1
    value = text[begin:position]
    return (place._replace(before=_kept(place, value)), position) if position == len(text) else (_behind(place, value), position)


_STEPS = {
    Mode.TEXT: _in_text,
    Mode.COMMENT: _in_comment,
    Mode.RAW: _in_raw,
    Mode.TAG: _in_tag,
    Mode.NAME: _in_name,
    Mode.AFTER_NAME: _in_name,
    Mode.BEFORE_VALUE: _before_value,
    Mode.QUOTED: _in_quotes,
    Mode.UNQUOTED: _unquoted,
}
