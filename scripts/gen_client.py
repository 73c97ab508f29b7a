"""Generate the Python client from the schema: its models, its methods (sync and async) and the schema that its gRPC door ships.

`make gen` runs it after gen/ is fresh. `--check` changes nothing and exits 1 when something is stale.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from google.api import annotations_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor, FileDescriptor

from scripts.client_methods import docstring, resources
from scripts.client_schema import (
    RESOURCES,
    ROOT,
    SCALARS,
    Comments,
    Types,
    constant,
    is_map,
    is_open,
    map_value,
    name_of,
    public_files,
    public_methods,
)

PACKAGE = ROOT / "clients" / "python" / "src" / "clarion_client"


def models(types: Types) -> str:
    out = [
        '"""The API\'s objects. Generated from the schema by scripts/gen_client.py: do not edit."""\n\n',
        "from __future__ import annotations\n\nimport enum\nfrom collections.abc import Mapping, Sequence\n",
        "from dataclasses import dataclass\nfrom dataclasses import field as stored  # a message may have a field of that name\n",
        "from datetime import datetime, timedelta\nfrom typing import Any\n\n",
        "from clarion_client import _values as v\n\n",
    ]
    for enum in sorted(types.enums.values(), key=name_of):
        out.append(f"\nclass {name_of(enum)}(str, enum.Enum):\n")
        out.append(docstring(types.comments.of(enum.full_name, drop=enum.name), "    ") + "\n")
        prefix = enum.values[0].name.removesuffix("UNSPECIFIED")
        for value in enum.values:
            if not value.name.endswith("_UNSPECIFIED"):
                short = value.name.removeprefix(prefix)
                comment = types.comments.of(f"{enum.full_name}.{value.name}")
                out.append(f'    {short} = "{short.lower()}"\n' + (docstring(comment, "    ") if comment else ""))
        out.append("\n    def __str__(self) -> str:\n        return str(self.value)\n\n")
    for message in sorted(types.messages.values(), key=name_of):
        out.append(f"\n@dataclass(frozen=True)\nclass {name_of(message)}:\n")
        out.append(docstring(types.comments.of(message.full_name, drop=message.name), "    "))
        if message.fields:
            out.append("\n")
        out.extend(model_field(types, one) for one in message.fields)
        out.append("\n")
    return "".join(out)


def model_field(types: Types, one: FieldDescriptor) -> str:
    assert one.containing_type is not None
    comment = types.comments.of(f"{one.containing_type.full_name}.{one.name}")
    if is_map(one):
        kind, read = types.kind(map_value(one))
        line = f'    {one.name}: Mapping[str, {kind}] = stored(default_factory=dict, metadata={{"read": v.table({read})}})\n'
    elif one.is_repeated:
        kind, read = types.kind(one)
        line = f'    {one.name}: tuple[{kind}, ...] = stored(default=(), metadata={{"read": v.many({read})}})\n'
    else:
        kind, read = types.kind(one)
        optional = one.message_type is not None or one.enum_type is not None or one.has_presence or one.cpp_type not in SCALARS
        default = "None" if optional else 'b""' if kind == "bytes" else SCALARS[one.cpp_type][2]
        shown = f"{kind} | None" if optional else kind
        line = f'    {one.name}: {shown} = stored(default={default}, metadata={{"read": {read}}})\n'
    return line + (docstring(comment, "    ") if comment else "")


