"""template_svc as a whole, over a real PostgreSQL."""

import gc
import tracemalloc
from collections.abc import Mapping
from typing import Any

import grpc.aio
import pytest

from clarion.channel.v1 import channel_pb2
from clarion.template.v1 import attachment_service_pb2, template_pb2
from clarion.template.v1 import render_service_pb2 as render
from clarion.template.v1 import template_service_pb2 as rpc
from clarion.template.v1.attachment_service_pb2_grpc import AttachmentServiceStub
from clarion.template.v1.render_service_pb2_grpc import RenderServiceStub
from clarion.template.v1.template_service_pb2_grpc import TemplateServiceStub
from mesh.process.health import SERVING
from mesh.process.settings import Env
from mesh.rpc.calls import ServerCall
from mesh.testing import SECRET, FakeCredentials, free_port, operator_metadata, service_metadata, watch_health
from template_svc.app import open_app
from template_svc.settings import Settings
from tests.fixtures_postgres import NewDatabase

AS_SERVICE = service_metadata("gateway")
AS_OPERATOR = operator_metadata()


def settings(url: str, **more: str) -> Settings:
    environ: Mapping[str, str] = {
        "CLARION_HOST": "127.0.0.1",
        "CLARION_GRPC_PORT": "0",
        "CLARION_METRICS_PORT": "0",
        "CLARION_SERVICE_SECRET": SECRET,
        "CLARION_DIRECT_CALLERS": "true",
        "CLARION_DATABASE_URL": url,
        "CLARION_USER_SVC_TARGET": f"ipv4:127.0.0.1:{free_port()}",
        **more,
    }
    env = Env(environ)
    read = Settings.from_env(env)
    env.check()
    return read


async def test_a_template_is_made_and_rendered_over_a_real_database(postgres_url: NewDatabase) -> None:
    """Another service of the mesh needs no user_svc to be known."""
    async with (
        open_app(settings(await postgres_url("template_svc")), credentials=FakeCredentials()) as app,
        grpc.aio.insecure_channel(f"127.0.0.1:{app.ports['grpc']}") as channel,
    ):
        templates: Any = TemplateServiceStub(channel)
        await templates.CreateTemplate(rpc.CreateTemplateRequest(name="otp", channel=channel_pb2.CHANNEL_PUSH), metadata=AS_OPERATOR)
        content = template_pb2.Content(title="Code", body="{{ code }}", data={"code": "{{ code }}"})
        wanted = rpc.CreateVersionRequest(name="otp", contents={"en": content, "pt-br": content}, publish=True)
        await templates.CreateVersion(wanted, metadata=AS_OPERATOR)
        item = render.RenderItem(template="otp", version=1, locale="pt")
        item.variables.update({"code": 123456})
        rendering: Any = RenderServiceStub(channel)
        response = await rendering.BatchRender(render.BatchRenderRequest(items=[item]), metadata=AS_SERVICE)
    done = template_pb2.Content(title="Code", body="123456", data={"code": "123456"})
    rendered = render.Rendered(content=done, locale="pt-BR", locale_chain=["pt", "pt-BR"])
    assert list(response.results) == [render.RenderResult(rendered=rendered)]


@pytest.mark.processes  # those that render
async def test_a_database_that_is_down_shows_in_health_and_as_unavailable() -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    async with (
        open_app(settings(url), credentials=FakeCredentials()) as app,
        grpc.aio.insecure_channel(f"127.0.0.1:{app.ports['grpc']}") as channel,
    ):
        assert not app.health.ready
        statuses = watch_health(channel)
        assert await anext(statuses) != SERVING
        await statuses.aclose()
        templates: Any = TemplateServiceStub(channel)
        try:
            await templates.GetTemplate(rpc.GetTemplateRequest(name="x"), metadata=AS_OPERATOR)
            code = None
        except grpc.aio.AioRpcError as error:
            code = error.code()
    assert code is grpc.StatusCode.UNAVAILABLE


def test_every_bad_setting_is_told_at_once() -> None:
    env = Env({"CLARION_RENDER_LIMIT_S": "0", "CLARION_GRPC_PORT": "x"})
    Settings.from_env(env)
    told = "\n".join(env.problems)
    for name in ("CLARION_RENDER_LIMIT_S", "CLARION_GRPC_PORT", "CLARION_DATABASE_URL", "CLARION_SERVICE_SECRET"):
        assert name in told


@pytest.mark.processes
async def test_a_call_that_is_over_holds_its_request_no_longer(postgres_url: NewDatabase) -> None:
    """The collector runs seldom (mesh/process/runtime.py): files of 3 MiB that wait for it fill the memory within some dozen calls."""
    size, count = 1_000_000, 8
    async with (
        open_app(settings(await postgres_url("template_svc")), credentials=FakeCredentials()) as app,
        grpc.aio.insecure_channel(f"127.0.0.1:{app.ports['grpc']}") as channel,
    ):
        stub: Any = AttachmentServiceStub(channel)
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            for number in range(count):
                request = attachment_service_pb2.CreateAttachmentRequest(content=bytes([number]) * size)
                await stub.CreateAttachment(request, metadata=AS_OPERATOR)
            held_bytes, _ = tracemalloc.get_traced_memory()
            calls = [each for each in gc.get_objects() if isinstance(each, ServerCall)]
        finally:
            tracemalloc.stop()
            gc.enable()
    # the last one's may be on its way out
    assert len(calls) <= 1
    assert held_bytes < 3 * size
