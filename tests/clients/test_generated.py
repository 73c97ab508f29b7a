"""The client never lags behind the schema."""

import os
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts import client_schema, gen_client

# it runs ruff and mypy
pytestmark = pytest.mark.processes


def test_the_generated_client_is_fresh() -> None:
    assert gen_client.main.__doc__
    stale = [name for name, content in gen_client.generate().items() if (gen_client.PACKAGE / name).read_bytes() != content]
    assert stale == [], "run `make gen`"


def test_every_public_method_is_there_sync_and_async() -> None:
    from clarion_client import _api, aio_resources, resources

    public = {
        method.full_name
        for file in client_schema.public_files()
        for s in file.services_by_name.values()
        for method in client_schema.public_methods(s)
    }
    assert len([name for name in vars(_api) if name.isupper()]) == len(public)
    for _, cls, _ in client_schema.RESOURCES.values():
        ordinary, asynchronous = getattr(resources, cls), getattr(aio_resources, f"Async{cls}")
        names = {name for name in vars(ordinary) if not name.startswith("_")}
        assert names == {name for name in vars(asynchronous) if not name.startswith("_")} != set()


def test_rest_alone_brings_few_packages() -> None:
    """What `pip install clarion-client` installs beside itself, without extras."""
    project = tomllib.loads((client_schema.ROOT / "clients" / "python" / "pyproject.toml").read_text())["project"]
    needed: set[str] = set()
    waiting = [Requirement(text) for text in project["dependencies"]]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name not in needed and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            needed.add(name)
            waiting += [Requirement(text) for text in metadata.requires(name) or ()]
    assert len(needed) <= 11, sorted(needed)


def test_a_callers_program_type_checks_strictly(tmp_path: Path) -> None:
    """With the types that the package ships (py.typed), in a project that has nothing of this repository's settings."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, str(program)]
    environ = {**os.environ, "MYPYPATH": str(gen_client.PACKAGE.parent)}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


PROGRAM = """
from clarion_client import AsyncClarion, Clarion, errors
from clarion_client.models import Notification, NotificationStatus


def send(clarion: Clarion) -> str:
    ada = clarion.users.create(email="ada@example.com", name="Ada")
    try:
        return clarion.notifications.send(user_id=ada.id, channel="email", template="welcome", variables={"name": "Ada"}).id
    except errors.RateLimited as error:
        return str(error.retry_after_s)


async def failed(clarion: AsyncClarion) -> list[Notification]:
    return [one async for one in clarion.notifications.list(status=NotificationStatus.FAILED)]
"""
