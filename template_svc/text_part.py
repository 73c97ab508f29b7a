"""The text part of a mail, read from its HTML."""

import re
from collections.abc import Callable

from template_svc.source_syntax import VOID, HtmlReader

_BLANK_LINES = re.compile(r"\n{3,}")
_SPACES = re.compile(r"\s+")
_APART = frozenset({"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "table", "ul"})
_BLOCKS = _APART | {"address", "article", "body", "dd", "div", "dl", "dt", "footer", "header", "hr", "li", "main", "pre", "section", "tr"}
_UNREAD = frozenset({"head", "noscript", "script", "style", "title"})


class TextReader(HtmlReader):
    """Collects lines. `silent` says whether a text becomes none when the template is rendered, as statements do."""

    def __init__(self, silent: Callable[[str], bool]) -> None:
        super().__init__(convert_charrefs=True)
        self._silent = silent
        self._lines: list[str] = []
        # the line under way, in pieces: joined only when it is over
        self._line: list[str] = []
        self._line_silent = True
        self._unread = 0
        # address, and how many lines and pieces there were when the link began
        self._links: list[tuple[str, int, int]] = []
        self._hidden: list[str] = []

    def text(self) -> str:
        """The lines so far."""
        lines = [*self._lines, "".join(self._line)]
        return _BLANK_LINES.sub("\n\n", "\n".join(line.rstrip() for line in lines)).strip() + "\n"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if self._hidden:
            self._hidden += [] if tag in VOID else [tag]
        elif tag in _UNREAD:
            self._unread += 1
        elif "display:none" in given.get("style", "").replace(" ", "") and tag not in VOID:
            self._hidden.append(tag)  # such as the line that only the list of an inbox shows
        elif tag == "br":
            self._end_line()
        elif tag == "img":
            self.handle_data(given.get("alt", ""))
        elif tag == "a" and given.get("href", "").strip():
            self._links.append((given["href"].strip(), len(self._lines), len(self._line)))
        elif tag == "td" and not self._line_silent:
            self._add(" ")
        elif tag in _BLOCKS:
            self._begin_block(tag)
            if tag == "li":
                self._add("- ")

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            if tag in self._hidden:
                del self._hidden[len(self._hidden) - 1 - self._hidden[::-1].index(tag) :]
        elif tag in _UNREAD:
            self._unread = max(0, self._unread - 1)
        elif tag == "a" and self._links:
            address, lines, pieces = self._links.pop()
            inside = self._line[pieces:] if lines == len(self._lines) else [*self._lines[lines:], *self._line]
            shown = "".join(inside).strip()
            if shown not in {address, address.removeprefix("mailto:")}:
                self._add(f" ({address})" if shown else address)
        elif tag in _BLOCKS:
            self._begin_block(tag)

    def handle_data(self, data: str) -> None:
        if self._unread or self._hidden:
            return
        text = _SPACES.sub(" ", data)
        if self._line_silent or self._line[-1].endswith(" "):
            text = text.lstrip()
        if text:
            self._add(text)

    def _add(self, text: str) -> None:
        self._line.append(text)
        self._line_silent = self._line_silent and self._silent(text)

    def _end_line(self) -> None:
        self._lines.append("".join(self._line))
        self._line, self._line_silent = [], True

    def _begin_block(self, tag: str) -> None:
        # a line with nothing but statements goes on: it must not become an empty one in each round of a loop
        if self._line_silent:
            self._line = [piece.replace(" ", "") for piece in self._line]
            return
        self._end_line()
        if tag in _APART:
            self._end_line()
