"""`{% include %}`, `{% extends %}` and `{% block %}`: partials are put into the source when a version is created.

A version stands alone afterwards: nothing is looked up when it is rendered, and a later revision of a partial does not change it. It is
done on the source and not by Jinja2's own loading, so that MJML, styles and translations see the whole, and the sandbox needs no loader.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

MAX_DEPTH = 10
MAX_EXPANDED = 400_000
_NAMED = re.compile(r"\{%[-+]?\s*(?:include|extends)\s+(?P<quote>[\"'])(?P<name>[^\"']{1,64})(?P=quote)")
_SUPER = re.compile(r"\{\{[-+]?\s*super\(\)\s*[-+]?\}\}")
# A raw block, a comment, an output, or a statement whose texts may hold anything.
_TOKEN = re.compile(
    r"\{%[-+]?\s*raw\s*[-+]?%\}.*?\{%[-+]?\s*endraw\s*[-+]?%\}|\{#.*?#\}|\{\{.*?\}\}"
    r"|\{%(?P<before>[-+]?)(?P<body>(?:\"[^\"]*\"|'[^']*'|[^%\"'-]|-(?!%\})|%(?!\})|[\"'])*+)(?P<after>[-+]?)%\}",
    re.DOTALL,
)


class PartialFault(Exception):
    """A source that can't be put together; the message is for its author."""


class Statement(NamedTuple):
    """`{% word argument %}` in a source, from `start` to `end`."""

    word: str
    argument: str
    start: int
    end: int


def named_in(source: str) -> frozenset[str]:
    """The partials that a source names."""
    return frozenset(found["name"] for found in _NAMED.finditer(source))


def expand(source: str, partials: Mapping[str, str]) -> str:
    """The source with every partial in its place. Raises PartialFault."""
    if not any(word in source for word in ("include", "extends", "block")):
        return source
    return _Expansion(partials).expand(source, {}, ())


class _Expansion:
    """Puts one source together, within MAX_EXPANDED characters."""

    def __init__(self, partials: Mapping[str, str]) -> None:
        self._partials = partials
        self._left = MAX_EXPANDED

    def expand(self, source: str, overrides: Mapping[str, Callable[[str], str]], path: tuple[str, ...]) -> str:
        """`overrides` make the text of a block from the text that it has here; `path` are the partials around."""
        self._charge(len(source))
        statements = list(_statements(source))
        parent = next((each for each in statements if each.word == "extends"), None)
        if parent is None:
            return self._body(source, statements, overrides, path)
        if source[: parent.start].strip() or len([each for each in statements if each.word == "extends"]) > 1:
            raise PartialFault("extends must be the first thing in a source")
        blocks = dict(_blocks(source, statements))
        mine = {name: self._override(inner, overrides.get(name), overrides, path) for name, inner in blocks.items()}
        name, text = self._partial(parent.argument, path)
        return self.expand(text, {**overrides, **mine}, (*path, name))

    def _charge(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            raise PartialFault(f"makes more than {MAX_EXPANDED} characters with its partials")

    def _override(
        self, inner: str, outer: Callable[[str], str] | None, overrides: Mapping[str, Callable[[str], str]], path: tuple[str, ...]
    ) -> Callable[[str], str]:
        def text(default: str) -> str:
            own = self.expand(inner, overrides, path)
            self._charge(len(default) * len(_SUPER.findall(own)))
            own = _SUPER.sub(lambda _: default, own)
            return own if outer is None else outer(own)

        return text

    def _body(self, source: str, statements: list[Statement], overrides: Mapping[str, Callable[[str], str]], path: tuple[str, ...]) -> str:
        pieces: list[str] = []
        position = 0
        open_blocks: list[tuple[Statement, int]] = []
        for each in statements:
            if each.word == "include" and not open_blocks:
                name, text = self._partial(each.argument, path)
                pieces += [source[position : each.start], self.expand(text, overrides, (*path, name))]
                position = each.end
            elif each.word == "block":
                open_blocks.append((each, each.end))
            elif each.word == "endblock":
                if not open_blocks:
                    raise PartialFault("endblock without a block")
                begun, inner_start = open_blocks.pop()
                if not open_blocks:
                    inner = self.expand(source[inner_start : each.start], overrides, path)
                    override = overrides.get(begun.argument)
                    pieces += [source[position : begun.start], inner if override is None else override(inner)]
                    position = each.end
        if open_blocks:
            raise PartialFault(f"the block {open_blocks[0][0].argument!r} is not closed")
        return "".join((*pieces, source[position:]))

    def _partial(self, argument: str, path: tuple[str, ...]) -> tuple[str, str]:
        found = re.fullmatch(r"([\"'])(?P<name>[^\"']{1,64})\1", argument)
        if found is None:
            raise PartialFault(
                'include and extends take the name of a partial in quotes, as in {% include "footer.html" %}, and nothing else'
            )
        name = found["name"]
        if name in path:
            raise PartialFault(f"the partial {name!r} includes itself")
        if len(path) >= MAX_DEPTH:
            raise PartialFault(f"partials are in each other more than {MAX_DEPTH} deep")
        text = self._partials.get(name)
        if text is None:
            raise PartialFault(f"there is no partial {name!r}; PUT /v1/partials/{name} makes it")
        return name, text


def _blocks(source: str, statements: list[Statement]) -> Iterator[tuple[str, str]]:
    depth, begun = 0, None
    for each in statements:
        if each.word == "block":
            depth += 1
            begun = each if depth == 1 else begun
        elif each.word == "endblock" and begun is not None:
            depth -= 1
            if depth == 0:
                yield begun.argument, source[begun.end : each.start]
    if depth:
        raise PartialFault(f"the block {begun.argument if begun else ''!r} is not closed")


def _statements(source: str) -> Iterator[Statement]:
    """Those of the four that this module reads, wherever they are no text: not in comments, and not between raw and endraw.

    The white space that a `-` takes away belongs to the statement.
    """
    for found in _TOKEN.finditer(source):
        word, *rest = (found["body"] or "").strip().split(None, 1) or [""]
        if word in {"include", "extends", "block", "endblock"}:
            start, end = found.span()
            while found["before"] == "-" and start and source[start - 1].isspace():
                start -= 1
            while found["after"] == "-" and end < len(source) and source[end].isspace():
                end += 1
            yield Statement(word, rest[0].strip() if rest else "", start, end)
