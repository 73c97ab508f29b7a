"""The software bill of materials (CycloneDX 1.6) of the wheel and the image: what both locks pin for a running process."""

import base64
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

from scripts.gen import ROOT

_LOCK = ROOT / "requirements.lock"
_CONSOLE_LOCK = ROOT / "console" / "package-lock.json"


def bill(version: str) -> Mapping[str, Any]:
    """The document. It says nothing about when or where it was made, so that one commit has one."""
    components = sorted([*_python(), *_console()], key=lambda one: one["purl"])
    own = {"type": "application", "name": "clarion", "version": version, "bom-ref": f"clarion@{version}"}
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([own, components], sort_keys=True))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{number}",
        "version": 1,
        "metadata": {"component": own},
        "components": components,
        "dependencies": [{"ref": own["bom-ref"], "dependsOn": [one["bom-ref"] for one in components]}],
    }


def _python() -> Iterator[dict[str, Any]]:
    """Of a package with several files the lock has several hashes, and which is installed depends on the machine: they are left out."""
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", _LOCK.read_text(), re.MULTILINE):
        purl = f"pkg:pypi/{name.lower()}@{version}"
        yield {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl, **_licence(_licence_of(name))}


def _console() -> Iterator[dict[str, Any]]:
    """What is bundled into the pages; what only builds them is marked `dev`."""
    for path, package in json.loads(_CONSOLE_LOCK.read_text())["packages"].items():
        if path and not package.get("dev") and not package.get("optional"):
            name = path.rpartition("node_modules/")[2]
            purl = f"pkg:npm/{name.replace('@', '%40')}@{package['version']}"
            hashes = {"hashes": [{"alg": "SHA-512", "content": _hex(package["integrity"])}]}
            found = {"type": "library", "name": name, "version": package["version"], "purl": purl, "bom-ref": purl}
            yield {**found, **hashes, **_licence(package.get("license", ""))}


def _hex(integrity: str) -> str:
    return base64.b64decode(integrity.removeprefix("sha512-")).hex()


def _licence(expression: str) -> Mapping[str, Any]:
    return {"licenses": [{"expression": expression}]} if expression else {}


def _licence_of(name: str) -> str:
    """The SPDX expression that the installed package declares; nothing where it has an older kind of text, or is not installed here."""
    try:
        declared = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    return "".join(declared.get_all("License-Expression") or ())
