"""Our modules as syntax trees: several tests look at each of them, and a parse of all takes seconds."""

import ast
from functools import cache
from pathlib import Path


@cache
def parsed(path: Path) -> ast.Module:
    """The tree of a module; it is for reading."""
    return ast.parse(path.read_text())