def calls(files: list[FileDescriptor]) -> str:
    out = ['"""Every public method of the API. Generated from the schema by scripts/gen_client.py: do not edit."""\n\n']
    out.append("from clarion_client._calls import Call\n\n")
    for file in files:
        for service in file.services_by_name.values():
            for method in public_methods(service):
                rule = method.GetOptions().Extensions[annotations_pb2.http]
                verb = rule.WhichOneof("pattern")
                extra = [f'body="{rule.body}"'] if rule.body else []
                extra += [f'answer="{rule.response_body}"'] if rule.response_body else []
                extra += ["idempotent=True"] if method.GetOptions().idempotency_level else []
                extra += ["unkeyed=True"] if is_open(method) else []
                extra += ["removes=True"] if method.name.startswith("Delete") and not method.output_type.fields else []
                extra += ["streams=True"] if method.server_streaming else []
                extra += ["uploads=True"] if method.client_streaming else []
                parts = [f'"/{service.full_name}/{method.name}"', f'"{verb.upper()}"', f'"{getattr(rule, verb)}"', *extra]
                out.append(f"{constant(method)} = Call({', '.join(parts)})\n")
    return "".join(out)


def client(*, asynchronous: bool) -> str:
    prefix = "Async" if asynchronous else ""
    module = "aio_resources" if asynchronous else "resources"
    lines = [f"        self.{attribute} = {module}.{prefix}{cls}(transport, settings)\n" for attribute, cls, _ in RESOURCES.values()]
    return "".join(lines)


def schema(files: list[FileDescriptor]) -> bytes:
    """The public files with everything that they import, each after what it needs."""
    ordered: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        if file.name not in ordered:
            for dependency in file.dependencies:
                add(dependency)
            ordered[file.name] = file

    for file in files:
        add(file)
    described = descriptor_pb2.FileDescriptorSet()
    for file in ordered.values():
        file.CopyToProto(described.file.add())
    return described.SerializeToString(deterministic=True)


def generate() -> dict[str, bytes]:
    """Every generated file by its name below the package."""
    files = public_files()
    types = Types(files, Comments())
    texts = {
        "models.py": models(types),
        "_api.py": calls(files),
        "resources.py": resources(files, types, asynchronous=False),
        "aio_resources.py": resources(files, types, asynchronous=True),
        "_attach.py": attach(),
    }
    return {**{name: formatted(text) for name, text in texts.items()}, "schema.binpb": schema(files)}


def attach() -> str:
    """The clients' attributes, one per service."""
    out = ['"""The attributes of the clients. Generated by scripts/gen_client.py: do not edit."""\n\n']
    out.append("from clarion_client import aio_resources, resources\n")
    out.append("from clarion_client._base import AsyncTransport, Settings, Transport\n\n")
    for asynchronous in (False, True):
        prefix = "Async" if asynchronous else ""
        out.append(f'\nclass {prefix}Services:\n    """Every service of the API."""\n\n')
        out.append(
            f"    def __init__(self, transport: {prefix}Transport, settings: Settings) -> None:\n{client(asynchronous=asynchronous)}\n"
        )
    return "".join(out)


def formatted(text: str) -> bytes:
    """The code as ruff writes it, with the imports that it uses."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generated.py"
        path.write_text(text)
        ruff = [str(Path(sys.executable).parent / "ruff")]
        common = ["--quiet", "--config", str(ROOT / "clients" / "python" / "ruff.toml"), str(path)]
        subprocess.run([*ruff, "check", "--fix", "--exit-zero", *common], check=True)
        subprocess.run([*ruff, "format", *common], check=True)
        return path.read_bytes()


def main() -> int:
    """Generate, or check; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when the client is not what the schema says")
    options = parser.parse_args()
    stale = [name for name, content in generate().items() if not (PACKAGE / name).exists() or (PACKAGE / name).read_bytes() != content]
    # the examples call the client, so both are made together
    examples = subprocess.run([sys.executable, "-m", "scripts.gen_samples", *(["--check"] if options.check else [])], cwd=ROOT, check=False)
    if options.check:
        for name in stale:
            print(f"clients/python is not fresh, run `make gen`: {name}", file=sys.stderr)
        return 1 if stale else examples.returncode
    for name, content in generate().items():
        if name in stale:
            (PACKAGE / name).write_bytes(content)
    print(f"clients/python: {len(stale)} changed")
    return examples.returncode


if __name__ == "__main__":
    sys.exit(main())
