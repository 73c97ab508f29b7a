"""Generate the API's types of the console from the OpenAPI document: console/src/api-types.ts.

Only those that the console imports, and what they hold, so that other changes of the API leave the file alone.

Usage: gen_console [--check]. With --check it writes nothing and fails when the committed file is not what it would write.
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.lint_openapi import document

TARGET = Path(__file__).resolve().parent.parent / "console" / "src" / "api-types.ts"
_HEAD = "// Written by scripts/gen_console.py from the OpenAPI document; do not edit.\n"
_IMPORT = re.compile(r'import type \{([^}]+)\} from "[./]+/api-types"')
_REF = "#/components/schemas/"


def render() -> str:
    """Write the types down."""
    schemas = json.loads(document())["components"]["schemas"]
    used = _used(schemas)
    return _HEAD + "".join(_declaration(name, schema) for name, schema in schemas.items() if name in used)


def _used(schemas: Mapping[str, Any]) -> set[str]:
    imports = (names for path in TARGET.parent.rglob("*.ts*") for names in _IMPORT.findall(path.read_text()))
    todo = {name.strip() for names in imports for name in names.split(",") if name.strip()}
    used: set[str] = set()
    while todo:
        name = todo.pop()
        used.add(name)
        todo |= set(re.findall(rf'"{_REF}(\w+)"', json.dumps(schemas[name]))) - used
    return used


def _declaration(name: str, schema: Mapping[str, Any]) -> str:
    if "properties" not in schema:
        return f"\nexport type {name} = {_type(schema)};\n"
    fields = "".join(f"  {_key(field)}?: {_type(part)};\n" for field, part in schema["properties"].items())
    return f"\nexport interface {name} {{\n{fields}}}\n"


def _key(name: str) -> str:
    return name if name.isidentifier() else json.dumps(name)


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_REF)
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return " | ".join(dict.fromkeys(_type(part) for part in schema[several]))
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return " | ".join(_type({**schema, "type": kind}) for kind in kinds)
    if kinds == "array":
        return f"Array<{_type(schema['items'])}>"
    if kinds == "object":
        values = schema.get("additionalProperties")
        return f"Record<string, {_type(values)}>" if isinstance(values, dict) else "Record<string, unknown>"
    return {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}.get(str(kinds), "unknown")


def main() -> int:
    """Write the file, or compare it."""
    text = render()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text)
        return 0
    if TARGET.read_text() == text:
        return 0
    sys.stderr.write(f"{TARGET.name} is not what the schema says: run `make gen`\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
