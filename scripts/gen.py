"""Generate `gen/` from `protos/`: messages, stubs, gRPC code, descriptors with comments. `--check` only reports whether it is fresh."""

from __future__ import annotations

import argparse
import filecmp
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
GEN = ROOT / "gen"


def google_protos() -> Path:
    """Return the folder with Google's own `.proto` files (`google/api/annotations.proto` and the like)."""
    spec = find_spec("google.api")
    if spec is None or not spec.submodule_search_locations:
        message = "googleapis-common-protos is not installed: run `make setup`"
        raise SystemExit(message)
    return Path(next(iter(spec.submodule_search_locations))).parent.parent


def sources(protos: Path = PROTOS) -> list[str]:
    """List the schema's files relative to `protos`, sorted so that two runs are alike."""
    return sorted(path.relative_to(protos).as_posix() for path in protos.rglob("*.proto"))


def protoc(arguments: Sequence[str], *, protos: Path = PROTOS) -> None:
    """Run protoc over the whole schema; its complaints go to stderr and end the program."""
    command = [sys.executable, "-W", "ignore", "-m", "grpc_tools.protoc", f"-I{protos}", f"-I{google_protos()}", *arguments]
    # The plugins of mypy-protobuf are scripts beside this interpreter, which need not be on PATH.
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run([*command, *sources(protos)], check=False, env={"PATH": path})
    if done.returncode:
        raise SystemExit(done.returncode)


def generate(target: Path, *, protos: Path = PROTOS) -> None:
    """Write the generated code of the whole schema into the empty folder `target`."""
    outputs = [f"--{plugin}_out={target}" for plugin in ("python", "grpc_python")]
    protoc([*outputs, f"--mypy_out=quiet:{target}", f"--mypy_grpc_out=quiet:{target}"], protos=protos)
    describe(target, protos=protos)
    for stub in target.rglob("*_pb2_grpc.pyi"):
        # protoc writes a gRPC module for every file; one without a service is noise.
        if "Stub" not in stub.read_text():
            stub.unlink()
            stub.with_suffix(".py").unlink(missing_ok=True)


def describe(target: Path, *, protos: Path) -> None:
    """Write `clarion/descriptors.binpb`, the schema with its comments, which generated Python code lacks and /openapi.json shows."""
    binary = target / "clarion" / "descriptors.binpb"
    protoc(["--include_source_info", f"--descriptor_set_out={binary}"], protos=protos)
    # A pool that knows no extensions keeps the bytes of our options as they are, whatever else this interpreter has imported.
    pool = DescriptorPool()
    pool.AddSerializedFile(descriptor_pb2.DESCRIPTOR.serialized_pb)
    described: Any = GetMessageClass(pool.FindMessageTypeByName("google.protobuf.FileDescriptorSet")).FromString(binary.read_bytes())
    for file in described.file:
        commented = [location for location in file.source_code_info.location if location.leading_comments]
        file.ClearField("source_code_info")
        for location in commented:
            file.source_code_info.location.add(path=location.path, leading_comments=location.leading_comments)
    binary.write_bytes(described.SerializeToString(deterministic=True))


def files(folder: Path) -> Iterator[Path]:
    """Yield the generated files below `folder`, relative to it."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder)


def differences(fresh: Path, present: Path) -> list[str]:
    """Name each file that is missing, stale or left over in `present`, compared with `fresh`."""
    wanted, found = set(files(fresh)), set(files(present))
    problems = [f"missing: {path}" for path in wanted - found]
    problems += [f"left over: {path}" for path in found - wanted]
    problems += [f"stale: {path}" for path in wanted & found if not filecmp.cmp(fresh / path, present / path, shallow=False)]
    return sorted(problems)


def main() -> int:
    """Generate, or check; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when gen/ is not what protos/ says")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        problems = differences(fresh, GEN)
        if options.check:
            for problem in problems:
                print(f"gen/ is not fresh, run `make gen`: {problem}", file=sys.stderr)
            return 1 if problems else 0
        for path in set(files(GEN)) - set(files(fresh)):
            (GEN / path).unlink()
        for path in files(fresh):
            target = GEN / path
            if not target.exists() or not filecmp.cmp(fresh / path, target, shallow=False):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(fresh / path, target)
    print(f"gen/: {len(problems)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
