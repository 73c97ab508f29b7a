"""What the linters do not check: sizes, and that no file names the machine that it was written on."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repo.trees import parsed

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "gateway", "user_svc", "template_svc", "email_worker", "push_worker", "mesh", "transcoding", "naming", "peers", "delivery", "devstack",
    "bench", "scripts", "tests",
)  # fmt: skip
MOST_LINES = 500
MOST_LINES_OF_A_FUNCTION = 60
# Written by programs, or a record of what was.
EXEMPT = ("gen/", "docs/images/", "console/package-lock.json", "requirements", "LICENSE", "clients/python/src/clarion_client/schema.binpb")


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def committed() -> Iterator[tuple[str, str]]:
    """Yield (path, text) of every text file that is or would be committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout.splitlines():
        path = ROOT / name
        if path.is_file() and not name.startswith(EXEMPT):
            yield name, path.read_text()


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count a function's lines without its docstring."""
    first = function.body[1:2] if ast.get_docstring(function) else function.body[:1]
    start = first[0].lineno if first else function.lineno
    return (function.end_lineno or start) - start + 1


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_says_what_it_is_for(package: str) -> None:
    silent = [path for path in sorted((ROOT / package).rglob("*.py")) if not ast.get_docstring(parsed(path))]
    assert silent == []


def test_no_module_is_longer_than_a_person_reads_at_once() -> None:
    assert [path for path in modules() if len(path.read_text().splitlines()) > MOST_LINES] == []


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in modules()
        if "migrations" not in path.parts
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and length(node) > MOST_LINES_OF_A_FUNCTION
    ]
    assert long == []


@pytest.mark.processes
def test_no_committed_file_names_a_machine_or_a_registry() -> None:
    """Paths of one machine and addresses of one registry work for nobody else."""
    forbidden = re.compile(r"(?<![\w.])/(work|root|home/\w+)/|py" r"pi\.org|pythonhosted\.org")
    found = [f"{name}: {match[0]}" for name, text in committed() for match in [forbidden.search(text)] if match]
    assert found == []


def test_every_waiver_of_a_lint_rule_has_a_reason_on_its_line() -> None:
    bare = re.compile(r"#\s*(noqa(: ?[A-Z0-9, ]+)?|type: ignore(\[[a-z-, ]+\])?|pragma: no cover)\s*$")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in modules()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if bare.search(line)
    ]
    assert found == []
