"""What sources of HTML with Jinja2 in it look like, for those that read them without either's parser."""

import re

# An output, a statement or a comment of Jinja2.
JINJA_TAG = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
# Elements that have no end tag (the WHATWG's HTML standard, 13.1.2).
VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})
