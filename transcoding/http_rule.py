"""Path templates of google.api.http: the whole grammar, compiled once, and a router that prefers literals to variables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, NoReturn, TypeVar
from urllib.parse import unquote

T = TypeVar("T")

ANY_METHOD = "*"  # `custom { kind: "*" }`: every HTTP method that has no binding of its own

_FIELD_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_LITERAL = re.compile(r"(?:[A-Za-z0-9._~!$&'()+,;=@-]|%[0-9A-Fa-f]{2})+")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ENCODED_SLASH = re.compile(r"(%2[Ff])")


class TemplateError(ValueError):
    """A path template breaks the grammar."""


class RouteConflict(ValueError):
    """Two bindings claim the same method and path."""


class MalformedPath(ValueError):
    """A request path has an escape that is no escape, or that does not decode to UTF-8."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable covers the segments `start` to `end` (excluded; None means to the last). `single` ones are decoded in full."""

    field_path: str
    start: int
    end: int | None
    single: bool


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled path template. A segment is `*`, `**` or a literal in decoded form; the two wildcards are marked by `literal` False."""

    text: str
    segments: tuple[tuple[str, bool], ...]
    verb: str | None
    variables: tuple[Variable, ...]

    @property
    def shape(self) -> tuple[object, ...]:
        """What decides which paths match: two templates of one shape can't live side by side."""
        return (*self.segments, self.verb)

    @property
    def is_static(self) -> bool:
        """Whether exactly one spelling matches."""
        return "%" not in self.text and all(literal for _, literal in self.segments)

    def extract(self, segments: list[str]) -> dict[str, str]:
        """The variables' values in the raw segments of a path that matches. Raises MalformedPath."""
        return {
            variable.field_path: _decode(segments[variable.start])
            if variable.single
            else _decode_multi("/".join(segments[variable.start : variable.end]))
            for variable in self.variables
        }


class _Parser:
    """Recursive descent over one template."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._segments: list[tuple[str, bool]] = []
        self._variables: list[Variable] = []

    def parse(self) -> Template:
        self._expect("/")
        self._segment_list(in_variable=False)
        verb = None
        if self._take(":"):
            verb = self._match(_LITERAL, "a verb")
        if self._at < len(self._text):
            self._fail(f"unexpected {self._text[self._at]!r}")
        if ("**", False) in self._segments[:-1]:
            self._fail("'**' must be the last segment")
        names = [variable.field_path for variable in self._variables]
        if len(set(names)) < len(names):
            self._fail("a variable is repeated")
        return Template(self._text, tuple(self._segments), verb, tuple(self._variables))

    def _segment_list(self, *, in_variable: bool) -> None:
        self._segment(in_variable=in_variable)
        while self._take("/"):
            self._segment(in_variable=in_variable)

    def _segment(self, *, in_variable: bool) -> None:
        if self._take("**"):
            self._segments.append(("**", False))
        elif self._take("*"):
            self._segments.append(("*", False))
        elif not in_variable and self._take("{"):
            self._variable()
        else:
            self._segments.append((_decode(self._match(_LITERAL, "a segment")), True))

    def _variable(self) -> None:
        name = self._match(_FIELD_PATH, "a field path")
        start = len(self._segments)
        if self._take("="):
            self._segment_list(in_variable=True)
        else:
            self._segments.append(("*", False))
        self._expect("}")
        covered = self._segments[start:]
        open_ended = covered[-1] == ("**", False)
        single = len(covered) == 1 and not open_ended
        self._variables.append(Variable(name, start, None if open_ended else len(self._segments), single))

    def _take(self, token: str) -> bool:
        found = self._text.startswith(token, self._at)
        self._at += len(token) if found else 0
        return found

    def _expect(self, token: str) -> None:
        if not self._take(token):
            self._fail(f"expected {token!r}")

    def _match(self, pattern: re.Pattern[str], what: str) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            self._fail(f"expected {what}")
        self._at = found.end()
        return found[0]

    def _fail(self, problem: str) -> NoReturn:
        raise TemplateError(f"path template {self._text!r}, character {self._at + 1}: {problem}")


def parse_template(text: str) -> Template:
    """Compiles a path template. Raises TemplateError."""
    return _Parser(text).parse()


@dataclass(frozen=True, slots=True)
class Match(Generic[T]):
    """What a path leads to, with the decoded values of the template's variables by field path."""

    target: T
    values: dict[str, str]


