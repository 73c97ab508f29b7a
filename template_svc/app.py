"""The composition root: opens what template_svc needs and wires it together. The only place where adapters are constructed."""

import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from clarion.template.v1 import render_service_pb2, template_service_pb2
from clarion.user.v1 import auth_service_pb2
from mesh.process.health import Check, HealthMonitor
from mesh.process.runtime import App
from mesh.rpc.dispatcher import Dispatcher
from mesh.rpc.identity import Authenticator, ServiceIdentity
from mesh.rpc.interceptors import server_chain
from mesh.rpc.peer import open_peer
from mesh.rpc.server import serve_grpc
from mesh.stores.database import open_database
from mesh.stores.revocations import open_revocations
from peers.credentials import RemoteCredentials
from template_svc.contents import ContentChecker
from template_svc.cpu_limit import CpuLimit
from template_svc.library import Library
from template_svc.quarantine import Quarantine
from template_svc.renderer import Compiler, Renderer
from template_svc.repository import TemplateRepository
from template_svc.servicer import RenderServicer, TemplateServicer
from template_svc.settings import Settings
from template_svc.use_cases import Authoring, Rendering, TemplateStore

NAME = "template_svc"

TEMPLATE_SERVICE = template_service_pb2.DESCRIPTOR.services_by_name["TemplateService"]
RENDER_SERVICE = render_service_pb2.DESCRIPTOR.services_by_name["RenderService"]
AUTH_SERVICE = auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"]


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncIterator[App]:
    """Serves until the end of the block, in the main thread: renderings are stopped by a signal.

    The database and user_svc may still be down: health says so of the first, and calls answer UNAVAILABLE.
    """
    identity = ServiceIdentity(NAME, settings.common.service_secret)
    with CpuLimit(settings.render_limit_s) as limit, ThreadPoolExecutor(1, thread_name_prefix="content-check") as checking:
        async with (
            open_database(settings.database) as database,
            open_peer("user_svc", settings.peers.user_svc, identity=identity, settings=settings.peers, services=[AUTH_SERVICE]) as user_svc,
            open_revocations(settings.cache) as revocations,
        ):
            authenticator = Authenticator(RemoteCredentials(user_svc), identity, revocations=revocations)
            dispatcher = wire(TemplateRepository(database), authenticator, limit=limit, checking=checking)
            # Services of the mesh are known without user_svc, and rendering for them goes on when it is down.
            checks = (Check("database", database.ping),)
            health = HealthMonitor(checks, services=dispatcher.service_names)
            await health.start()
            try:
                async with serve_grpc(dispatcher, settings.grpc, health, grace_s=settings.common.grace_s) as port:
                    yield App(NAME, health, {"grpc": port})
            finally:
                await health.close()


def wire(store: TemplateStore, authenticator: Authenticator, *, limit: CpuLimit, checking: ThreadPoolExecutor) -> Dispatcher:
    """Everything between the store and the wire."""
    renderer = Renderer(limit)
    library = Library(store, renderer)
    authoring = Authoring(store, library, ContentChecker(checking, Compiler()), clock=lambda: datetime.now(UTC))
    rendering = Rendering(store, library, renderer, Quarantine(time.monotonic))
    dispatcher = Dispatcher(server_chain(authenticator))
    dispatcher.add(TEMPLATE_SERVICE, TemplateServicer(authoring, rendering))
    dispatcher.add(RENDER_SERVICE, RenderServicer(rendering))
    return dispatcher
