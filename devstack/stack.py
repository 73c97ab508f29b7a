"""Everything in one process: the six services over real gRPC on loopback, real stores, local providers."""

import asyncio
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import email_worker.app
import email_worker.settings
import gateway.app
import gateway.settings
import gateway.webhooks.app
import gateway.webhooks.settings
import push_worker.app
import push_worker.settings
import template_svc.app
import template_svc.settings
import user_svc.app
import user_svc.settings
from delivery.lanes import build_topology
from devstack.broker import MemoryBroker
from devstack.fcm import FcmServer, open_fcm_server
from devstack.postgres import PostgresServer
from devstack.processes import API_KEY, SECRET, package_of
from devstack.smtp import SmtpServer, open_smtp_server
from devstack.valkey import ValkeyServer
from gateway.dispatch.outbox import Outbox
from mesh.bus.broker import Broker
from mesh.bus.rabbitmq import open_broker
from mesh.bus.settings import BrokerSettings
from mesh.process.runtime import App, CannotStart, PortTaken
from mesh.process.settings import Env, unread
from mesh.stores import migrations
from mesh.stores.database import open_database
from mesh.stores.settings import DatabaseSettings

ADMIN_EMAIL = "admin@clarion.test"
ADMIN_PASSWORD = "clarion-development"  # noqa: S105  development only, printed on the screen
_KEPT_MESSAGES = "messages.json"
_PACKAGES = ("user_svc", "template_svc", "gateway")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ports:
    """Where things listen on 127.0.0.1; 0 means any free port."""

    rest: int = 8000
    gateway: int = 9000
    user_svc: int = 8001
    template_svc: int = 8002
    email_worker: int = 8003
    push_worker: int = 8004
    webhooks: int = 8005
    smtp: int = 1025


