"""Every variable, port, probe and command in k8s/, compose.yaml and the Dockerfile is one that the code really has."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from devstack.processes import package_of
from mesh.process.settings import Env

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"
RPC_SERVICES = ("gateway", "user_svc", "template_svc")
SERVICES = (*RPC_SERVICES, "email_worker", "push_worker", "webhooks")
VERSIONS = ("1.29", kubernetes_validate.latest_version())
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()

# Its own API groups; resources of other projects are the matter of test_components.py.
KUBERNETES = {"v1", "apps", "autoscaling", "batch", "networking.k8s.io", "policy"}

Object = dict[str, Any]


@cache
def documents() -> tuple[tuple[Path, Object], ...]:
    """Load every Kubernetes object of the repository with the file that it is in."""
    found = []
    for path in sorted(K8S.rglob("*.yaml")):
        found += [(path, document) for document in yaml.safe_load_all(path.read_text()) if document]
    return tuple(found)


def objects(kind: str) -> Iterator[tuple[Path, Object]]:
    yield from ((path, document) for path, document in documents() if document["kind"] == kind)


def of_service(service: str, kind: str) -> Object:
    """Return the one object of a kind in a service's folder."""
    (found,) = [document for path, document in objects(kind) if path.parent == K8S / "base" / service]
    return found


def pod(workload: Object) -> Object:
    spec: Object = workload["spec"]["template"]["spec"]
    return spec


def container(workload: Object) -> Object:
    (only,) = pod(workload)["containers"]
    found: Object = only
    return found


@cache
def secrets() -> Mapping[tuple[str, str], str]:
    """Map (secret, key) to the value that the dev overlay makes for it."""
    overlay = yaml.safe_load((K8S / "overlays" / "dev" / "kustomization.yaml").read_text())
    literals = [(secret["name"], literal) for secret in overlay["secretGenerator"] for literal in secret.get("literals", ())]
    return {(name, literal.partition("=")[0]): literal.partition("=")[2] for name, literal in literals}


def variables(workload: Object) -> dict[str, str]:
    """Return the environment that Kubernetes would give a workload under the dev overlay. An unknown ConfigMap or key fails."""
    maps = {document["metadata"]["name"]: document["data"] for _, document in objects("ConfigMap")}
    environ: dict[str, str] = {}
    for source in container(workload)["envFrom"]:
        environ |= maps[source["configMapRef"]["name"]]
    for variable in container(workload)["env"]:
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        environ[variable["name"]] = variable["value"] if reference is None else secrets()[reference["name"], reference["key"]]
    return environ


def read(service: str, environ: Mapping[str, str]) -> tuple[Env, Any]:
    """Read a service's settings from an environment, as the process would."""
    env = Env(environ)
    return env, import_module(f"{package_of(service)}.settings").Settings.from_env(env)


def ports(service: str, environ: Mapping[str, str]) -> dict[str, int]:
    """Name the ports that a process with these variables listens on."""
    _, settings = read(service, environ)
    http = {"http": settings.http.port} if service == "gateway" else {}
    return {"grpc": settings.grpc.port, "metrics": settings.common.metrics_port, **http}


def compose_environ(name: str) -> dict[str, str]:
    environ: dict[str, str] = COMPOSE["services"][name]["environment"]
    return environ


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_fits_the_schema_of_kubernetes(version: str) -> None:
    assert len(documents()) > len(SERVICES)
    for path, document in documents():
        if document["apiVersion"].partition("/")[0] in KUBERNETES:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                pytest.fail(f"{path.relative_to(ROOT)}: {'.'.join(map(str, error.path))}: {error.message}")


