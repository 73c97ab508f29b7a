"""The components and the overlay of engines fit the schemas of the resources that they use, render, and name what is there."""

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # has no stubs of its own
import pytest
import yaml

from tests.repo.test_deploying import documented
from tests.repo.test_manifests import K8S, KUBERNETES, SERVICES, Object, container, documents, objects, of_service, read
from tests.repo.test_telemetry import SUFFIXES, instruments, used

SCHEMAS = Path(__file__).parent / "crds"
COMPONENTS = sorted(path.name for path in (K8S / "components").iterdir())
ENGINES = K8S / "overlays" / "engines"
# Kinds of which no package has the schema; the tests below read what matters in them.
BY_STRUCTURE = {"Issuer", "RabbitmqCluster", "Cluster", "Database", "ObjectStore", "ScheduledBackup", "RedisReplication", "RedisSentinel"}


def of_component(component: str, kind: str) -> list[Object]:
    return [document for path, document in objects(kind) if path.parent == K8S / "components" / component]


@cache
def rendered(*components: str) -> tuple[Object, ...]:
    """What `kubectl kustomize` makes of the overlay prod with these components."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl on PATH")
    folder = K8S.parent / ".clarion" / f"rendered-{os.getpid()}-{'-'.join(components)}"
    folder.mkdir(parents=True)
    try:
        (folder / "kustomization.yaml").write_text(
            yaml.safe_dump(
                {
                    "namespace": "clarion",
                    "resources": ["../../k8s/overlays/prod"],
                    "components": [f"../../k8s/components/{component}" for component in components],
                }
            )
        )
        done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, timeout=60, check=False)
    finally:
        shutil.rmtree(folder)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def rendered_deployment(name: str, *components: str) -> Object:
    (found,) = [one for one in rendered(*components) if one["kind"] == "Deployment" and one["metadata"]["name"] == name]
    return found


@pytest.mark.parametrize("schema", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.stem)
def test_a_resource_of_another_project_fits_its_published_schema(schema: Path) -> None:
    found = list(objects(schema.stem))
    assert found, "no file uses it: delete the schema"
    validator = jsonschema.Draft7Validator(json.loads(schema.read_text()))
    for path, document in found:
        problems = [f"{'.'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(document)]
        assert problems == [], path


def test_every_kind_of_another_project_is_held_against_something() -> None:
    foreign = {one["kind"] for _, one in documents() if one["apiVersion"].partition("/")[0] not in {*KUBERNETES, "kustomize.config.k8s.io"}}
    assert foreign == {path.stem for path in SCHEMAS.glob("*.json")} | BY_STRUCTURE


def test_an_issuer_of_mtls_signs_itself_or_by_the_ca() -> None:
    issuers = {one["metadata"]["name"]: one["spec"] for one in of_component("mtls", "Issuer")}
    certificates = {one["metadata"]["name"]: one["spec"] for one in of_component("mtls", "Certificate")}
    ca = certificates.pop("clarion-ca")
    assert issuers == {"clarion-bootstrap": {"selfSigned": {}}, "clarion-ca": {"ca": {"secretName": ca["secretName"]}}}
    assert ca["isCA"]
    assert ca["issuerRef"]["name"] == "clarion-bootstrap"
    assert {one["issuerRef"]["name"] for one in certificates.values()} == {"clarion-ca"}


@pytest.mark.processes
@pytest.mark.parametrize("component", COMPONENTS)
def test_the_overlay_prod_takes_every_component_and_all_together(component: str) -> None:
    for chosen in ([component], COMPONENTS):
        names = [(one["kind"], one["metadata"]["name"]) for one in rendered(*chosen)]
        assert len(set(names)) == len(names)
        assert {one["metadata"].get("namespace") for one in rendered(*chosen) if one["kind"] != "Namespace"} == {"clarion"}


@pytest.mark.parametrize("worker", ["email_worker", "push_worker"])
def test_a_worker_is_scaled_by_depth_and_age_of_metrics_that_the_code_makes(worker: str) -> None:
    workload = of_service(worker, "Deployment")
    (scaled,) = [one for one in of_component("keda", "ScaledObject") if one["metadata"]["name"] == workload["metadata"]["name"]]
    assert scaled["spec"]["scaleTargetRef"] == {"name": workload["metadata"]["name"]}
    triggers = {trigger["name"]: trigger["metadata"]["query"] for trigger in scaled["spec"]["triggers"]}
    assert triggers.keys() == {"depth", "age"}
    for metric, labels in used(list(triggers.values())).items():
        assert labels <= instruments()[SUFFIXES.sub("", metric)], metric


@pytest.mark.processes
def test_one_autoscaler_at_a_time_is_about_a_deployment() -> None:
    for components in ((), ("keda",)):
        scaled = [
            (one["spec"]["scaleTargetRef"]["name"], one["kind"])
            for one in rendered(*components)
            if one["kind"] in {"HorizontalPodAutoscaler", "ScaledObject"}
        ]
        assert len(dict(scaled)) == len(scaled) == len(SERVICES)
        assert ("ScaledObject" in dict(scaled).values()) == bool(components)


def test_prometheus_scrapes_the_port_of_the_metrics_and_names_jobs_by_deployment() -> None:
    (monitor,) = of_component("monitoring", "PodMonitor")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    for path, workload in objects("Deployment"):
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items(), path
        assert labels[monitor["spec"]["jobLabel"]] == workload["metadata"]["name"], path
        assert endpoint["port"] in {port["name"] for port in container(workload)["ports"]}, path


def test_the_ways_in_lead_to_ports_of_the_gateways_services() -> None:
    offered = {
        (one["metadata"]["name"], port[key]) for _, one in objects("Service") for port in one["spec"]["ports"] for key in ("name", "port")
    }
    led: set[tuple[str, Any]] = set()
    for one in of_component("ingress", "Ingress"):
        backends = [path["backend"]["service"] for rule in one["spec"]["rules"] for path in rule["http"]["paths"]]
        led |= {(backend["name"], backend["port"]["name"]) for backend in backends}
    for kind in ("HTTPRoute", "GRPCRoute"):
        for one in of_component("gateway-api", kind):
            led |= {(backend["name"], backend["port"]) for rule in one["spec"]["rules"] for backend in rule["backendRefs"]}
    assert led <= offered
    assert {name for name, _ in led} == {"gateway", "gateway-grpc"}


def test_the_public_certificate_is_for_the_names_of_the_ways_in() -> None:
    (certificate,) = of_component("public-tls", "Certificate")
    names = set(certificate["spec"]["dnsNames"])
    for one in of_component("ingress", "Ingress"):
        assert {host for tls in one["spec"]["tls"] for host in tls["hosts"]} == {rule["host"] for rule in one["spec"]["rules"]} <= names
        assert {tls["secretName"] for tls in one["spec"]["tls"]} == {certificate["spec"]["secretName"]}
    (gateway,) = of_component("gateway-api", "Gateway")
    listeners = {listener["name"]: listener["hostname"] for listener in gateway["spec"]["listeners"]}
    assert set(listeners.values()) == names
    for kind in ("HTTPRoute", "GRPCRoute"):
        for one in of_component("gateway-api", kind):
            (parent,) = one["spec"]["parentRefs"]
            assert one["spec"]["hostnames"] == [listeners[parent["sectionName"]]]


def test_a_stream_outlives_no_way_in() -> None:
    _, settings = read("gateway", {})
    age_s = settings.grpc.limits.stream_age_s
    for one in of_component("ingress", "Ingress"):
        assert int(one["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-read-timeout"]) > age_s
    (route,) = of_component("gateway-api", "HTTPRoute")
    for rule in route["spec"]["rules"]:
        assert int(rule["timeouts"]["request"].removesuffix("s")) > age_s


def test_external_secrets_are_those_that_the_deployments_name() -> None:
    made = {one["metadata"]["name"] for one in of_component("external-secrets", "ExternalSecret")}
    assert made == documented().keys()
    for one in of_component("external-secrets", "ExternalSecret"):
        assert one["spec"]["target"]["name"] == one["metadata"]["name"]


@pytest.mark.processes
@pytest.mark.parametrize("service", SERVICES)
def test_with_mtls_a_process_shows_and_trusts_certificates_of_one_ca(service: str) -> None:
    """Callers have a certificate for clients, the two services that are called one for both, under the name that callers resolve."""
    name = of_service(service, "Deployment")["metadata"]["name"]
    only = container(rendered_deployment(name, "mtls"))
    environ = {variable["name"]: variable["value"] for variable in only["env"] if "TLS" in variable["name"]}
    env, settings = read(service, environ)
    assert not [problem for problem in env.problems if "TLS" in problem]
    assert environ.keys() <= env.names.keys()
    served = service in {"user_svc", "template_svc"}
    assert bool(settings.grpc.tls_client_ca_file) == bool(settings.grpc.tls_cert_file) == served
    assert ("CLARION_TLS_CA_FILE" in environ) == ("CLARION_TLS_CA_FILE" in env.names)
    if environ:
        (certificate,) = [one for one in of_component("mtls", "Certificate") if one["metadata"]["name"] == f"{name}-tls"]
        assert certificate["spec"]["dnsNames"] == [name]
        usages = certificate["spec"]["usages"]
        assert ("server auth" in usages) == served
        assert "client auth" in usages
        volumes = {volume["name"]: volume for volume in rendered_deployment(name, "mtls")["spec"]["template"]["spec"]["volumes"]}
        assert volumes["tls"]["secret"]["secretName"] == certificate["spec"]["secretName"]
        (mount,) = [one["mountPath"] for one in only["volumeMounts"] if one["name"] == "tls"]
        assert all(file.startswith(f"{mount}/") for file in environ.values())


def of_engines(kind: str) -> list[Object]:
    return [document for path, document in objects(kind) if path.parent == ENGINES]


def test_each_engine_survives_the_loss_of_a_node() -> None:
    (rabbitmq,), (postgres,) = of_engines("RabbitmqCluster"), of_engines("Cluster")
    (redis,), (sentinel,) = of_engines("RedisReplication"), of_engines("RedisSentinel")
    assert (
        rabbitmq["spec"]["replicas"]
        == postgres["spec"]["instances"]
        == redis["spec"]["clusterSize"]
        == sentinel["spec"]["clusterSize"]
        == 3
    )
    assert postgres["spec"]["postgresql"]["synchronous"]["number"] == 1
    assert sentinel["spec"]["redisSentinelConfig"]["redisReplicationName"] == redis["metadata"]["name"]


def test_each_service_has_its_database_with_an_owner_and_a_backup() -> None:
    (cluster,) = of_engines("Cluster")
    first = cluster["spec"]["bootstrap"]["initdb"]
    roles = {role["name"] for role in cluster["spec"]["managed"]["roles"]}
    databases = {one["spec"]["name"]: one["spec"]["owner"] for one in of_engines("Database")}
    assert {first["database"], *databases} == {"gateway", "user_svc", "template_svc"}
    assert first["owner"] == "gateway"
    assert set(databases.values()) == roles
    assert {one["spec"]["cluster"]["name"] for one in (*of_engines("Database"), *of_engines("ScheduledBackup"))} == {
        cluster["metadata"]["name"]
    }
    (plugin,), (store,), (backup,) = cluster["spec"]["plugins"], of_engines("ObjectStore"), of_engines("ScheduledBackup")
    assert plugin["isWALArchiver"]
    assert plugin["parameters"]["barmanObjectName"] == store["metadata"]["name"]
    assert backup["spec"]["pluginConfiguration"]["name"] == plugin["name"]
    assert len(backup["spec"]["schedule"].split()) == 6


def test_the_pools_of_all_replicas_fit_into_postgres() -> None:
    """Every replica that an autoscaler may make, with a full pool."""
    (cluster,) = of_engines("Cluster")
    needed = 0
    for service in SERVICES:
        env, settings = read(service, {})
        if "CLARION_DATABASE_POOL_SIZE" in env.names:
            needed += settings.database.pool_size * of_service(service, "HorizontalPodAutoscaler")["spec"]["maxReplicas"]
    assert 0 < needed < int(cluster["spec"]["postgresql"]["parameters"]["max_connections"])
