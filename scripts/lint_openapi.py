"""Lint the OpenAPI document with Redocly's recommended rules. `make fuzz` runs it; it needs the npm registry once."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from google.protobuf.descriptor import ServiceDescriptor

from gateway.app import (
    AUDIT_SERVICE,
    AUTH_SERVICE,
    BREAKER_SERVICE,
    CHANGE_SERVICE,
    DEAD_LETTER_SERVICE,
    NOTIFICATION_SERVICE,
    PERSONAL_DATA_SERVICE,
    POLICY_SERVICE,
    PREFERENCE_PAGE_SERVICE,
    PROJECT_SERVICE,
    SAGA_SERVICE,
    SIGN_IN_SERVICE,
    TEMPLATE_SERVICE,
    USER_SERVICE,
    WEBHOOK_SERVICE,
)
from gateway.rest import INFO, ClarionAnnotations, schema_comments
from mesh.rpc.methods import methods_of
from transcoding.codec import Codec
from transcoding.json_text import write_json
from transcoding.openapi import openapi_document
from transcoding.transcoder import bind_all

# Node comes from a wheel, so that nothing has to be installed beside the virtual environment.
_NPX = Path(sys.executable).parent / "npx"
_LINTER = "@redocly/cli@2.77.0"
SERVICES = (
    AUDIT_SERVICE, AUTH_SERVICE, BREAKER_SERVICE, CHANGE_SERVICE, DEAD_LETTER_SERVICE, NOTIFICATION_SERVICE, PERSONAL_DATA_SERVICE,
    POLICY_SERVICE, PREFERENCE_PAGE_SERVICE, PROJECT_SERVICE, SAGA_SERVICE, SIGN_IN_SERVICE, TEMPLATE_SERVICE, USER_SERVICE,
    WEBHOOK_SERVICE,
)  # fmt: skip


def document(services: Sequence[ServiceDescriptor] = SERVICES) -> bytes:
    """Write down what the gateway answers at /openapi.json."""
    codec = Codec(short_enums=True, print_defaults=True)
    methods = {name: method for service in services for name, method in methods_of(service).items()}
    _, bindings = bind_all(methods, codec)
    return write_json(openapi_document(bindings, codec, INFO, schema_comments(), ClarionAnnotations()))


def main() -> int:
    """Lint, and return the linter's exit code."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "openapi.json").write_bytes(document())
        return subprocess.run(
            [_NPX, "--yes", _LINTER, "lint", "openapi.json", "--extends", "recommended"], cwd=folder, check=False
        ).returncode


if __name__ == "__main__":
    raise SystemExit(main())
