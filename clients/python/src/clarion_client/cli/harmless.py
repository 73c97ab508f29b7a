"""What others have written, as it may stand on a terminal: control characters, which steer it, and those that turn text around are escaped.

A person's name, a variable or a provider's reply may hold anything. The terminal of who reads it must not do what it says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

# Control characters but tab and line feed (C0, DEL, C1), and those of direction (Unicode Standard Annex 9).
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    r"""As Python writes them: \x1b, \u202e."""
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


def json_text(data: Any, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """JSON in which they are escaped as JSON does it: it is the same value."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(data, ensure_ascii=ascii_only, indent=indent))


class HarmlessConsole(Console):
    """Prints texts without what steers a terminal; its own colours and movements stay."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As `Console.render`."""
        for segment in super().render(renderable, options):
            yield segment if segment.control or segment.text.isprintable() else segment._replace(text=harmless(segment.text))
