"""The chart makes what Kustomize makes of the same manifests, by Helm's own engine; and each value does what it says."""

import copy
import importlib.util
import json
import subprocess
import sys
import tomllib
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.repo.helm_render import CHART
from tests.repo.test_components import COMPONENTS, rendered
from tests.repo.test_manifests import K8S, ROOT, VERSIONS, Object, container, pod

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(importlib.util.find_spec("helm_python") is None, reason="helm-python-sdk has no wheel for this machine"),
]

# These change what the base has by patches of Kustomize, which the chart has none of.
BY_PATCHES = {"mtls", "oidc"}
REFUSED: tuple[tuple[Object, str], ...] = (
    ({"servces": {}}, "servces"),
    ({"services": {"gatway": {}}}, "gatway"),
    ({"services": {"gateway": {"min_replicas": 2}}}, "min_replicas"),
    ({"services": {"gateway": {"maxReplicas": 0}}}, "maxReplicas"),
    ({"config": {"LOG_LEVEL": "DEBUG"}}, "LOG_LEVEL"),
    ({"config": {"CLARION_DRAIN_S": 5}}, "CLARION_DRAIN_S"),
    ({"image": {"digest": "latest"}}, "digest"),
    ({"components": ["mtls"]}, "components"),
)


@cache
def answer(*values: str) -> dict[str, Any]:
    """What Helm says to each of these values, which are JSON."""
    command = [sys.executable, "-m", "tests.repo.helm_render"]
    done = subprocess.run(command, input=f"[{','.join(values)}]", capture_output=True, text=True, check=False, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def made(**values: Any) -> dict[tuple[str, str], Object]:
    """The chart's objects by kind and name."""
    (one,) = answer(json.dumps(values))["rendered"]
    templates = one["templates"]
    objects = [one for name, text in templates.items() if name.endswith(".yaml") for one in yaml.safe_load_all(text) if one]
    named = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    assert len(named) == len(objects)
    return named


def by_kustomize(*components: str) -> dict[tuple[str, str], Object]:
    """The same of the overlay prod, as a chart has them: without a namespace, which Helm gives them."""
    found = {}
    for one in copy.deepcopy(rendered(*components)):
        one["metadata"].pop("namespace", None)
        if one["kind"] == "Job":
            _make_hook(one)
        if one["kind"] != "Namespace":
            found[one["kind"], one["metadata"]["name"]] = one
    return found


def _make_hook(job: Object) -> None:
    """A migration of the base, before there is a ConfigMap or a ServiceAccount: its variables stand in it."""
    job["metadata"]["annotations"] = {
        "helm.sh/hook": "pre-install,pre-upgrade",
        "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
    }
    maps = [one for one in rendered() if one["kind"] == "ConfigMap"]
    data = {one["metadata"]["name"]: one["data"] for one in maps}
    for source in container(job).pop("envFrom"):
        container(job)["env"] += [{"name": name, "value": value} for name, value in data[source["configMapRef"]["name"]].items()]
    del pod(job)["serviceAccountName"]


def comparable(objects: dict[tuple[str, str], Object]) -> dict[tuple[str, str], Object]:
    """Without what only one of the two has a use for, and with variables in one order."""
    plain = copy.deepcopy(objects)
    for (kind, _), one in plain.items():
        if kind in {"Deployment", "Job"}:
            one["spec"]["template"]["metadata"].get("annotations", {}).pop("checksum/config", None)
            container(one)["env"].sort(key=lambda variable: str(variable["name"]))
    return plain


def test_without_values_it_makes_the_overlay_prod() -> None:
    chart, kustomize = comparable(made()), comparable(by_kustomize())
    assert chart.keys() == kustomize.keys()
    for key, one in kustomize.items():
        assert chart[key] == one, key


@pytest.mark.parametrize("component", sorted(set(COMPONENTS) - BY_PATCHES))
def test_a_component_is_the_same_one(component: str) -> None:
    chart, kustomize = comparable(made(components=[component])), comparable(by_kustomize(component))
    assert chart.keys() == kustomize.keys()
    for key, one in kustomize.items():
        # a migration reads one variable about connections of which it has no use
        if key[0] != "Job":
            assert chart[key] == one, key


def test_every_component_is_taken_or_has_patches() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert set(schema["properties"]["components"]["items"]["enum"]) == set(COMPONENTS) - BY_PATCHES
    for component in BY_PATCHES:
        kustomization = yaml.safe_load((K8S / "components" / component / "kustomization.yaml").read_text())
        assert any(patch["target"]["kind"] != "ConfigMap" for patch in kustomization["patches"])


def test_helm_finds_nothing_to_say_and_kubernetes_takes_it() -> None:
    assert [one["error"] for one in answer("{}")["lint"]] == ["icon is recommended"]
    for one in made().values():
        for version in VERSIONS:
            kubernetes_validate.validate(one, version, strict=True)


def test_the_chart_has_the_version_of_the_code() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_each_value_is_where_it_belongs_and_nowhere_else() -> None:
    values = {
        "image": {
            "repository": "registry.example.com/clarion",
            "digest": f"sha256:{'0' * 64}",
            "pullPolicy": "Always",
            "pullSecrets": ["registry"],
        },
        "config": {"CLARION_LOG_LEVEL": "DEBUG"},
        "smtp": {"CLARION_SMTP_HOST": "smtp.example.com"},
        "services": {
            "gateway": {
                "env": {"CLARION_CORS_ORIGINS": "https://example.com"},
                "resources": {"requests": {"cpu": "2"}},
                "minReplicas": 4,
                "maxReplicas": 40,
                "nodeSelector": {"pool": "clarion"},
                "tolerations": [{"key": "clarion", "operator": "Exists"}],
                "podAnnotations": {"example.com/team": "mail"},
            }
        },
    }
    before, after = made(), made(**values)
    assert before.keys() == after.keys()
    gateway, usual = after["Deployment", "gateway"], before["Deployment", "gateway"]
    assert container(gateway)["env"] == [*container(usual)["env"], {"name": "CLARION_CORS_ORIGINS", "value": "https://example.com"}]
    assert container(gateway)["resources"] == {"requests": {"cpu": "2", "memory": "256Mi"}, "limits": {"memory": "512Mi"}}
    assert (pod(gateway)["nodeSelector"], pod(gateway)["tolerations"][0]["key"]) == ({"pool": "clarion"}, "clarion")
    assert gateway["spec"]["template"]["metadata"]["annotations"]["example.com/team"] == "mail"
    scaled = after["HorizontalPodAutoscaler", "gateway"]["spec"]
    assert (scaled["minReplicas"], scaled["maxReplicas"]) == (4, 40)
    assert after["HorizontalPodAutoscaler", "user-svc"] == before["HorizontalPodAutoscaler", "user-svc"]
    assert after["ConfigMap", "clarion"]["data"] == {**before["ConfigMap", "clarion"]["data"], "CLARION_LOG_LEVEL": "DEBUG"}
    assert after["ConfigMap", "clarion-email-worker"]["data"]["CLARION_SMTP_HOST"] == "smtp.example.com"
    for (kind, name), one in after.items():
        if kind in {"Deployment", "Job"}:
            assert container(one)["image"] == f"registry.example.com/clarion@sha256:{'0' * 64}"
            assert container(one)["imagePullPolicy"] == "Always"
            assert pod(one)["imagePullSecrets"] == [{"name": "registry"}]
            assert "envFrom" in container(one) or {"name": "CLARION_LOG_LEVEL", "value": "DEBUG"} in container(one)["env"]
        if kind == "Deployment":
            # a changed ConfigMap rolls its readers
            then, now = (each[kind, name]["spec"]["template"]["metadata"]["annotations"]["checksum/config"] for each in (before, after))
            assert then != now


def test_policies_and_autoscalers_can_be_left_out() -> None:
    without = made(networkPolicies={"enabled": False}, autoscaling={"enabled": False}, services={"gateway": {"replicas": 5}})
    left_out = {"NetworkPolicy", "HorizontalPodAutoscaler"}
    assert without.keys() == {key for key in made() if key[0] not in left_out}
    assert without["Deployment", "gateway"]["spec"]["replicas"] == 5


def test_a_value_that_there_is_not_is_refused_by_name() -> None:
    refusals = answer(*(json.dumps(values) for values, _ in REFUSED))["rendered"]
    for (values, named), refused in zip(REFUSED, refusals, strict=True):
        assert named in refused.get("error", ""), values
