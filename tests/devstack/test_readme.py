"""What README, guides and the banner of `make run` say to type is run here: as written, in order, against what `make run` starts."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from devstack.processes import ROOT
from tests.make_run import PORTS, make_run
from tests.waiting import GUARD_S

pytestmark = pytest.mark.system

# The command line as its distribution would install it.
_CLARION = f"clarion() {{ {sys.executable} -c 'from clarion_client.cli import main; main()' \"$@\"; }}"
GUIDES = sorted(path for path in (ROOT / "docs" / "guides").glob("*.md") if "```sh" in path.read_text())
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _lines_of_readme() -> str:
    section = (ROOT / "README.md").read_text().partition("## Talking to it")[2].partition("\n## ")[0]
    return "".join(_BLOCK.findall(section))


def _lines_of_guide(path: Path) -> str:
    return "".join(_BLOCK.findall(path.read_text()))


def _lines_of_banner(banner: str) -> str:
    """Everything that is indented and begins with a program, with its continuation lines."""
    return "\n".join(re.findall(r"^  ((?:curl|\.venv)(?:.*\\\n)*.*)$", banner, re.MULTILINE))


async def _run(script: str) -> str:
    """The output of the script. Each line must succeed: curl is told to fail on an HTTP status from 400 on."""
    shell = await asyncio.create_subprocess_exec(
        "bash", "-euo", "pipefail", "-c", f'curl() {{ command curl --fail-with-body "$@"; }}\n{_CLARION}\n{script}',
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await shell.communicate()
    assert shell.returncode == 0, output.decode()
    return output.decode()


async def test_the_lines_of_readme_banner_and_guides_work_as_written(tmp_path: Path) -> None:
    async with make_run(tmp_path) as (banner, ports), asyncio.timeout(GUARD_S):

        def moved(script: str) -> str:
            for option, port in PORTS.items():
                script = script.replace(f"localhost:{port}", f"localhost:{ports[option]}")
            return script

        printed = await _run(_lines_of_banner(banner)) + await _run(moved(_lines_of_readme()))
        guides = {path.stem: await _run(moved(_lines_of_guide(path))) for path in GUIDES}
    assert printed.count('"status"') >= 4
    assert "clarion.notification.v1.NotificationService" in printed
    assert "sent" in guides["first-notification"]
    assert '"preference:*:guide-news"' in guides["people-and-preferences"]
    assert '"cancelled"' in guides["schedule-and-cancel"]
    assert "2 accepted, 1 failed" in guides["bulk"]
    assert guides["bulk"].count('{"result":') == 3
    assert '"disabled":true' in guides["follow-changes"]
    assert "TEMPLATE_NOT_FOUND" in guides["errors-and-repeats"]
    assert "failed" in guides["dead-letters"]
