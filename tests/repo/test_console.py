"""The console's packages are pinned by hash and by nothing of the machine that pinned them, and its types are the API's."""

import json
from pathlib import Path

from scripts import gen_console

CONSOLE = Path(__file__).resolve().parents[2] / "console"
LOCK = json.loads((CONSOLE / "package-lock.json").read_text())
PACKAGE = json.loads((CONSOLE / "package.json").read_text())
# Its own folder, which is no package of a registry.
ROOT_ENTRY = ""


def test_every_package_is_locked_with_its_hash_and_without_an_address() -> None:
    """A lock must work with any registry, a mirror as well as the public one."""
    packages = {name: entry for name, entry in LOCK["packages"].items() if name != ROOT_ENTRY}
    assert packages
    assert [name for name, entry in packages.items() if not entry["integrity"].startswith("sha512-")] == []
    assert [name for name, entry in packages.items() if "resolved" in entry] == []
    assert "://" not in json.dumps(LOCK), "npm also writes whom packages ask for money: take the `funding` entries out"


def test_what_the_browser_loads_is_few_packages_in_exact_versions() -> None:
    # CodeMirror comes as six packages of one maker, and with the names of its colours
    own = [name for name in PACKAGE["dependencies"] if not name.startswith(("@codemirror/", "@lezer/"))]
    assert len(own) <= 6
    assert len(PACKAGE["dependencies"]) <= len(own) + 7
    wanted = {**PACKAGE["dependencies"], **PACKAGE["devDependencies"]}
    assert {name: LOCK["packages"][f"node_modules/{name}"]["version"] for name in wanted} == wanted


def test_the_types_of_the_console_are_those_of_the_api() -> None:
    assert gen_console.TARGET.read_text() == gen_console.render(), "run `make gen`"
