"""Following docs/deploying.md to the letter on Kubernetes works: the Secrets that it makes are the ones that the processes want."""

import asyncio
import os
import re
import shlex
from pathlib import Path
from typing import TextIO

import pytest

from devstack.fcm import open_fcm_server
from devstack.processes import package_of
from mesh.rpc.service_keys import generate
from tests.prepared import start_service
from tests.repo.test_manifests import ROOT, SERVICES, container, objects, of_service, pod, read
from tests.waiting import GUARD_S

_RANDOM = {
    "$(openssl rand -hex 32)": "0123456789abcdef" * 4,
    "$(openssl rand -hex 24)": "0123456789abcdef" * 3,
    **{f"${name}": value for name, _, value in (line.partition("=") for line in generate(SERVICES))},
}


def documented() -> dict[str, dict[str, str]]:
    """Secret and key to value, as the commands in the document would make them; of a file, the name."""
    text = (ROOT / "docs" / "deploying.md").read_text().replace("\\\n", " ")
    for command, value in _RANDOM.items():
        text = text.replace(command, value)
    made: dict[str, dict[str, str]] = {}
    for line in re.findall(r"^kubectl -n clarion create secret generic .*$", text, re.MULTILINE):
        name, *options = shlex.split(line)[6:]
        made[name] = {}
        for option in options:
            kind, _, pair = option.partition("=")
            key, _, value = pair.partition("=")
            assert kind in {"--from-literal", "--from-file"}
            made[name][key] = value
    return made


def environ_of(service: str) -> dict[str, str]:
    """The variables of a deployment with the documented Secrets. KeyError for one that is not documented."""
    workload = of_service(service, "Deployment")
    secrets = documented()
    maps = {document["metadata"]["name"]: document["data"] for _, document in objects("ConfigMap")}
    environ: dict[str, str] = {}
    for source in container(workload)["envFrom"]:
        environ |= maps[source["configMapRef"]["name"]]
    for variable in container(workload)["env"]:
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        environ[variable["name"]] = variable["value"] if reference is None else secrets[reference["name"]][reference["key"]]
    for volume in pod(workload).get("volumes", ()):
        if "secret" in volume:
            assert volume["secret"]["secretName"] in secrets
    return environ


def test_each_documented_secret_is_one_that_a_manifest_names() -> None:
    named = {
        (reference["name"], reference["key"])
        for service in SERVICES
        for variable in container(of_service(service, "Deployment"))["env"]
        for reference in [variable.get("valueFrom", {}).get("secretKeyRef")]
        if reference is not None
    }
    literals = {(name, key) for name, keys in documented().items() for key, value in keys.items() if value}
    assert literals == named


@pytest.mark.parametrize("service", SERVICES)
def test_the_documented_secrets_are_good_settings(service: str) -> None:
    env, _ = read(service, environ_of(service))
    assert env.problems == []


@pytest.mark.processes
@pytest.mark.parametrize("service", SERVICES)
async def test_a_process_starts_with_the_documented_secrets(service: str, tmp_path: Path) -> None:
    """Its stores are not there, which keeps it from being ready and not from starting."""
    async with open_fcm_server(tmp_path) as fcm:
        account = {name: value for name, value in fcm.environ().items() if name == "CLARION_FCM_CREDENTIALS_FILE"}
        own = {
            "CLARION_HOST": "127.0.0.1", "CLARION_GRPC_PORT": "0", "CLARION_METRICS_PORT": "0", "CLARION_HTTP_PORT": "0",
            "CLARION_LOG_LEVEL": "INFO", "CLARION_DRAIN_S": "0", "PATH": os.environ["PATH"],
        }  # fmt: skip
        reading, writing = os.pipe()
        process = start_service(package_of(service), {**environ_of(service), **account, **own}, ROOT, writing)
        os.close(writing)
        with os.fdopen(reading) as said:
            try:
                async with asyncio.timeout(GUARD_S):
                    seen = await asyncio.to_thread(_until_started, said)
            finally:
                process.kill()
                process.wait()
        assert '"started"' in seen[-1], "".join(seen)


def _until_started(said: TextIO) -> list[str]:
    """The lines of a log up to the one that says so, or all. Blocks."""
    seen = [""]
    for line in said:
        seen.append(line)
        if '"started"' in line:
            break
    return seen
