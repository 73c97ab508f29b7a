"""grpcurl, as a person would use it, against every port."""

import asyncio
import json
import shutil
import sys
from pathlib import Path

import pytest

from devstack.processes import API_KEY, SERVICES
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

_OWN = {
    "gateway": "clarion.notification.v1.NotificationService",
    "user_svc": "clarion.user.v1.UserService",
    "template_svc": "clarion.template.v1.TemplateService",
}


async def _grpcurl(*arguments: str) -> str:
    program = shutil.which("grpcurl", path=str(Path(sys.executable).parent)) or shutil.which("grpcurl")
    assert program is not None, "grpcurl is not installed: run `make setup`"
    process = await asyncio.create_subprocess_exec(
        program, "-plaintext", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(30):
        output, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    return output.decode()


@pytest.mark.parametrize("service", SERVICES)
async def test_list_and_health_work_against_every_port(system: System, service: str) -> None:
    """Reflection names the services, and Check says SERVING."""
    address = f"127.0.0.1:{system.processes.grpc_ports[service]}"
    listed = (await _grpcurl(address, "list")).split()
    assert "grpc.health.v1.Health" in listed
    assert _OWN.get(service, "grpc.health.v1.Health") in listed
    assert json.loads(await _grpcurl(address, "grpc.health.v1.Health/Check")) == {"status": "SERVING"}


@pytest.mark.parametrize("service", sorted(_OWN))
async def test_describe_works_against_every_service(system: System, service: str) -> None:
    """The descriptor says what the schema says."""
    described = await _grpcurl(f"127.0.0.1:{system.processes.grpc_ports[service]}", "describe", _OWN[service])
    assert "google.api.http" in described


async def test_a_call_works_for_users_templates_and_notifications(system: System) -> None:
    """With the API key as metadata, on the gateway's port; the port of a service behind it serves the mesh only and says so."""
    key, gateway = ("-H", f"authorization: Bearer {API_KEY}"), f"127.0.0.1:{system.processes.grpc_ports['gateway']}"
    created = json.loads(await _grpcurl(*key, "-d", '{"email": "grpc@example.com"}', gateway, "clarion.user.v1.UserService/CreateUser"))
    user = created["user"]["id"]
    found = json.loads(await _grpcurl(*key, "-d", json.dumps({"id": user}), gateway, "clarion.user.v1.UserService/GetUser"))
    assert found["user"]["email"] == "grpc@example.com"
    for method in ("clarion.template.v1.TemplateService/ListTemplates", "clarion.notification.v1.NotificationService/ListNotifications"):
        assert isinstance(json.loads(await _grpcurl(*key, gateway, method)), dict)
    behind = f"127.0.0.1:{system.processes.grpc_ports['user_svc']}"
    with pytest.raises(AssertionError, match="INTERNAL_PORT"):
        await _grpcurl(*key, "-d", json.dumps({"id": user}), behind, "clarion.user.v1.UserService/GetUser")
