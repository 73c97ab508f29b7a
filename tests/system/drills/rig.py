"""What is drilled: two of each of the five processes, their stores, all our own, and a proxy in each link of a first one."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack.client import Client
from devstack.fcm import FcmServer, open_fcm_server
from devstack.postgres import PostgresServer
from devstack.processes import API_KEY, ProcessStack, Start
from devstack.rabbitmq import RabbitMQServer
from devstack.samples import SHIPPED, WELCOME
from devstack.smtp import SmtpServer, open_smtp_server
from devstack.tls import LocalTls
from devstack.valkey import ValkeyServer
from mesh.testing import free_port
from tests.system.drills.proxy import Proxy

# Calls to each provider at a time. It is what a crash may double, so it is small enough to tell a bug from bad luck.
PROVIDER_CALLS = 8
REPLICAS = 2
# Every second person's messages are held for review where it is not known whether the provider has them.
HOLDS = ("welcome-hold", "order-shipped-hold")
_SMTP_USER, _SMTP_PASSWORD = "clarion", "drilled-password"
_SMALL_DISK_MB = 512
_PEOPLE = 20

# Limits are for people, and pools are small enough to tell a bug from bad luck. Everything else is as it is delivered.
_SETTINGS = {
    "CLARION_CALLER_LIMIT": "1000000",
    "CLARION_RECIPIENT_LIMIT": "1000000",
    "CLARION_SMTP_FROM": "Clarion <no-reply@clarion.test>",
    "CLARION_SMTP_POOL_SIZE": str(PROVIDER_CALLS),
    "CLARION_FCM_CONCURRENCY": str(PROVIDER_CALLS),
}


@dataclass(frozen=True, slots=True)
class Link:
    """A connection from one part to another, such as gateway to PostgreSQL."""

    caller: str
    callee: str

    def __str__(self) -> str:
        return f"{self.caller} to {self.callee}"


SENDER = "sender"
FRONT = Link(SENDER, "gateway")
LINKS = (
    FRONT,
    *(Link("gateway", callee) for callee in ("PostgreSQL", "RabbitMQ", "Valkey", "user_svc", "template_svc")),
    *(Link("email_worker", callee) for callee in ("RabbitMQ", "Valkey", "user_svc", "template_svc", "SMTP")),
    Link("push_worker", "RabbitMQ"),
    Link("push_worker", "FCM"),
)
# Where a caller reads the address of what it calls.
_VARIABLES = {
    "PostgreSQL": "CLARION_DATABASE_URL",
    "RabbitMQ": "CLARION_AMQP_URL",
    "Valkey": "CLARION_REDIS_URL",
    "user_svc": "CLARION_USER_SVC_TARGET",
    "template_svc": "CLARION_TEMPLATE_SVC_TARGET",
    "SMTP": "CLARION_SMTP_PORT",
    "FCM": "CLARION_FCM_ENDPOINT",
}
# The last number, apart from a path.
_PORT = re.compile(r"(\d+)(?:/\w*)?$")


@dataclass(frozen=True)
class Rig:
    """What is running, two of every process. `urls` is where the sender sends to in turn; `ballast` lies on PostgreSQL's disk and is
    None where that is not small. `wrong` and `right` are values of settings by their names.
    """

    processes: ProcessStack
    postgres: PostgresServer
    valkey: ValkeyServer
    rabbitmq: RabbitMQServer
    smtp: SmtpServer
    fcm: FcmServer
    proxies: Mapping[Link, Proxy]
    urls: Sequence[str]
    people: Sequence[str]
    ballast: Path | None
    wrong: Mapping[str, str]
    right: Mapping[str, str]

    def database_url(self) -> str:
        """The gateway's own database, past any proxy."""
        return self.postgres.url("clarion_gateway")