def test_a_kustomization_lists_every_file_beside_it_and_nothing_else() -> None:
    for path, kustomization in (*objects("Kustomization"), *objects("Component")):
        resources = {(path.parent / name).resolve() for name in kustomization["resources"]}
        assert all(resource.exists() for resource in resources), path
        beside = {file for file in path.parent.glob("*.yaml") if file.name != "kustomization.yaml"}
        assert beside <= resources, path


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_the_standard_manifests(service: str) -> None:
    names = {path.name for path in (K8S / "base" / service).iterdir()}
    assert names >= {"deployment.yaml", "hpa.yaml", "pdb.yaml", "kustomization.yaml"}
    assert ("service.yaml" in names) == (service in RPC_SERVICES), "nobody calls a worker"
    assert ("migration.yaml" in names) == (service in RPC_SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_the_variables_of_a_deployment_are_good_settings(service: str) -> None:
    """Nothing required is missing, no value is refused, no name is one that the process does not read."""
    workload = of_service(service, "Deployment")
    env, _ = read(service, variables(workload))
    assert env.problems == []
    assert {variable["name"] for variable in container(workload)["env"]} <= env.names.keys()


@pytest.mark.parametrize("service", RPC_SERVICES)
def test_the_migration_job_migrates_with_good_settings(service: str) -> None:
    job = of_service(service, "Job")
    env, _ = read(service, variables(job))
    assert env.problems == []
    assert container(job)["args"] == [service, "migrate"]
    assert "CLARION_DATABASE_URL" in env.names, "the runtime offers migrate only where there is a database"


def test_every_shared_variable_is_read_by_somebody() -> None:
    known = set[str]().union(*(read(service, {})[0].names for service in SERVICES))
    for path, config in objects("ConfigMap"):
        assert set(config["data"]) <= known, path


@pytest.mark.parametrize("service", SERVICES)
def test_a_deployment_starts_the_package_and_names_the_ports_that_it_opens(service: str) -> None:
    workload = of_service(service, "Deployment")
    only = container(workload)
    package = package_of(service)
    assert only["args"] == [package]
    assert (ROOT / package.replace(".", "/") / "__main__.py").is_file()
    assert {port["name"]: port["containerPort"] for port in only["ports"]} == ports(service, variables(workload))


@pytest.mark.parametrize("service", SERVICES)
def test_a_probe_asks_a_port_that_no_client_reaches(service: str) -> None:
    """Liveness must not follow dependencies: a restart brings no database back. The metrics must be reachable for the kubelet."""
    workload = of_service(service, "Deployment")
    probes = {kind: container(workload)[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {probe["port"] for probe in probes.values()} == {"metrics"}
    assert probes["startup"]["path"] == probes["liveness"]["path"] == "/livez"
    assert probes["readiness"]["path"] == "/readyz"
    assert variables(workload)["CLARION_METRICS_HOST"] == "0.0.0.0"
    assert container(workload)["livenessProbe"]["timeoutSeconds"] > 3, "the answer of a process whose event loop is stuck takes 3 s"


@pytest.mark.parametrize("service", SERVICES)
def test_a_pod_gets_more_time_to_stop_than_the_process_takes(service: str) -> None:
    workload = of_service(service, "Deployment")
    _, settings = read(service, variables(workload))
    assert pod(workload)["terminationGracePeriodSeconds"] > settings.common.drain_s + settings.common.grace_s


def test_every_container_is_locked_down_and_says_what_it_needs() -> None:
    for path, workload in (*objects("Deployment"), *objects("Job")):
        only = container(workload)
        assert pod(workload)["securityContext"]["runAsNonRoot"] is True, path
        assert only["securityContext"]["readOnlyRootFilesystem"] is True, path
        assert only["securityContext"]["allowPrivilegeEscalation"] is False, path
        assert {"cpu", "memory"} <= only["resources"]["requests"].keys(), path
        assert "memory" in only["resources"]["limits"], path


def test_a_service_leads_to_a_port_of_its_pods() -> None:
    for path, service in objects("Service"):
        workload = of_service(path.parent.name, "Deployment")
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items(), path
        offered = {port["containerPort"] for port in container(workload)["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= offered, path


def test_a_name_that_grpc_clients_resolve_is_a_headless_service() -> None:
    """Through a cluster address, all calls of a client would stay with one replica."""
    headless = {
        f"dns:///{service['metadata']['name']}:{port['port']}"
        for _, service in objects("Service")
        for port in service["spec"]["ports"]
        if service["spec"].get("clusterIP") == "None"
    }
    targets = {value for _, config in objects("ConfigMap") for name, value in config["data"].items() if name.endswith("_TARGET")}
    assert targets
    assert targets <= headless


@pytest.mark.parametrize("service", SERVICES)
def test_scaling_and_disruption_are_about_the_deployment(service: str) -> None:
    workload = of_service(service, "Deployment")
    target = of_service(service, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", workload["metadata"]["name"])
    selector = of_service(service, "PodDisruptionBudget")["spec"]["selector"]
    assert selector == workload["spec"]["selector"]


@pytest.mark.parametrize("service", SERVICES)
def test_compose_gives_a_process_good_settings_and_publishes_its_ports(service: str) -> None:
    name = service.replace("_", "-")
    env, _ = read(service, compose_environ(name))
    assert env.problems == []
    assert compose_environ(name).keys() <= env.names.keys()
    assert COMPOSE["services"][name]["command"] == [package_of(service)]
    assert {target for target in env.names if target.endswith("_TARGET")} <= compose_environ(name).keys(), "localhost is another container"
    published = {int(port.split(":")[-1]) for port in COMPOSE["services"][name]["ports"]}
    opened = ports(service, compose_environ(name))
    assert published == set(opened.values()) - {opened["metrics"]}


@pytest.mark.parametrize("service", RPC_SERVICES)
def test_compose_migrates_before_it_starts_a_service(service: str) -> None:
    name = service.replace("_", "-")
    migration = f"{name}-migration"
    env, _ = read(service, compose_environ(migration))
    assert env.problems == []
    assert COMPOSE["services"][migration]["command"] == [service, "migrate"]
    assert COMPOSE["services"][name]["depends_on"][migration] == {"condition": "service_completed_successfully"}


def test_compose_knows_every_host_that_a_variable_names() -> None:
    for name in COMPOSE["services"]:
        environ = COMPOSE["services"][name].get("environment", {})
        for variable, value in environ.items():
            for host in re.findall(r"(?:@|///|redis://)([a-z-]+):\d+", value):
                assert host in COMPOSE["services"], f"{name}: {variable}"
    assert compose_environ("email-worker")["CLARION_SMTP_HOST"] in COMPOSE["services"]


def test_compose_grants_more_time_to_stop_than_a_process_takes() -> None:
    grant = re.fullmatch(r"(\d+)s", COMPOSE["x-process"]["stop_grace_period"])
    assert grant is not None
    _, settings = read("gateway", compose_environ("gateway"))
    assert int(grant[1]) > settings.common.drain_s + settings.common.grace_s


def test_the_image_holds_every_package_and_no_more() -> None:
    copied = {match[1] for match in re.finditer(r"^COPY (\w+) \1$", DOCKERFILE, flags=re.MULTILINE)}
    owners = {package_of(service).partition(".")[0] for service in SERVICES}
    assert copied == {"gen", "mesh", "transcoding", "naming", "peers", "delivery", *owners}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == copied | {"requirements.lock", "console"}
    assert "COPY --from=console /srv/gateway/console/built gateway/console/built" in DOCKERFILE.splitlines()


def test_the_image_runs_as_somebody_who_may_nothing() -> None:
    user = re.search(r"^USER (\d+):\d+$", DOCKERFILE, flags=re.MULTILINE)
    assert user is not None
    assert int(user[1]) == pod(of_service("gateway", "Deployment"))["securityContext"]["runAsUser"]


def test_the_image_exposes_the_ports_that_processes_open_by_default() -> None:
    exposed = re.search(r"^EXPOSE (.*)$", DOCKERFILE, flags=re.MULTILINE)
    assert exposed is not None
    opened = {port for service in SERVICES for name, port in ports(service, {}).items() if name != "metrics"}
    assert {int(port) for port in exposed[1].split()} - {9100} == opened


def test_the_image_installs_exactly_the_hashed_lock() -> None:
    assert "--require-hashes" in DOCKERFILE
    assert "--no-deps" in DOCKERFILE
    assert DOCKERFILE.count("pip install") == 1
