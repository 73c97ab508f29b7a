"""Our modules as syntax trees: several tests look at each of them, and a parse of all takes seconds."""

import ast
import gc
from functools import cache
from pathlib import Path


@cache
def parsed(path: Path) -> ast.Module:
    """The tree of a module; it is for reading."""
    # a tree has no garbage, but so many objects that looking for it again and again while it grows takes twice as long as the parsing
    collects = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        if collects:
            gc.enable()
