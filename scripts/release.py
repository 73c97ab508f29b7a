"""Make a release of the commit that is checked out, in `dist/clarion-VERSION/`: wheel, SBOM, OpenAPI, descriptors, notes, checksums.

The same commit makes the same bytes: times are the commit's, and nothing says where it was made.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

from scripts import lint_openapi, lint_protos, sbom
from scripts.gen import PROTOS, ROOT

DIST = ROOT / "dist"


class CanNotReleaseError(Exception):
    """Something has to be done first; the message says what."""


def version() -> str:
    """The one place that says it."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def notes(of: str) -> str:
    """The changelog's section of a version."""
    found = re.search(rf"^## \[{re.escape(of)}\].*?\n(.*?)(?=^## |\Z)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE | re.DOTALL)
    if found is None or not found[1].strip():
        raise CanNotReleaseError(f"CHANGELOG.md has no section [{of}]: rename [Unreleased], and begin a new one")
    return found[1].strip() + "\n"


def check(of: str) -> None:
    """Raises CanNotReleaseError where the tree and the version do not belong together."""
    if _git("status", "--porcelain"):
        raise CanNotReleaseError("there are changes that are not committed: a release is made of a commit")
    overlay = yaml.safe_load((ROOT / "k8s" / "overlays" / "prod" / "kustomization.yaml").read_text())
    if overlay["images"][0]["newTag"] != of:
        raise CanNotReleaseError(f"k8s/overlays/prod/kustomization.yaml names another version than {of} of pyproject.toml")
    if _git("tag", "--list", f"v{of}") and _git("rev-parse", f"v{of}^{{commit}}") != _git("rev-parse", "HEAD"):
        raise CanNotReleaseError(f"v{of} is the tag of another commit: raise the version in pyproject.toml")


def build_wheel(folder: Path) -> None:
    """The wheel, with the commit's time in its entries."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        cwd=ROOT, env={**os.environ, "SOURCE_DATE_EPOCH": _git("log", "-1", "--format=%ct")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise CanNotReleaseError(f"the wheel can't be built: {done.stderr.strip().splitlines()[-1]}")


def write(folder: Path, of: str) -> None:
    """All files but the wheel and the checksums."""
    (folder / "sbom.cdx.json").write_text(json.dumps(sbom.bill(of), indent=1, sort_keys=True) + "\n")
    (folder / "openapi.json").write_bytes(lint_openapi.document())
    lint_protos.compile_image(PROTOS, folder / "clarion.binpb")


def main() -> int:
    """Make it; return 1 with the reason where that is not possible."""
    of = version()
    folder = DIST / f"clarion-{of}"
    try:
        text = notes(of)
        check(of)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "NOTES.md").write_text(text)
        write(folder, of)
        build_wheel(folder)
    except CanNotReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(folder.iterdir())]
    (folder / "SHA256SUMS").write_text("".join(sums))
    print(f"release: {folder.relative_to(ROOT)} is ready; `git tag v{of}` and push it")
    return 0


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
