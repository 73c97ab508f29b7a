"""The floor plan: what import-linter can't say of it. The arrows themselves are contracts in pyproject.toml."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repo.trees import parsed

ROOT = Path(__file__).resolve().parents[2]
# What only the product speaks of. `delivery` is AMQP's word too, and `user` that of authentication.
BUSINESS_WORDS = {
    "notification", "notifications", "template", "templates", "recipient", "recipients", "email", "mail", "push", "smtp", "fcm",
    "suppression", "preference", "device", "devices", "campaign", "locale", "ledger", "gateway", "unsubscribe",
}  # fmt: skip
CONSTRUCTED_BY_APP_ONLY = re.compile(r"(Repository|Writer|Provider|Orchestrator|Relay|Settlement)$")


def words(identifier: str) -> set[str]:
    """`RecipientQuery` and `recipient_query` are both {recipient, query}."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)}


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr


def sources(package: str) -> list[Path]:
    return [path for path in sorted((ROOT / package).rglob("*.py")) if "migrations" not in path.parts]


@pytest.mark.parametrize("path", sources("mesh"), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_mesh_has_no_business_word(path: Path) -> None:
    found = [f"{line}: {name}" for line, name in identifiers(parsed(path)) if words(name) & BUSINESS_WORDS]
    assert found == []


@pytest.mark.parametrize("package", ["mesh", "mesh/process", "mesh/rpc", "mesh/bus", "mesh/stores", "mesh/resilience", "mesh/sagas"])
def test_a_package_of_the_mesh_says_in_one_sentence_what_it_is(package: str) -> None:
    said = ast.get_docstring(parsed(ROOT / package / "__init__.py")) or ""
    assert said.endswith(".")
    assert "\n" not in said


@pytest.mark.parametrize("service", ["gateway", "user_svc", "template_svc"])
def test_only_app_constructs_adapters(service: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.func.id}"
        for path in sources(service)
        if path.name != "app.py"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and CONSTRUCTED_BY_APP_ONLY.search(node.func.id)
    ]
    assert found == []


def test_a_use_case_imports_no_transport_mapping() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for service in ("gateway", "user_svc", "template_svc")
        for path in sources(service)
        if path.name.endswith("use_cases.py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom) and node.module and (node.module.startswith("clarion.") or node.module.endswith("convert"))
    ]
    assert found == []


def test_no_status_number_stands_in_sql() -> None:
    """Statements are built from the enums, so that a number of the schema stands in one place."""
    bare = re.compile(r"\b(status|state|priority|channel)\s*(=|<>|IN\s*\()\s*\d|THEN\s+\d")
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in ("gateway", "user_svc", "template_svc", "devstack")
        for path in sources(package)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(r"\b(SELECT|UPDATE|INSERT|WHERE|SET)\b", node.value)
        and bare.search(node.value)
    ]
    assert found == []
