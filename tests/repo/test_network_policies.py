"""The NetworkPolicies allow the connections that a process's settings make it open, and no others."""

from typing import Any

import pytest

from tests.repo.test_manifests import K8S, SERVICES, container, objects, of_service, pod, read, variables

PEERS = {"user_svc": "CLARION_USER_SVC_TARGET", "template_svc": "CLARION_TEMPLATE_SVC_TARGET"}
STORES = {"CLARION_DATABASE_URL": {5432}, "CLARION_REDIS_URL": {6379, 26379}, "CLARION_AMQP_URL": {5672}}
# What else a process reaches: mail servers, FCM. Webhook endpoints have any port, and public addresses only.
OWN = {"email_worker": {25, 465, 587}, "push_worker": {443}}


def name_of(service: str) -> str:
    name: str = of_service(service, "Deployment")["metadata"]["name"]
    return name


def policy(service: str) -> dict[str, Any]:
    spec: dict[str, Any] = of_service(service, "NetworkPolicy")["spec"]
    return spec


def pods_of(rule: dict[str, Any], side: str) -> set[str]:
    return {peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for peer in rule.get(side, ()) if "podSelector" in peer}


def ports_of(rule: dict[str, Any]) -> set[int]:
    return {port["port"] for port in rule.get("ports", ())}


@pytest.mark.parametrize("service", SERVICES)
def test_a_policy_is_about_the_pods_of_its_deployment_both_ways(service: str) -> None:
    assert policy(service)["podSelector"] == of_service(service, "Deployment")["spec"]["selector"]
    assert policy(service)["policyTypes"] == ["Ingress", "Egress"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_process_reaches_the_services_that_its_settings_name_and_no_other(service: str) -> None:
    wanted = {name_of(peer) for peer, variable in PEERS.items() if variable in read(service, {})[0].names}
    assert set[str]().union(*(pods_of(rule, "to") for rule in policy(service)["egress"])) == wanted


@pytest.mark.parametrize("service", SERVICES)
def test_a_process_reaches_the_ports_that_its_settings_name_and_no_other(service: str) -> None:
    names = read(service, {})[0].names
    anywhere = [rule for rule in policy(service)["egress"] if "to" not in rule]
    wanted = {port for variable, ports in STORES.items() if variable in names for port in ports} | OWN.get(service, set())
    assert set[int]().union(*map(ports_of, anywhere)) == wanted


@pytest.mark.parametrize("peer", PEERS)
def test_a_service_lets_in_those_who_call_it_on_the_port_that_they_call(peer: str) -> None:
    (rule,) = policy(peer)["ingress"]
    callers = {name_of(service) for service in SERVICES if PEERS[peer] in read(service, {})[0].names}
    assert callers
    assert pods_of(rule, "from") == callers
    target = variables(of_service(peer, "Deployment"))[PEERS[peer]]
    assert {f"dns:///{name_of(peer)}:{port}" for port in ports_of(rule)} == {target}


@pytest.mark.parametrize("worker", ["email_worker", "push_worker", "webhooks"])
def test_a_process_without_callers_lets_none_in(worker: str) -> None:
    assert policy(worker)["ingress"] == []


def test_only_webhooks_reach_the_public_internet_on_any_port_and_nothing_private() -> None:
    open_to_all = {
        service: block["ipBlock"]
        for service in SERVICES
        for rule in policy(service)["egress"]
        for block in rule.get("to", ())
        if block.get("ipBlock", {}).get("cidr") == "0.0.0.0/0"
    }
    assert open_to_all.keys() == {"webhooks"}
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8"} <= set(open_to_all["webhooks"]["except"])


def test_every_pod_is_closed_but_for_what_a_policy_names() -> None:
    """One policy selects all pods for both directions; Prometheus gets in where the processes listen."""
    (shared,) = [document for _, document in objects("NetworkPolicy") if document["metadata"]["name"] == "clarion"]
    labels = shared["spec"]["podSelector"]["matchLabels"]
    for path, workload in (*objects("Deployment"), *objects("Job")):
        assert labels.items() <= workload["spec"]["template"]["metadata"]["labels"].items(), path
    (metrics,) = shared["spec"]["ingress"]
    assert {str(port) for port in ports_of(metrics)} == {variables(of_service("gateway", "Deployment"))["CLARION_METRICS_PORT"]}


def test_a_workload_has_an_account_of_its_own_without_a_token() -> None:
    for path, workload in (*objects("Deployment"), *objects("Job")):
        account = of_service(path.parent.name, "ServiceAccount")
        assert pod(workload)["serviceAccountName"] == account["metadata"]["name"], path
        assert account["automountServiceAccountToken"] is False, path
        assert pod(workload)["automountServiceAccountToken"] is False, path
    assert not [path for path, document in objects("Role") if document]


def test_the_namespace_of_prod_takes_restricted_pods_only_and_ours_are() -> None:
    (namespace,) = [document for path, document in objects("Namespace") if path.parent == K8S / "overlays" / "prod"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for path, workload in (*objects("Deployment"), *objects("Job")):
        assert pod(workload)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, path
        assert container(workload)["securityContext"]["capabilities"] == {"drop": ["ALL"]}, path


@pytest.mark.parametrize("service", SERVICES)
def test_replicas_spread_over_zones_and_nodes(service: str) -> None:
    spread = pod(of_service(service, "Deployment"))["topologySpreadConstraints"]
    assert {one["topologyKey"] for one in spread} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
