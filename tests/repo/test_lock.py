"""The lock files say exactly what pyproject.toml asks for, and nothing about the machine that made them."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def blocks(name: str) -> list[str]:
    """Split a lock into requirements, each with its hashes."""
    return re.findall(r"^[A-Za-z0-9].*(?:\n    .*)*", (ROOT / name).read_text(), flags=re.MULTILINE)


def versions(name: str) -> dict[str, str]:
    """Map each locked distribution to its one version."""
    pins = (re.match(r"([A-Za-z0-9._-]+)==([^ ;\\]+)", block) for block in blocks(name))
    return {canonicalize_name(pin[1]): pin[2] for pin in pins if pin}


def wanted(*extras: str) -> list[Requirement]:
    """List the direct requirements with those of the extras."""
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    return [requirement for requirement in map(Requirement, lines) if requirement.name != PROJECT["name"]]


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    assert blocks(name)
    for block in blocks(name):
        assert re.match(r"[A-Za-z0-9._-]+==\S+", block), block
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block


@pytest.mark.parametrize("name", LOCKS)
def test_no_address_and_no_path_of_a_machine_is_in_a_lock(name: str) -> None:
    """A lock must work with any registry, a mirror as well as the public one."""
    for line in (ROOT / name).read_text().splitlines():
        assert "://" not in line, line
        assert not re.search(r"(^|\s)(-i|-e|-f|--index-url|--extra-index-url|--find-links|--editable)\b", line), line
        assert not re.search(r"(^|\s)/\w", line), line


@pytest.mark.parametrize(("name", "extras"), [("requirements.lock", ()), ("requirements-dev.lock", ("devstack", "dev"))])
def test_a_lock_holds_every_direct_requirement_in_a_version_that_fits(name: str, extras: tuple[str, ...]) -> None:
    locked = versions(name)
    for requirement in wanted(*extras):
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{name} lacks {requirement}: run `make lock`"
        assert requirement.specifier.contains(version, prereleases=True), f"{name} has {version} for {requirement}: run `make lock`"


def test_the_runtime_lock_is_a_part_of_the_development_lock() -> None:
    """What is tested is what is deployed."""
    runtime, development = versions("requirements.lock"), versions("requirements-dev.lock")
    assert runtime.items() <= development.items()


def test_the_image_needs_nothing_that_only_development_needs() -> None:
    development_only = {canonicalize_name(requirement.name) for requirement in wanted("devstack", "dev")}
    development_only -= {canonicalize_name(requirement.name) for requirement in wanted()}
    # email-validator, firebase-admin and grpcio-reflection bring these themselves
    shared = {"dnspython", "h11", "h2", "httpx", "setuptools"}
    assert not development_only & versions("requirements.lock").keys() - shared