ANY_PORTS = Ports(0, 0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Stack:
    """What is running. `smtp` and `fcm` are None where a real provider was named in the environment."""

    ports: Mapping[str, int]
    smtp: SmtpServer | None
    fcm: FcmServer | None
    broker: Broker

    @property
    def url(self) -> str:
        """The REST address."""
        return f"http://127.0.0.1:{self.ports['rest']}"


@contextmanager
def prepared(folder: Path, *, fresh: bool = False) -> Iterator[None]:
    """Makes the data folder, which is ours until the end of the block; `fresh` empties it first. Raises CannotStart when it is in use."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside the folder, since that may be removed; the kernel lets go of the lock of a process that is killed.
    with folder.with_name(f"{folder.name}.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            pid = file.read().strip()
            raise CannotStart(f"it is running already, as process {pid}, on the data in {folder}; --data names another folder") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        yield


@asynccontextmanager
async def open_stack(folder: Path, *, ports: Ports, say: Say, environ: Mapping[str, str] | None = None) -> AsyncIterator[Stack]:
    """Starts everything, telling `say` each step, and stops it in reverse order.

    What `environ` names is used instead of the local thing: CLARION_AMQP_URL, CLARION_REDIS_URL, CLARION_SMTP_HOST,
    CLARION_FCM_CREDENTIALS_FILE, and CLARION_POSTGRES_URL (a server that has the databases clarion_gateway, clarion_user_svc and
    clarion_template_svc). Raises CannotStart or SettingsError.
    """
    outer = dict(os.environ if environ is None else environ)
    async with AsyncExitStack() as stack:
        shared = {
            "CLARION_HOST": "127.0.0.1",
            "CLARION_METRICS_PORT": "0",
            "CLARION_REFLECTION": "true",
            "CLARION_SERVICE_SECRET": SECRET,
            "CLARION_BOOTSTRAP_API_KEY": API_KEY,
            "CLARION_ADMIN_EMAIL": ADMIN_EMAIL,
            "CLARION_ADMIN_PASSWORD": ADMIN_PASSWORD,
            "CLARION_WEBHOOK_ALLOW": "127.0.0.0/8,::1/128",
            **{name: value for name, value in outer.items() if name.startswith("CLARION_")},
        }
        urls = await _databases(stack, folder, shared, say)
        await _redis(stack, folder, shared, say)
        forgotten = "CLARION_AMQP_URL" not in shared and not (folder / _KEPT_MESSAGES).exists()
        broker = await _broker(stack, folder, shared, say)
        smtp = await _smtp(stack, shared, ports, say)
        fcm = await _fcm(stack, folder, shared, say)
        say("migrating the databases")
        for package in _PACKAGES:
            await migrations.upgrade(package, urls[package])
        if forgotten:
            await _dispatch_again(DatabaseSettings.from_env(Env({**shared, "CLARION_DATABASE_URL": urls["gateway"]})))
        listening = await _services(stack, shared, urls, ports=ports, broker=broker, say=say)
        if smtp is not None:
            listening["smtp"] = smtp.port
        yield Stack(listening, smtp, fcm, broker)
        say("stopping")


async def _databases(stack: AsyncExitStack, folder: Path, shared: dict[str, str], say: Say) -> dict[str, str]:
    server_url = shared.pop("CLARION_POSTGRES_URL", "")
    names = {package: f"clarion_{package}" for package in _PACKAGES}
    if server_url:
        say("using the PostgreSQL that CLARION_POSTGRES_URL names")
        return {package: f"{server_url.rstrip('/')}/{name}" for package, name in names.items()}
    say("starting PostgreSQL" + ("" if (folder / "postgres").exists() else " (first time: initialising its folder)"))
    server = PostgresServer(folder / "postgres")
    await asyncio.to_thread(server.start)
    stack.callback(server.stop)
    for name in names.values():
        await asyncio.to_thread(server.create_database, name)
    return {package: server.url(name) for package, name in names.items()}


async def _redis(stack: AsyncExitStack, folder: Path, shared: dict[str, str], say: Say) -> None:
    if "CLARION_REDIS_URL" in shared:
        say("using the Redis that CLARION_REDIS_URL names")
        return
    say("starting Valkey")
    server = ValkeyServer(folder / "valkey")
    await asyncio.to_thread(server.start)
    stack.callback(server.stop)
    shared["CLARION_REDIS_URL"] = server.url()


async def _broker(stack: AsyncExitStack, folder: Path, shared: dict[str, str], say: Say) -> Broker:
    if "CLARION_AMQP_URL" in shared:
        say("using the RabbitMQ that CLARION_AMQP_URL names")
        env = Env(shared)
        settings = BrokerSettings.from_env(env)
        env.check()
        rabbitmq = await stack.enter_async_context(open_broker(settings, build_topology(delay_scale=settings.delay_scale)))
        if not rabbitmq.connected:
            say("it does not answer: notifications are accepted and wait until it does")
        return rabbitmq
    say("starting the in-process broker")
    # the settings want an address even where a broker is handed in
    shared["CLARION_AMQP_URL"] = "amqp://in-process"
    broker = MemoryBroker()
    kept = folder / _KEPT_MESSAGES
    if kept.exists():
        broker.load(kept)
        kept.unlink()
    stack.push_async_callback(broker.close)
    stack.callback(broker.save, kept)
    return broker


async def _dispatch_again(settings: DatabaseSettings) -> None:
    """After a crash the in-process broker has lost what was on it, which no real one does: it is published once more.

    The ledger knows what was done already.
    """
    async with open_database(settings) as database:
        await Outbox(database).publish_again()


async def _smtp(stack: AsyncExitStack, shared: dict[str, str], ports: Ports, say: Say) -> SmtpServer | None:
    if "CLARION_SMTP_HOST" in shared:
        say("using the SMTP server that CLARION_SMTP_HOST names")
        return None
    say("starting a local SMTP server")
    try:
        server = await stack.enter_async_context(open_smtp_server(port=ports.smtp))
    except OSError as error:
        raise PortTaken(ports.smtp, "--smtp-port") from error
    shared |= {
        "CLARION_SMTP_HOST": "127.0.0.1",
        "CLARION_SMTP_PORT": str(server.port),
        "CLARION_SMTP_TLS": "none",
        "CLARION_SMTP_FROM": "Clarion <no-reply@clarion.test>",
    }
    # no DNS is asked where nothing leaves the machine: senders of this domain can be tried at once
    shared.setdefault("CLARION_TRUSTED_SENDER_DOMAINS", "clarion.test")
    if ports.rest:
        shared.setdefault("CLARION_CONSOLE_URL", f"http://127.0.0.1:{ports.rest}/console/")
        shared.setdefault("CLARION_UNSUBSCRIBE_URL", f"http://127.0.0.1:{ports.rest}/unsubscribe")
    return server


async def _fcm(stack: AsyncExitStack, folder: Path, shared: dict[str, str], say: Say) -> FcmServer | None:
    if "CLARION_FCM_CREDENTIALS_FILE" in shared:
        say("using the FCM project of CLARION_FCM_CREDENTIALS_FILE")
        return None
    say("starting a local FCM server")
    server = await stack.enter_async_context(open_fcm_server(folder / "fcm"))
    shared |= server.environ()
    return server


async def _services(
    stack: AsyncExitStack, shared: Mapping[str, str], urls: Mapping[str, str], *, ports: Ports, broker: Broker, say: Say
) -> dict[str, int]:
    listening: dict[str, int] = {}
    targets: dict[str, str] = {}
    known: set[str] = set()

    async def start(service: str, port: int, from_env: Callable[[Env], Any], open_app: Callable[[Any], Any]) -> None:
        say(f"starting {service}")
        owner = package_of(service).partition(".")[0]
        database = {"CLARION_DATABASE_URL": urls[owner]} if owner in urls else {}
        env = Env({**shared, **database, **targets, "CLARION_GRPC_PORT": str(port), "CLARION_HTTP_PORT": str(ports.rest)})
        settings = from_env(env)
        known.update(env.names)
        env.check()
        app: App = await stack.enter_async_context(open_app(settings))
        # a busy machine may be late for the first probes, and until then no one has a key
        while not app.health.report().get("bootstrap", True):  # noqa: ASYNC110  the monitor offers no event
            await asyncio.sleep(0.05)
        listening[service] = app.ports["grpc"]
        targets[f"CLARION_{service.upper()}_TARGET"] = f"ipv4:127.0.0.1:{app.ports['grpc']}"
        if "http" in app.ports:
            listening["rest"] = app.ports["http"]

    await start("user_svc", ports.user_svc, user_svc.settings.Settings.from_env, user_svc.app.open_app)
    await start("template_svc", ports.template_svc, template_svc.settings.Settings.from_env, template_svc.app.open_app)
    await start("gateway", ports.gateway, gateway.settings.Settings.from_env, partial(gateway.app.open_app, broker=broker))
    await start(
        "email_worker", ports.email_worker, email_worker.settings.Settings.from_env, partial(email_worker.app.open_app, broker=broker)
    )
    await start("webhooks", ports.webhooks, gateway.webhooks.settings.Settings.from_env, gateway.webhooks.app.open_app)
    await start("push_worker", ports.push_worker, push_worker.settings.Settings.from_env, partial(push_worker.app.open_app, broker=broker))
    for line in unread(shared, known):
        say(f"setting {line}")
    return listening
