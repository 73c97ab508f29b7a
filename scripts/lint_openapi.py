"""Lint the OpenAPI document with Redocly's recommended rules. `make fuzz` runs it; it needs the npm registry once."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor

import gateway.app  # noqa: F401  knows every service
from gateway.rest import INFO, ClarionAnnotations, code_samples, schema_comments
from mesh.rpc.methods import methods_of
from transcoding.codec import Codec
from transcoding.json_text import write_json
from transcoding.openapi import openapi_document
from transcoding.transcoder import bind_all

# Node comes from a wheel, so that nothing has to be installed beside the virtual environment.
_NPX = Path(sys.executable).parent / "npx"
_LINTER = "@redocly/cli@2.77.0"


def document() -> bytes:
    """Write down what the gateway answers at /openapi.json."""
    codec = Codec(short_enums=True, print_defaults=True)
    methods = {name: method for service in _services() for name, method in methods_of(service).items()}
    _, bindings = bind_all(methods, codec)
    return write_json(openapi_document(bindings, codec, INFO, schema_comments(), ClarionAnnotations(), samples=code_samples()))


def _services() -> Iterator[ServiceDescriptor]:
    """All of the schema: methods without an address over HTTP are left out where they are bound."""
    for file in schema_comments().file:
        if file.package.startswith("clarion."):
            for service in file.service:
                yield descriptor_pool.Default().FindServiceByName(f"{file.package}.{service.name}")


def main() -> int:
    """Lint, and return the linter's exit code."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "openapi.json").write_bytes(document())
        return subprocess.run(
            [_NPX, "--yes", _LINTER, "lint", "openapi.json", "--extends", "recommended"], cwd=folder, check=False
        ).returncode


if __name__ == "__main__":
    raise SystemExit(main())