@dataclass(frozen=True, slots=True)
class NoMatch:
    """No binding takes the request: `allowed` are the methods that the path does have, none when there is no such path."""

    allowed: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Leaf(Generic[T]):
    template: Template
    target: T


@dataclass(slots=True)
class _Node(Generic[T]):
    """A position in the tree of segments. `ends` and `rests` (the latter for `**`) are by verb, then by HTTP method."""

    literals: dict[str, "_Node[T]"] = field(default_factory=dict)
    star: "_Node[T] | None" = None
    ends: dict[str | None, dict[str, _Leaf[T]]] = field(default_factory=dict)
    rests: dict[str | None, dict[str, _Leaf[T]]] = field(default_factory=dict)


class Router(Generic[T]):
    """Bindings by HTTP method and path.

    A literal segment wins over `*`, `*` over `**`. A verb that some template of the path has is always read as a verb, whatever the HTTP
    method; an id that ends like one writes its colon as %3A.
    """

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._static: dict[str, dict[str, _Leaf[T]]] = {}
        self._shapes: dict[tuple[str, tuple[object, ...]], str] = {}

    def add(self, method: str, template: Template, target: T) -> None:
        """Binds a target. Raises RouteConflict when the method already has a template of the same shape."""
        other = self._shapes.setdefault((method, template.shape), template.text)
        leaf = _Leaf(template, target)
        leaves = self._leaves_for(template)
        if method in leaves:
            raise RouteConflict(f"{method} {template.text} is bound twice (the other binding is {method} {other})")
        leaves[method] = leaf
        if template.is_static:
            self._static.setdefault(template.text, {})[method] = leaf

    def find(self, method: str, raw_path: str) -> Match[T] | NoMatch:
        """The binding for a request, by its path as it was sent, still escaped and without the query. Raises MalformedPath."""
        static = self._static.get(raw_path)
        if static is not None and method in static:
            return Match(static[method].target, {})
        if not raw_path.startswith("/"):
            return NoMatch(frozenset())
        if "%" in raw_path and _BAD_ESCAPE.search(raw_path):
            raise MalformedPath("the path has a '%' that starts no escape")
        segments = raw_path[1:].split("/")
        allowed: set[str] = set()
        for readings, verb in self._readings(segments):
            for leaves in self._walk(self._root, readings, 0, verb):
                leaf = leaves.get(method) or leaves.get(ANY_METHOD)
                if leaf is not None:
                    return Match(leaf.target, leaf.template.extract(readings))
                allowed.update(leaves)
            if allowed:
                break
        return NoMatch(frozenset(allowed))

    @staticmethod
    def _readings(segments: list[str]) -> Iterator[tuple[list[str], str | None]]:
        head, colon, verb = segments[-1].rpartition(":")
        if colon:
            yield [*segments[:-1], head], _decode(verb)
        yield segments, None

    def _leaves_for(self, template: Template) -> dict[str, _Leaf[T]]:
        node = self._root
        for text, literal in template.segments:
            if literal:
                node = node.literals.setdefault(text, _Node())
            elif text == "*":
                node.star = node.star or _Node()
                node = node.star
            else:
                return node.rests.setdefault(template.verb, {})
        return node.ends.setdefault(template.verb, {})

    def _walk(self, node: _Node[T], segments: list[str], index: int, verb: str | None) -> Iterator[dict[str, _Leaf[T]]]:
        if index == len(segments):
            if verb in node.ends:
                yield node.ends[verb]
        else:
            segment = segments[index]
            literal = node.literals.get(_decode(segment) if "%" in segment else segment)
            if literal is not None:
                yield from self._walk(literal, segments, index + 1, verb)
            if node.star is not None and segment:
                yield from self._walk(node.star, segments, index + 1, verb)
        if verb in node.rests:
            yield node.rests[verb]


def _decode(text: str) -> str:
    if "%" not in text:
        return text
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise MalformedPath("the path does not decode to UTF-8") from None


def _decode_multi(text: str) -> str:
    """Decodes all but the slash, so that a slash inside a segment stays apart from one between segments."""
    if "%" not in text:
        return text
    return "".join(part if index % 2 else _decode(part) for index, part in enumerate(_ENCODED_SLASH.split(text)))
