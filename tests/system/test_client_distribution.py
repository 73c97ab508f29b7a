"""`clarion-client` as its users get it: alone with what it asks for, in an environment that knows nothing of this repository."""

import asyncio
import json
import os
import re
import subprocess
import sys
import tomllib
import venv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from devstack.processes import API_KEY, ROOT
from tests.system.conftest import System

pytestmark = pytest.mark.system

CLIENT = ROOT / "clients" / "python"
# What an environment may come to hold by `pip install clarion-client`.
MOST_PACKAGES = 12
_GUIDE = ROOT / "docs" / "guides" / "from-python.md"
_README = CLIENT / "README.md"
_WEBHOOKS = ROOT / "docs" / "webhooks.md"
_PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

_ANOTHER = """\
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


def _program_of(page: Path) -> str:
    """The first one that a page shows."""
    return str(_PROGRAM.findall(page.read_text())[0])


# by the name of a module
_PROGRAMS = {
    "from_python": _program_of(_GUIDE),
    "readme": _program_of(_README),
    "webhook_receiver": _program_of(_WEBHOOKS),
    "sync_and_async": _ANOTHER,
}
_MISTAKEN, _MISTAKES = "mistaken", "from clarion_client import Clarion\nClarion().notifications.send(channel=1).nothing\n"


def _asked_by(name: str) -> list[str]:
    """What a distribution says it needs, with markers. One that is not installed here, being for older Pythons only, needs no more."""
    if name == "clarion-client":
        project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
        extras = project["optional-dependencies"].items()
        return [*project["dependencies"], *(_of_extra(text, extra) for extra, texts in extras for text in texts)]
    try:
        return distribution(name).requires or []
    except PackageNotFoundError:
        return []


def _of_extra(text: str, extra: str) -> str:
    """The requirement as a wheel's metadata has it."""
    needs, _, marker = text.partition(";")
    return f'{needs}; extra == "{extra}"' + (f" and ({marker})" if marker else "")


def _needed(root: Requirement, python: str) -> set[str]:
    """What pip installs with a distribution on a version of Python, itself left out, by what the installed ones say of themselves."""
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    found, waiting = set[str](), [root]
    while waiting:
        asked = waiting.pop()
        name = canonicalize_name(asked.name)
        for text in _asked_by(name):
            needs = Requirement(text)
            wanted = needs.marker is None or any(needs.marker.evaluate({**environment, "extra": extra}) for extra in ("", *asked.extras))
            if wanted and canonicalize_name(needs.name) not in found:
                found.add(canonicalize_name(needs.name))
                waiting.append(needs)
    return found


def _build(folder: Path) -> Path:
    """The wheel of the client."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=CLIENT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the client's wheel and copies of the packages it needs: tests reach no registry."""
    folder = tmp_path_factory.mktemp("caller")
    wheel = _build(folder / "dist")
    venv.create(folder / "venv", symlinks=True, with_pip=False)
    interpreter = folder / "venv" / "bin" / "python"
    target = next((folder / "venv" / "lib").glob("python*/site-packages"))
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--disable-pip-version-check",
        "--target",
        str(target),
    ]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    for name in _needed(Requirement("clarion-client"), f"{sys.version_info[0]}.{sys.version_info[1]}"):
        for file in distribution(name).files or ():
            if ".." not in file.parts:
                copy = target / file
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(Path(str(file.locate())).read_bytes())
    return interpreter


async def _run(python: Path, program: str, folder: Path, **environ: str) -> str:
    """What the program prints, run in a folder of its own without this repository on its path."""
    (folder / "program.py").write_text(program)
    process = await asyncio.create_subprocess_exec(
        str(python), "-W", "error", "program.py", cwd=folder, env={"PATH": os.environ["PATH"], **environ},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
def test_the_client_brings_few_packages(version: str) -> None:
    alone = _needed(Requirement("clarion-client"), version)
    assert "httpx" in alone
    assert len(alone) + 1 <= MOST_PACKAGES, sorted(alone)
    assert not {"grpcio", "protobuf", "typer"} & alone
    assert "grpcio" in _needed(Requirement("clarion-client[grpc]"), version)


@pytest.mark.asyncio(loop_scope="session")
async def test_the_program_of_the_guide_works_in_an_empty_environment(system: System, python: Path, tmp_path: Path) -> None:
    program = _PROGRAMS["from_python"]
    assert len(program.strip().splitlines()) <= 20
    surroundings = {"CLARION_URL": system.processes.url, "CLARION_API_KEY": API_KEY}
    for _ in range(2):  # an earlier run's template and person are no obstacle
        assert (await _run(python, program, tmp_path, **surroundings)).splitlines()[-1] == "sent"
    mails = [mail for mail in system.smtp.mails if "grace@shop.example" in mail.recipients]
    assert len(mails) == 2


@pytest.mark.asyncio(loop_scope="session")
async def test_the_environment_holds_the_client_and_its_packages_only(python: Path, tmp_path: Path) -> None:
    names = await _run(python, "import importlib.metadata as m\nfor d in m.distributions(): print(d.name)", tmp_path)
    assert len(names.split()) <= MOST_PACKAGES
    assert "clarion-client" in names.split()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has each program as a module, and nothing of this repository's settings."""
    folder = tmp_path_factory.mktemp("project")
    for name, program in {**_PROGRAMS, _MISTAKEN: _MISTAKES}.items():
        (folder / f"{name}.py").write_text(program)
    return folder


@pytest.fixture(scope="module")
def said_by_mypy(project: Path, python: Path) -> Mapping[str, Sequence[str]]:
    """What mypy says of each program with the types that the package ships: one run, most of which is for the packages."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--python-executable", str(python), "."]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    *lines, summary = done.stdout.splitlines()
    assert f"checked {len(_PROGRAMS) + 1} source files" in summary, done.stdout + done.stderr
    said = defaultdict(list)
    for line in lines:
        said[line.partition(".py:")[0]].append(line)
    assert said.keys() <= {*_PROGRAMS, _MISTAKEN}, done.stdout
    return said


@pytest.fixture(scope="module")
def said_by_pyright(project: Path, python: Path) -> Mapping[str, Sequence[str]]:
    """What pyright says of each program that is right, of which the same is true."""
    names = [f"{name}.py" for name in _PROGRAMS]
    (project / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict", "include": names}))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", str(python)]
    done = json.loads(subprocess.run(command, cwd=project, capture_output=True, text=True, check=False).stdout)
    assert done["summary"]["filesAnalyzed"] == len(names)
    said = defaultdict(list)
    for found in done["generalDiagnostics"]:
        said[Path(found["file"]).stem].append(found["message"])
    assert said.keys() <= _PROGRAMS.keys()
    return said


@pytest.mark.parametrize("program", _PROGRAMS)
def test_a_program_in_a_fresh_project_is_typed(
    program: str, said_by_mypy: Mapping[str, Sequence[str]], said_by_pyright: Mapping[str, Sequence[str]]
) -> None:
    assert (said_by_mypy.get(program, []), said_by_pyright.get(program, [])) == ([], [])


def test_a_mistake_is_seen_by_the_types(said_by_mypy: Mapping[str, Sequence[str]]) -> None:
    said = "\n".join(said_by_mypy[_MISTAKEN])
    assert "arg-type" in said
    assert "attr-defined" in said
