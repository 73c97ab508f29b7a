"""The edge over a real socket, in front of hand-written services."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from clarion.notification.v1 import notification_service_pb2
from gateway.rest.app import RestApp, RestOptions
from gateway.rest.serving import serve_http
from tests.gateway.rest import schema
from tests.gateway.rest.fakes import FakeInvoker, FakeReadiness

OPTIONS = RestOptions(
    reason_status={"IDEMPOTENCY_KEY_REUSED": 422, "IDEMPOTENCY_IN_PROGRESS": 409}, body_limit=64 * 1024, watch_after_s=0.01, beat_s=0.05
)


@asynccontextmanager
async def edge(
    invoker: FakeInvoker, options: RestOptions = OPTIONS, readiness: FakeReadiness | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running edge."""
    app = RestApp(invoker, readiness=readiness or FakeReadiness(), options=options, comments=schema.load())
    async with serve_http(app, "127.0.0.1", 0, grace_s=1) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        yield client


@pytest.fixture
def invoker() -> FakeInvoker:
    """The library and Clarion's own notifications."""
    notifications = notification_service_pb2.DESCRIPTOR.services_by_name["NotificationService"]
    return FakeInvoker(schema.library(), notifications)


@pytest.fixture
async def client(invoker: FakeInvoker) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the edge in front of `invoker`."""
    async with edge(invoker) as client:
        yield client
