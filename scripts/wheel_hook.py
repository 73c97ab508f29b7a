"""A wheel without the console would serve a page that says so: refuse to build one. An editable install may lack it."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ConsoleHook(BuildHookInterface[Any]):
    """Looks before the wheel is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the interface is hatchling's
        """Raises RuntimeError when the console is not built."""
        if version == "standard" and not (Path(self.root) / "gateway" / "console" / "built" / "index.html").is_file():
            raise RuntimeError("the console is not built: run `make console` first")
