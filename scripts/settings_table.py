"""Write the table of settings in docs/operations.md from the settings modules themselves."""

import sys
from collections.abc import Mapping
from importlib import import_module

from mesh.settings import Env
from scripts.gen import ROOT

SERVICES = ("gateway", "user_svc", "template_svc", "email_worker", "push_worker")
START = "<!-- settings: written by `make docs` -->\n"
END = "<!-- end of settings -->\n"
DOCUMENT = ROOT / "docs" / "operations.md"


def settings_of(service: str) -> Mapping[str, str]:
    """Map each variable that a service reads to its default, as people read it."""
    env = Env({})
    import_module(f"{service}.settings").Settings.from_env(env)
    return env.names


def table() -> str:
    """Return a Markdown table: variable, default, who reads it. A default that differs is told per service."""
    defaults: dict[str, dict[str, list[str]]] = {}
    for service in SERVICES:
        for name, default in settings_of(service).items():
            defaults.setdefault(name, {}).setdefault(default, []).append(service)
    lines = ["| variable | default | read by |", "|---|---|---|"]
    for name, by_default in sorted(defaults.items()):
        readers = [service for services in by_default.values() for service in services]
        who = "all" if len(readers) == len(SERVICES) else ", ".join(f"`{reader}`" for reader in readers)
        lines.append(f"| `{name}` | {_defaults(by_default)} | {who} |")
    return "\n".join(lines) + "\n"


def _defaults(by_default: Mapping[str, list[str]]) -> str:
    shown = {default: _quoted(default) for default in by_default}
    if len(shown) == 1:
        return next(iter(shown.values()))
    return ", ".join(f"{shown[default]} ({', '.join(services)})" for default, services in by_default.items())


def _quoted(default: str) -> str:
    if not default:
        return "empty"
    return default.strip("()") if default.startswith("(") else f"`{default}`"


def main() -> int:
    """Rewrite the table in place."""
    text = DOCUMENT.read_text()
    before, rest = text.split(START)
    _, after = rest.split(END)
    DOCUMENT.write_text(f"{before}{START}{table()}{END}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
