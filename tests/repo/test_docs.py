"""The documents name only what exists, and leave out no setting."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import provider_tables, scaling_plan
from scripts.settings_table import END, MEANINGS, SERVICES, START, settings_of, table

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PACKAGES = (
    "mesh|transcoding|naming|peers|delivery|gateway|user_svc|template_svc|email_worker|push_worker|devstack|bench|tests|scripts|docs|k8s|"
    "protos|gen"
)
PATH = re.compile(rf"`((?:{PACKAGES})/[\w./*<>-]*)`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
TARGET = re.compile(r"(?:^|`)make ([a-z][a-z-]*)", re.MULTILINE)
CURL = re.compile(r"^curl (?:.*\\\n|'[^']*'|[^\n'])*$", re.MULTILINE)
INSTALL = re.compile(r"pip install [^`\n]*clients/python[^`\n]*")


def paths(text: str) -> Iterator[str]:
    """Yield the paths in back quotes; those with a placeholder are patterns, not files."""
    yield from (name for name in PATH.findall(text) if not set("<>*") & set(name))


@pytest.fixture(params=DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def document(request: pytest.FixtureRequest) -> Path:
    """Each document in turn."""
    found: Path = request.param
    return found


def test_a_file_that_a_document_names_exists(document: Path) -> None:
    assert [name for name in paths(document.read_text()) if not (ROOT / name).exists()] == []


def test_a_link_inside_the_repository_leads_somewhere(document: Path) -> None:
    assert [link for link in LINK.findall(document.read_text()) if not (document.parent / link).exists()] == []


def test_a_make_target_that_a_document_names_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert [target for target in TARGET.findall(document.read_text()) if target not in targets] == []


def test_a_curl_line_with_a_body_says_that_it_is_json(document: Path) -> None:
    """`-d` alone makes a form of it, which is refused with 415."""
    lines = CURL.findall(document.read_text())
    assert [line for line in lines if re.search(r" (-d|--data\S*) ", line) and "content-type:" not in line.lower()] == []


def test_what_installs_the_command_line_names_its_extra(document: Path) -> None:
    assert [line for line in INSTALL.findall(document.read_text()) if "clients/python[cli]" not in line] == []


def test_the_table_of_settings_is_what_the_code_reads() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    assert text.partition(START)[2].partition(END)[0].strip() == table().strip(), "run `make docs`"


def test_every_setting_has_a_meaning_and_every_meaning_a_setting() -> None:
    assert set[str]().union(*(settings_of(service) for service in SERVICES)) == MEANINGS.keys()


def test_the_tables_of_providers_are_those_that_decide() -> None:
    """`make docs` writes them."""
    page = provider_tables.PAGE.read_text()
    assert provider_tables.filled(page) == page


def test_every_input_names_tests_that_exist() -> None:
    """Each row of docs/inputs.md has one at least, and none that is gone."""
    page = (ROOT / "docs/inputs.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| what ")]
    assert [row for row in rows if "`tests/" not in row.rpartition(" | ")[2]] == []
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", page)
    assert len(named) > len(rows)
    assert [name for file, name in named if not re.search(rf"def {name}\(", (ROOT / file).read_text())] == []


def test_the_plan_for_scaling_is_computed_from_its_figures() -> None:
    """`make docs` writes it."""
    page = scaling_plan.PAGE.read_text()
    assert scaling_plan.filled(page) == page
