"""docs/architecture.md says what the code does: the tables of each database, and who calls whom."""

import ast
import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from sqlalchemy import MetaData

from tests.repo.trees import parsed

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "architecture.md").read_text()
RUNTIME = ("mesh", "transcoding", "naming", "peers", "delivery", "gateway", "user_svc", "template_svc", "email_worker", "push_worker")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = DOCUMENT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


@pytest.mark.parametrize("service", ["gateway", "user_svc", "template_svc"])
def test_the_tables_of_a_database_are_listed(service: str) -> None:
    module = import_module(f"{service}.tables")
    defined = {name for value in vars(module).values() if isinstance(value, MetaData) for name in value.tables}
    listed = {table for process, tables in rows("Who keeps what") if quoted(process) == [service] for table in quoted(tables)}
    assert listed == defined


def test_every_stub_that_a_package_uses_is_a_call_that_is_listed() -> None:
    used = {
        (package, alias.name.removesuffix("Stub"))
        for package in RUNTIME
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("clarion.") and (node.module or "").endswith("_pb2_grpc")
        for alias in node.names
        if alias.name.endswith("Stub")
    }
    assert {(quoted(caller)[0], quoted(service)[0]) for caller, service, _ in rows("Who calls whom")} == used


def test_the_floors_are_those_of_the_contract() -> None:
    """The picture shows the packages in the order in which import-linter holds them."""
    picture = DOCUMENT.partition("```\n")[2].partition("```")[0].splitlines()
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["id"] == "floors"]
    line_of = {package: number for number, line in enumerate(picture) for package in re.findall(r"(\w+)/", line)}
    packages = [package.replace("clarion", "gen") for layer in layers for package in re.findall(r"\w+", layer)]
    assert [line_of[package] for package in packages] == sorted(line_of[package] for package in packages)
