"""The whole system: five processes, PostgreSQL, Valkey, RabbitMQ, and SMTP and FCM servers that record what they get."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio

from devstack.client import Client, RefusedError
from devstack.fcm import FcmServer, open_fcm_server
from devstack.postgres import PostgresServer
from devstack.processes import API_KEY, ProcessStack
from devstack.rabbitmq import RabbitMQServer
from devstack.smtp import SmtpServer, open_smtp_server
from devstack.valkey import ValkeyServer
from mesh.testing import free_port
from tests.dns_server import DnsServer, open_dns_server
from tests.fixtures_broker import ContainerServer
from tests.prepared import start_service
from tests.provider_requests import GRID_PUBLIC
from tests.waiting import until_answered

# people have limits, tests have not; a breaker that a test opens shall be closed for the next one
_SETTINGS = {
    "CLARION_CALLER_LIMIT": "1000000",
    "CLARION_RECIPIENT_LIMIT": "1000000",
    "CLARION_SMTP_FROM": "Clarion <no-reply@clarion.test>",
    "CLARION_SMTP_TLS": "none",
    "CLARION_CONSOLE_URL": "https://notify.clarion.test/console/",
    "CLARION_UNSUBSCRIBE_URL": "https://notify.clarion.test/unsubscribe",
    "CLARION_BREAKER_OPEN_S": "2",
    "CLARION_SENDGRID_KEY": GRID_PUBLIC,
    "CLARION_METRICS_PROJECTS": "default",
    "CLARION_SMTP_EVENTS": "sendgrid",
    "CLARION_TRUSTED_SENDER_DOMAINS": "trusted.example",
    "CLARION_BOUNCE_DOMAIN": "bounces.clarion.test",
    "CLARION_BOUNCE_SECRET": "a-secret-of-the-system-tests-with-32-characters",
}


@dataclass(frozen=True)
class System:
    """What is running."""

    processes: ProcessStack
    client: Client
    smtp: SmtpServer
    fcm: FcmServer
    valkey: ValkeyServer
    rabbitmq: RabbitMQServer | ContainerServer
    bounce_port: int
    dns: DnsServer

    async def reached(self, service: str, path: str) -> None:
        """Returns once a service that was started again serves, and the gateway has found it: the next test meets it as ever."""
        await self.processes.wait_serving(service)

        async def answered() -> bool:
            try:
                await self.client.call("GET", path)
            except RefusedError:
                return False
            return True

        await until_answered(answered)


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def system(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
    valkey_server: ValkeyServer,
    rabbitmq_server: RabbitMQServer | ContainerServer,
) -> AsyncIterator[System]:
    """The system, once for all tests of this folder."""
    folder = tmp_path_factory.mktemp("system")
    async with AsyncExitStack() as stack:
        smtp = await stack.enter_async_context(open_smtp_server())
        fcm = await stack.enter_async_context(open_fcm_server(folder / "fcm"))
        dns = await stack.enter_async_context(open_dns_server())
        bounce_port = free_port()
        shared = {
            **_SETTINGS,
            **fcm.environ(),
            "CLARION_REDIS_URL": valkey_server.url(1),
            "CLARION_AMQP_URL": rabbitmq_server.url,
            "CLARION_SMTP_HOST": "127.0.0.1",
            "CLARION_SMTP_PORT": str(smtp.port),
            "CLARION_BOUNCE_PORT": str(bounce_port),
            "CLARION_DNS_SERVERS": f"127.0.0.1:{dns.port}",
        }
        processes = await stack.enter_async_context(ProcessStack(folder, postgres_server, shared, start=start_service))
        client = await stack.enter_async_context(Client(processes.url, API_KEY))
        yield System(processes, client, smtp, fcm, valkey_server, rabbitmq_server, bounce_port, dns)
