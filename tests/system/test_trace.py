"""One trace and one correlation id from the REST request through the bus to the provider."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from devstack.client import Client
from devstack.processes import API_KEY
from devstack.samples import create_samples
from devstack.stack import ANY_PORTS, Stack, open_stack
from mesh.process import telemetry
from mesh.process.machine_door import open_machine_door
from mesh.process.settings import CommonSettings, Env
from tests.fixtures_postgres import StackFolder

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]

TRACE = "0af7651916cd43dd8448eb211c80319c"
SECRET = "0123456789abcdef0123456789abcdef"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def traced(stack_folder: StackFolder) -> AsyncIterator[tuple[Stack, InMemorySpanExporter, int]]:
    """Everything in one process, its spans in memory, and the port of its metrics."""
    exporter = InMemorySpanExporter()
    settings = CommonSettings.from_env(Env({"CLARION_SERVICE_SECRET": SECRET, "CLARION_HOST": "127.0.0.1"}), metrics_port=0)
    recording = telemetry.set_up("test", settings, processor=SimpleSpanProcessor(exporter))
    folder = stack_folder("traced")
    try:
        with open_machine_door("127.0.0.1", 0) as door:
            async with open_stack(folder, ports=ANY_PORTS, say=lambda text: None, environ={}) as stack:
                yield stack, exporter, door.port
    finally:
        await recording.close()


async def test_one_trace_leads_from_the_rest_request_to_the_provider(traced: tuple[Stack, InMemorySpanExporter, int]) -> None:
    """From the request to the hand-over to SMTP; no span holds the address or a variable."""
    stack, exporter, _ = traced
    async with Client(stack.url, API_KEY) as client:
        user = await create_samples(client)
        exporter.clear()
        body = {"user_id": user, "channel": "email", "template": "welcome", "variables": {"name": "Trace"}}
        headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "X-Correlation-ID": "order-4711"}
        accepted = await client.call("POST", "/v1/notifications", body, headers)
        notification = await client.settled(accepted["id"])
    assert notification["correlation_id"] == "order-4711"
    assert stack.smtp is not None
    mail = await stack.smtp.next_message()
    assert mail.message["X-Correlation-ID"] == "order-4711"
    spans = [span for span in exporter.get_finished_spans() if _trace_id(span) == TRACE]
    names = {span.name for span in spans}
    assert "clarion.notification.v1.NotificationService/SendNotification" in names
    assert any(name.endswith(" send") for name in names), names
    told = str([(span.name, dict(span.attributes or {}), span.status.description) for span in exporter.get_finished_spans()])
    assert "ada@example.com" not in told
    assert "Trace" not in told


async def test_the_metrics_endpoint_counts_what_happened(traced: tuple[Stack, InMemorySpanExporter, int]) -> None:
    """Prometheus text with the duration of calls by method and status."""
    stack, _, port = traced
    async with Client(stack.url, API_KEY) as client:
        await client.call("GET", "/v1/notifications")
    async with httpx.AsyncClient() as http:
        text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
    assert 'method="clarion.notification.v1.NotificationService/ListNotifications"' in text
    assert "clarion_rpc_server_duration" in text
    assert "ada@example.com" not in text


def _trace_id(span: ReadableSpan) -> str:
    return f"{span.context.trace_id:032x}" if span.context else ""
