"""The edge over a real socket, in front of hand-written services."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
import pytest_asyncio

from clarion.notification.v1 import notification_service_pb2
from clarion.template.v1 import template_service_pb2
from clarion.user.v1 import auth_service_pb2, user_service_pb2
from gateway.http import serve_http
from gateway.settings import HttpSettings
from mesh.process.memory_budget import MemoryBudget
from tests.transcoding import schema
from tests.transcoding.fakes import FakeInvoker, FakeReadiness
from transcoding.app import RestApp, RestOptions

OPTIONS = RestOptions(
    cache={"/.well-known/jwks.json": "public, max-age=60"},
    domain="library",
    reason_status={"IDEMPOTENCY_KEY_REUSED": 422, "IDEMPOTENCY_IN_PROGRESS": 409},
    body_limit=64 * 1024,
    watch_after_s=0.01,
    beat_s=0.05,
)


@asynccontextmanager
async def edge(
    invoker: FakeInvoker, options: RestOptions = OPTIONS, readiness: FakeReadiness | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running edge."""
    app = RestApp(invoker, readiness=readiness or FakeReadiness(), options=options, comments=schema.load())
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(
            serve_http(app, HttpSettings("127.0.0.1", 0), budget=MemoryBudget(64 * 1024 * 1024), grace_s=1)
        )
        yield await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[tuple[FakeInvoker, httpx.AsyncClient]]:
    """One edge for a whole module, since uvicorn takes a fifth of a second to stop. It serves the library and Clarion's public services."""
    clarion = (
        notification_service_pb2.DESCRIPTOR.services_by_name["NotificationService"],
        template_service_pb2.DESCRIPTOR.services_by_name["TemplateService"],
        user_service_pb2.DESCRIPTOR.services_by_name["UserService"],
        auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"],
    )
    invoker = FakeInvoker(schema.library(), *clarion)
    async with edge(invoker) as client:
        yield invoker, client


@pytest.fixture
def invoker(running: tuple[FakeInvoker, httpx.AsyncClient]) -> FakeInvoker:
    """What serves the calls, as good as new."""
    running[0].reset()
    return running[0]


@pytest.fixture
def client(running: tuple[FakeInvoker, httpx.AsyncClient], invoker: FakeInvoker) -> httpx.AsyncClient:
    """A client of the edge in front of `invoker`."""
    return running[1]
