"""What sources of HTML with Jinja2 in it look like, for those that read them without either's parser."""

import re
from html.parser import HTMLParser

# An output, a statement or a comment of Jinja2.
JINJA_TAG = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
# Elements that have no end tag (the WHATWG's HTML standard, 13.1.2).
VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})


class HtmlReader(HTMLParser):
    """Python's reader of HTML, without what of it raises AssertionError."""

    def parse_marked_section(self, i: int, report: int = 1) -> int:  # noqa: ARG002  the parent's
        """`<![if !mso]>` and whatever is written so: to browsers a comment up to the next `>` (WHATWG, HTML, 13.2.5.41)."""
        end = self.rawdata.find(">", i)
        return end + 1 if end >= 0 else -1
