"""The command line `clarion`. Needs the extra `clarion-client[cli]`."""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point."""
    try:
        from clarion_client.cli.app import run
    except ImportError as error:
        if error.name not in {"typer", "rich", "tomli", "tomli_w", "yaml"}:
            raise
        sys.stderr.write("the command line needs an extra: pip install 'clarion-client[cli]'\n")
        raise SystemExit(2) from None
    raise SystemExit(run(sys.argv[1:]))
