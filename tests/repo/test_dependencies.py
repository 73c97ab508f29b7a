"""What the code imports is what pyproject.toml asks for; nothing arrives only because something else brought it."""

import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUNTIME = ("mesh", "transcoding", "naming", "peers", "delivery", "gateway", "user_svc", "template_svc", "email_worker", "push_worker")
OWN = {*RUNTIME, "devstack", "bench", "tests", "scripts", "clarion", "clarion_client"}
# Distributions that are the business of one that is asked for, by module.
BROUGHT = {
    "google.oauth2": "firebase-admin",
    "google.auth": "firebase-admin",
    "requests": "firebase-admin",
    "httpx": "firebase-admin",
    "cryptography": "pyjwt",
    "opentelemetry": "opentelemetry-sdk",
    "prometheus_client": "opentelemetry-exporter-prometheus",
    "asgiref": "uvicorn",
    "packaging": "pytest",
    "aiormq": "aio-pika",
    "pamqp": "aio-pika",
    "yarl": "aio-pika",
    "markupsafe": "jinja2",
    "idna": "email-validator",
    "jsonschema": "kubernetes-validate",
    "google.protobuf": "protobuf",
    "google.api": "googleapis-common-protos",
    "google.rpc": "googleapis-common-protos",
}


# A statement by its first line: trees of all tests would take five seconds, and a line of a text that looks so is no harm.
_IMPORT = re.compile(r"^[ \t]*(?:from[ ]+([a-z_][\w.]*)[ ]+import\b|import[ ]+([a-z_][\w., ]*)$)", re.MULTILINE)


def imported(package: str) -> set[str]:
    """Name every module from outside that a package imports."""
    found: set[str] = set()
    for path in (ROOT / package).rglob("*.py"):
        for name, names in _IMPORT.findall(path.read_text()):
            found |= {name} if name else {each.split()[0] for each in names.split(",")}
    return {name for name in found if name.partition(".")[0] not in OWN | sys.stdlib_module_names | {"__future__"}}


def requested(*extras: str) -> set[str]:
    """Name the distributions that are asked for, with those of the extras."""
    lines: Iterable[str] = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    return {canonicalize_name(Requirement(line).name) for line in lines}


@cache
def distributions_by_module() -> Mapping[str, list[str]]:
    """Name the distributions that a module may come from; reads what each of them has installed."""
    return packages_distributions()


def unrequested(package: str, asked: set[str]) -> set[str]:
    """Name the imports of a package that no requirement stands for."""
    distributions = distributions_by_module()
    missing = set()
    for module in imported(package):
        known = [owner for prefix, owner in BROUGHT.items() if module == prefix or module.startswith(f"{prefix}.")]
        owners = known or [canonicalize_name(name) for name in distributions.get(module.partition(".")[0], [])]
        if not asked & set(owners):
            missing.add(module)
    return missing


@pytest.mark.parametrize("package", RUNTIME)
def test_a_process_imports_only_what_the_image_installs_for_it(package: str) -> None:
    assert unrequested(package, requested()) == set()


@pytest.mark.parametrize("package", ["devstack", "bench", "scripts", "tests"])
def test_the_tools_import_only_what_the_extras_ask_for(package: str) -> None:
    assert unrequested(package, requested("devstack", "dev")) == set()
