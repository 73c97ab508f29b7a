"""What a release is made of: its SBOM names what the locks pin, its files are the same bytes each time, its notes are the changelog's."""

import json
import re
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # has no stubs of its own
import pytest

from scripts import release, sbom
from scripts.gen import ROOT
from tests.repo.test_lock import versions


def test_the_bill_names_what_the_lock_pins_and_what_the_pages_bundle() -> None:
    components = sbom.bill("1.2.3")["components"]
    python = {
        one["name"].lower().replace("_", "-").replace(".", "-"): one["version"] for one in components if one["purl"].startswith("pkg:pypi/")
    }
    assert python == versions("requirements.lock")
    bundled = json.loads((ROOT / "console" / "package.json").read_text())["dependencies"]
    npm = {one["name"]: one["version"] for one in components if one["purl"].startswith("pkg:npm/")}
    assert bundled.items() <= npm.items()
    assert not {"typescript", "vite"} & npm.keys(), "they only build"
    assert len({one["bom-ref"] for one in components}) == len(components)


def test_the_bill_has_the_form_that_readers_expect() -> None:
    """The required part of CycloneDX's own schema, which no package brings along."""
    text = {"type": "string", "minLength": 1}
    component = {
        "type": "object",
        "required": ["type", "name", "version", "purl", "bom-ref"],
        "properties": {"name": text, "version": text},
    }
    schema = {
        "type": "object",
        "required": ["bomFormat", "specVersion", "serialNumber", "version", "metadata", "components"],
        "properties": {
            "bomFormat": {"const": "CycloneDX"},
            "specVersion": {"const": "1.6"},
            "serialNumber": {"pattern": "^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
            "components": {"type": "array", "items": component, "minItems": 1},
        },
    }
    jsonschema.validate(sbom.bill("1.2.3"), schema)


def test_a_version_without_a_section_in_the_changelog_is_not_released() -> None:
    with pytest.raises(release.CanNotReleaseError, match=re.escape("rename [Unreleased]")):
        release.notes("99.0.0")
    assert "### Added" in release.notes("Unreleased")


def test_the_overlay_prod_runs_the_version_of_the_project() -> None:
    text = (ROOT / "k8s" / "overlays" / "prod" / "kustomization.yaml").read_text()
    assert f"newTag: {release.version()}\n" in text


@pytest.mark.processes
def test_the_same_commit_makes_the_same_bytes(tmp_path: Path) -> None:
    if not (ROOT / "gateway" / "console" / "built" / "index.html").is_file():
        pytest.skip("the console is not built: `make setup` does it")
    made = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        release.write(folder, "1.2.3")
        release.build_wheel(folder)
        made.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert made[0] == made[1]
    assert sum(name.endswith(".whl") for name in made[0]) == 1
