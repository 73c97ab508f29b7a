"""Lint the schema with buf, and compare it with the last release for changes that would break a client.

buf gets a compiled image instead of sources, so that it needs no network for Google's own protos.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from scripts.gen import ROOT, protoc

BUF = Path(sys.executable).parent / "buf"


def compile_image(protos: Path, image: Path) -> None:
    """Write the schema with its comments, and all it imports, as one descriptor set."""
    protoc(["--include_imports", "--include_source_info", f"--descriptor_set_out={image}"], protos=protos)


def buf(command: str, image: Path, *options: str) -> int:
    """Run buf over our own part of an image; its findings go to stdout."""
    full = [str(BUF), command, str(image), *options, "--config", str(ROOT / "buf.yaml"), "--path", "clarion"]
    return subprocess.run(full, check=False, cwd=image.parent).returncode


def lint(protos: Path, folder: Path) -> int:
    """Return buf's exit status for the rules of buf.yaml; violations go to stdout."""
    image = folder / "image.binpb"
    compile_image(protos, image)
    return buf("lint", image)


def baseline() -> str | None:
    """Name the state that clients rely on: the last release tag, else main when this is another branch, else none."""
    tag = git("describe", "--tags", "--abbrev=0", "--match", "v*")
    name = tag.decode().strip() if tag else "main"
    known = git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    return name if known and known != git("rev-parse", "HEAD") else None


def git(*arguments: str) -> bytes | None:
    """Return what git prints, or None when it has no answer (no such tag, no repository, no git)."""
    try:
        return subprocess.run(["git", *arguments], check=True, capture_output=True, cwd=ROOT).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


def breaking(protos: Path, revision: str, folder: Path) -> int:
    """Return buf's exit status for the comparison with `revision`."""
    archive = git("archive", "--format=zip", revision, "protos")
    if archive is None:
        print(f"no protos in {revision}, nothing to compare")
        return 0
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        files.extractall(folder / "before")
    before, after = folder / "before.binpb", folder / "after.binpb"
    compile_image(folder / "before" / "protos", before)
    compile_image(protos, after)
    return buf("breaking", after, "--against", str(before))


def main() -> int:
    """Lint and compare; return the exit status."""
    protos = ROOT / "protos"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        status = lint(protos, folder)
        revision = baseline()
        if revision is not None:
            status = breaking(protos, revision, folder) or status
    print("protos: " + ("problems found" if status else "clean") + (f" (compared with {revision})" if revision else ""))
    return status


if __name__ == "__main__":
    sys.exit(main())