@asynccontextmanager
async def open_rig(
    folder: Path,
    *,
    links: Iterable[Link] = (),
    small_disk: bool = False,
    settings: Mapping[str, str] | None = None,
    start: Start | None = None,
) -> AsyncIterator[Rig]:
    """Starts everything with people and templates in it, and stops it in the end. `small_disk` takes root, `start` is ProcessStack's.

    `settings` are the environment of every process, beside the few that all drills need.
    """
    async with AsyncExitStack() as stack:
        disk = folder / "postgres"
        if small_disk:
            stack.enter_context(_small_disk(disk))
        # The ports stay over restarts.
        postgres, valkey = PostgresServer(disk, port=free_port()), ValkeyServer(folder / "valkey", port=free_port())
        rabbitmq = RabbitMQServer()
        stack.callback(rabbitmq.close)
        for server in (postgres, valkey, rabbitmq):
            stack.callback(server.stop)
            await asyncio.to_thread(server.start)
        tls, other_tls = LocalTls.in_folder(folder / "smtp"), LocalTls.in_folder(folder / "other-ca")
        smtp = await stack.enter_async_context(open_smtp_server(tls=tls.server_context(), users={_SMTP_USER: _SMTP_PASSWORD}))
        fcm = await stack.enter_async_context(open_fcm_server(folder / "fcm"))
        stores = {"CLARION_AMQP_URL": rabbitmq.url, "CLARION_REDIS_URL": valkey.url()}
        right = {"CLARION_SMTP_PASSWORD": _SMTP_PASSWORD, "CLARION_SMTP_CA_FILE": str(tls.ca_file), "CLARION_AMQP_URL": rabbitmq.url}
        wrong = {
            "CLARION_SMTP_PASSWORD": "not-" + _SMTP_PASSWORD,
            "CLARION_SMTP_CA_FILE": str(other_tls.ca_file),
            "CLARION_AMQP_URL": re.sub(r":[^:@/]*@", ":wrong@", rabbitmq.url),
        }
        smtp_address = {"CLARION_SMTP_HOST": "127.0.0.1", "CLARION_SMTP_PORT": str(smtp.port), "CLARION_SMTP_USER": _SMTP_USER}
        shared = {**_SETTINGS, **(settings or {}), **fcm.environ(), **stores, **smtp_address, **right}
        processes = ProcessStack(folder, postgres, shared, start=start, replicas=REPLICAS)
        proxies: dict[Link, Proxy] = {}
        for link in links:
            proxies[link] = await _place_proxy(stack, link, processes)
        await stack.enter_async_context(processes)
        people = await _furnish(processes.url)
        first, *others = processes.urls
        urls = [f"http://127.0.0.1:{proxies[FRONT].port}" if FRONT in proxies else first, *others]
        ballast = disk / "ballast" if small_disk else None
        yield Rig(processes, postgres, valkey, rabbitmq, smtp, fcm, proxies, urls, people, ballast, wrong, right)


async def _place_proxy(stack: AsyncExitStack, link: Link, processes: ProcessStack) -> Proxy:
    """Starts a proxy and gives its port to the caller, which must not run yet."""
    if link == FRONT:
        return await stack.enter_async_context(Proxy(processes.http_port))
    variable = _VARIABLES[link.callee]
    address = processes.environ(link.caller)[variable]
    port = _PORT.search(address)
    assert port is not None, f"{variable} has no port"
    proxy = await stack.enter_async_context(Proxy(int(port[1])))
    processes.give(link.caller, {variable: address[: port.start(1)] + str(proxy.port) + address[port.end(1) :]})
    return proxy


async def _furnish(url: str) -> list[str]:
    """People with an address and a device each, and a template per channel. Their ids."""
    async with Client(url, API_KEY) as client:
        await client.create_template("welcome", "email", WELCOME)
        await client.create_template("order-shipped", "push", SHIPPED)
        await client.create_template(HOLDS[0], "email", WELCOME, on_unknown="hold")
        await client.create_template(HOLDS[1], "push", SHIPPED, on_unknown="hold")
        people = [await client.create_user(f"drill-{number}@example.com", name="Drill") for number in range(_PEOPLE)]
        for number, person in enumerate(people):
            device = {"token": f"drill-token-{number}", "platform": "android"}
            await client.call("POST", f"/v1/users/{person}/devices", device)
        return people


def can_have_small_disk(folder: Path) -> bool:
    """Whether this machine lets us mount a small file system, as full_disk needs it."""
    try:
        with _small_disk(folder / "probe"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_SMALL_DISK_MB}m,mode=755", "tmpfs", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True, capture_output=True)
