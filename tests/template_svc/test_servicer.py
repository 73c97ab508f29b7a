"""template_svc over real gRPC on loopback, with the real chain around it."""

from collections.abc import AsyncIterator, Awaitable
from typing import Any, TypeAlias

import grpc.aio
import pytest
from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from clarion.channel.v1 import channel_pb2
from clarion.template.v1 import render_service_pb2 as render
from clarion.template.v1 import template_pb2
from clarion.template.v1 import template_service_pb2 as rpc
from clarion.template.v1.render_service_pb2_grpc import RenderServiceStub
from clarion.template.v1.template_service_pb2_grpc import TemplateServiceStub
from mesh.process.health import HealthMonitor
from mesh.rpc.identity import Authenticator, ServiceIdentity
from mesh.rpc.server import serve_grpc
from mesh.testing import SECRET, FakeCredentials, grpc_settings, operator_metadata, service_metadata
from naming.account_mails import ACCOUNT_MAILS
from template_svc.app import Outside, Stores, wire
from template_svc.senders.dns import Dns
from tests.template_svc.factories import Clock
from tests.template_svc.fakes import InlineProcesses, MemoryCanaries, MemoryPartials, MemoryPeople, MemoryPlans, MemoryTemplates
from tests.template_svc.memory_senders import MemorySenders

# The generated stubs' types follow the kind of channel, which a fixture's signature can't.
Stub: TypeAlias = Any

EMAIL = template_pb2.Content(subject="Hello {{ name }}", html="<p>{{ name }}</p>", text="{{ name }} has {{ count }}")
AS_SERVICE = service_metadata("gateway")
AS_OPERATOR = operator_metadata()


def variables(**values: Any) -> Struct:
    return json_format.ParseDict(values, Struct())


class NoAttachments:
    """No test here asks for one."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


@pytest.fixture
async def channel(processes: InlineProcesses) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a served template_svc with an empty store."""
    store = MemoryTemplates()
    plans, canaries = MemoryPlans(store, Clock()), MemoryCanaries(store, Clock())
    stores = Stores(store, MemoryPartials(), store, plans, canaries, MemorySenders(), NoAttachments())
    outside = Outside(MemoryPeople(), Dns([("127.0.0.1", 9)]), {"example.com"})
    dispatcher = wire(stores, outside, Authenticator(FakeCredentials(), ServiceIdentity("template_svc", SECRET)), processes)
    async with (
        serve_grpc(dispatcher, grpc_settings(), HealthMonitor([]), grace_s=1) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened,
    ):
        yield opened


@pytest.fixture
def templates(channel: grpc.aio.Channel) -> Stub:
    return TemplateServiceStub(channel)


@pytest.fixture
def rendering(channel: grpc.aio.Channel) -> Stub:
    return RenderServiceStub(channel)


async def status_of(call: Awaitable[object]) -> tuple[str, str, list[str]]:
    """How a call fails: its code, its reason, the fields that are named."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error: Any = caught.value  # grpc_status is typed for the synchronous kind only
    status = rpc_status.from_call(error)
    return caught.value.code().name, *details_of(status)


def details_of(status: status_pb2.Status) -> tuple[str, list[str]]:
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    reason, fields = "", []
    for detail in status.details:
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(bad):
            fields = [violation.field for violation in bad.field_violations]
    return reason, fields


async def create(templates: Stub, **contents: template_pb2.Content) -> rpc.CreateVersionResponse:
    """The template `welcome` with a published version."""
    await templates.CreateTemplate(rpc.CreateTemplateRequest(name="welcome", channel=channel_pb2.CHANNEL_EMAIL), metadata=AS_OPERATOR)
    wanted = rpc.CreateVersionRequest(name="welcome", contents=contents or {"en": EMAIL}, publish=True)
    made: rpc.CreateVersionResponse = await templates.CreateVersion(wanted, metadata=AS_OPERATOR)
    return made


async def test_a_template_lives_from_its_making_to_its_deletion(templates: Stub) -> None:
    made = (await create(templates)).version
    assert (made.version, made.published, list(made.required_variables)) == (1, True, ["count", "name"])
    assert made.contents["en"] == EMAIL
    found = (await templates.GetTemplate(rpc.GetTemplateRequest(name="welcome"), metadata=AS_OPERATOR)).template
    assert (found.published_version, found.latest_version, found.default_locale) == (1, 1, "en")
    assert found.on_unknown == template_pb2.ON_UNKNOWN_RESEND
    assert found.HasField("create_time")
    listed = await templates.ListTemplates(rpc.ListTemplatesRequest(), metadata=AS_OPERATOR)
    assert list(listed.templates) == [found]
    await templates.CreateVersion(rpc.CreateVersionRequest(name="welcome", contents={"en": EMAIL}), metadata=AS_OPERATOR)
    versions = await templates.ListVersions(rpc.ListVersionsRequest(name="welcome"), metadata=AS_OPERATOR)
    assert [(version.version, version.published) for version in versions.versions] == [(2, False), (1, True)]
    published = await templates.PublishVersion(rpc.PublishVersionRequest(name="welcome", version=2), metadata=AS_OPERATOR)
    assert published.template.published_version == 2
    second = await templates.GetVersion(rpc.GetVersionRequest(name="welcome", version=2), metadata=AS_OPERATOR)
    assert second.version.published
    await templates.DeleteTemplate(rpc.DeleteTemplateRequest(name="welcome"), metadata=AS_OPERATOR)
    gone = templates.GetTemplate(rpc.GetTemplateRequest(name="welcome"), metadata=AS_OPERATOR)
    assert await status_of(gone) == ("NOT_FOUND", "TEMPLATE_NOT_FOUND", [])


async def test_a_batch_answers_each_item_in_its_place(templates: Stub, rendering: Stub) -> None:
    await create(templates, en=EMAIL, pt=template_pb2.Content(subject="Olá {{ name }}", text="{{ count }}"))
    items = [
        render.RenderItem(template="welcome", version=1, locale="pt-BR", variables=variables(name="Ada", count=1)),
        render.RenderItem(template="welcome", version=1, variables=variables(name="Ada", count=None)),
        render.RenderItem(template="welcome", version=7),
        render.RenderItem(template="welcome", version=1, locale="de", variables=variables(name="A&B", count=2.5)),
    ]
    response = await rendering.BatchRender(render.BatchRenderRequest(items=items), metadata=AS_SERVICE)
    first, missing, unknown, last = response.results
    assert first.rendered == render.Rendered(
        content=template_pb2.Content(subject="Olá Ada", text="1"), locale="pt", locale_chain=["pt-BR", "pt"]
    )
    assert missing.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert details_of(missing.error) == ("MISSING_VARIABLE", ["variables.count"])
    assert details_of(unknown.error) == ("VERSION_NOT_FOUND", [])
    assert last.rendered.content == template_pb2.Content(subject="Hello A&B", html="<p>A&amp;B</p>", text="A&B has 2.5")


async def test_templates_are_described_for_accepting(templates: Stub, rendering: Stub) -> None:
    await create(templates)
    response = await rendering.BatchDescribeTemplates(render.BatchDescribeTemplatesRequest(names=["none", "welcome"]), metadata=AS_SERVICE)
    none, welcome = response.summaries
    assert none == render.TemplateSummary(name="none")
    assert welcome == render.TemplateSummary(
        name="welcome",
        exists=True,
        channel=channel_pb2.CHANNEL_EMAIL,
        on_unknown=template_pb2.ON_UNKNOWN_RESEND,
        published_version=1,
        required_variables=["count", "name"],
        locales=["en"],
        size=render.TextSize(limit=998, fixed=len(EMAIL.subject), paths=["name"]),
    )


async def test_a_preview_tells_what_it_used(templates: Stub) -> None:
    await create(templates)
    wanted = rpc.PreviewTemplateRequest(name="welcome", locale="fr", variables=variables(name="Ada", count=3))
    response = await templates.PreviewTemplate(wanted, metadata=AS_OPERATOR)
    assert (response.content.text, response.locale, response.version) == ("Ada has 3", "en", 1)


async def test_what_is_no_version_yet_is_previewed_and_not_kept(templates: Stub) -> None:
    """Each draft by what is in it: a render process remembers contents by name."""
    await create(templates)

    async def preview(text: str, **fields: Any) -> Any:
        contents = {"en": template_pb2.Content(subject="Draft", text=text)}
        wanted = rpc.PreviewTemplateRequest(name="welcome", contents=contents, variables=variables(name="Ada"), **fields)
        return await templates.PreviewTemplate(wanted, metadata=AS_OPERATOR)

    first, second = await preview("1 {{ name }}"), await preview("2 {{ name }}", locale="fr")
    assert [(one.content.text, one.locale, one.version) for one in (first, second)] == [("1 Ada", "en", 0), ("2 Ada", "en", 0)]
    assert await status_of(preview("a\n{{ name|nix }}")) == ("INVALID_ARGUMENT", "INVALID_CONTENTS", ["contents.en.text"])
    assert await status_of(preview("{{ missing }}")) == ("INVALID_ARGUMENT", "MISSING_VARIABLE", ["variables.missing"])
    assert await status_of(preview("x", version=1)) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT", ["version"])
    listed = await templates.ListVersions(rpc.ListVersionsRequest(name="welcome"), metadata=AS_OPERATOR)
    assert [version.version for version in listed.versions] == [1]


async def test_a_preview_of_no_version_fills_in_its_own_examples(templates: Stub) -> None:
    await create(templates)
    schema = Struct()
    schema.update({"type": "object", "properties": {"order": {"type": "string", "examples": ["A-7"]}}})
    contents = {"en": template_pb2.Content(subject="Draft", text="{% trans %}Order {{ order }}{% endtrans %}")}
    catalog = (
        'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n\nmsgid "Order %(order)s"\nmsgstr "Bestellung %(order)s"\n'
    )
    wanted = rpc.PreviewTemplateRequest(name="welcome", contents=contents, catalogs={"de": catalog}, variables_schema=schema, locale="de")
    response = await templates.PreviewTemplate(wanted, metadata=AS_OPERATOR)
    assert (response.content.text, response.locale) == ("Bestellung A-7", "de")


async def test_bad_input_is_refused_with_the_field_named(templates: Stub) -> None:
    def make(**fields: Any) -> Any:
        return templates.CreateTemplate(rpc.CreateTemplateRequest(**{"name": "ok", "channel": 1, **fields}), metadata=AS_OPERATOR)

    await create(templates)
    assert await status_of(make(name="Bad Name")) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT", ["name"])
    assert await status_of(make(channel=0)) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT", ["channel"])
    assert await status_of(make(channel=7)) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT", ["channel"])
    assert await status_of(make(on_unknown=7)) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT", ["on_unknown"])
    assert await status_of(make(default_locale="xx-YY")) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT", ["default_locale"])
    assert await status_of(make(name="welcome")) == ("ALREADY_EXISTS", "TEMPLATE_EXISTS", ["name"])
    contents = {"en": EMAIL, "pt-BR": template_pb2.Content(subject="{{ x", text="t")}
    wanted = rpc.CreateVersionRequest(name="welcome", contents=contents)
    broken = templates.CreateVersion(wanted, metadata=AS_OPERATOR)
    assert await status_of(broken) == ("INVALID_ARGUMENT", "INVALID_CONTENTS", ["contents.pt-BR.subject"])
    listed = templates.ListTemplates(rpc.ListTemplatesRequest.FromString(b"\x08\x09"), metadata=AS_OPERATOR)
    assert await status_of(listed) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT", ["channel"])
    token = templates.ListTemplates(rpc.ListTemplatesRequest(page_token="nonsense"), metadata=AS_OPERATOR)
    assert await status_of(token) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT", ["page_token"])


async def test_strangers_get_nothing(templates: Stub, rendering: Stub) -> None:
    assert (await status_of(templates.ListTemplates(rpc.ListTemplatesRequest())))[0] == "UNAUTHENTICATED"
    assert (await status_of(rendering.BatchRender(render.BatchRenderRequest())))[0] == "UNAUTHENTICATED"


@pytest.mark.parametrize("name", sorted(ACCOUNT_MAILS))
async def test_mails_about_accounts_are_there_in_every_project_and_five_languages(templates: Stub, rendering: Stub, name: str) -> None:
    """With a link where there is one, else with the code; a project's name is a text and no markup."""
    account = {"link": "https://example.com/console/x#t", "code": "the-code", "brand": "A & B <i>"}
    for locale, spoken in {"en": "en", "de-AT": "de", "fr": "fr", "es-MX": "es", "pt-BR": "pt", "ja": "en"}.items():
        items = [
            render.RenderItem(template=name, version=1, locale=locale, project=project, variables=variables(account={**account, **more}))
            for project, more in (("default", {}), ("another", {"link": ""}))
        ]
        results = (await rendering.BatchRender(render.BatchRenderRequest(items=items), metadata=AS_SERVICE)).results
        linked, coded = (result.rendered.content for result in results)
        assert [result.rendered.locale for result in results] == [spoken] * 2
        assert "A & B <i>" in linked.subject
        assert f'lang="{spoken}"' in linked.html
        assert 'href="https://example.com/console/x#t"' in linked.html
        assert "A &amp; B &lt;i&gt;" in linked.html
        assert ("/x#t" in linked.text, "the-code" in linked.text) == (True, False)
        assert ("/x#t" in coded.text, "the-code" in coded.text, "the-code" in coded.html) == (False, True, True)
    summary = await rendering.BatchDescribeTemplates(
        render.BatchDescribeTemplatesRequest(names=[name], projects=["another"]), metadata=AS_SERVICE
    )
    (found,) = summary.summaries
    assert (found.exists, found.published_version, found.mandatory, found.category) == (True, 1, True, "clarion.account")
    made = templates.CreateTemplate(rpc.CreateTemplateRequest(name=name, channel=channel_pb2.CHANNEL_EMAIL), metadata=AS_OPERATOR)
    assert await status_of(made) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT", ["name"])
    gone = templates.GetTemplate(rpc.GetTemplateRequest(name=name), metadata=AS_OPERATOR)
    assert (await status_of(gone))[1] == "TEMPLATE_NOT_FOUND"


async def update(templates: Stub, *paths: str, **values: Any) -> template_pb2.Template:
    request = rpc.UpdateTemplateRequest(name="welcome", template=template_pb2.Template(**values), update_mask=FieldMask(paths=paths))
    updated: template_pb2.Template = (await templates.UpdateTemplate(request, metadata=AS_OPERATOR)).template
    return updated


async def test_it_is_changed_by_a_mask(templates: Stub, rendering: Stub) -> None:
    await create(templates)
    updated = await update(templates, category="billing", description="Bills", on_unknown=template_pb2.ON_UNKNOWN_HOLD)
    assert (updated.category, updated.description, updated.mandatory) == ("billing", "Bills", False)
    named = await update(templates, "description", "mandatory", category="ignored", mandatory=True, etag=updated.etag)
    assert (named.category, named.description, named.mandatory) == ("billing", "", True)
    assert named.on_unknown == template_pb2.ON_UNKNOWN_HOLD
    found = (await templates.GetTemplate(rpc.GetTemplateRequest(name="welcome"), metadata=AS_OPERATOR)).template
    assert found == named
    described = await rendering.BatchDescribeTemplates(render.BatchDescribeTemplatesRequest(names=["welcome"]), metadata=AS_SERVICE)
    [summary] = described.summaries
    assert (summary.category, summary.mandatory, summary.on_unknown) == ("billing", True, template_pb2.ON_UNKNOWN_HOLD)
    everything = await update(templates, "*")
    assert (everything.category, everything.mandatory, everything.on_unknown) == ("", False, template_pb2.ON_UNKNOWN_RESEND)


@pytest.mark.parametrize(
    ("paths", "values", "expected"),
    [
        (("channel",), {}, ("INVALID_ARGUMENT", ["update_mask"])),
        (("default_locale",), {"default_locale": "pl"}, ("INVALID_ARGUMENT", ["update_mask"])),
        (("name",), {}, ("INVALID_ARGUMENT", ["update_mask"])),
        ((), {"category": "Not One"}, ("INVALID_ARGUMENT", ["template.category"])),
        ((), {"category": "x" * 65}, ("INVALID_ARGUMENT", ["template.category"])),
        ((), {"description": "a\0b"}, ("INVALID_ARGUMENT", ["template.description"])),
        ((), {"description": "x" * 1001}, ("INVALID_ARGUMENT", ["template.description"])),
        ((), {"on_unknown": 7}, ("INVALID_ARGUMENT", ["template.on_unknown"])),
        ((), {"category": "x", "etag": "stale"}, ("ABORTED", [])),
    ],
)
async def test_a_change_that_can_not_be_is_refused(
    templates: Stub, paths: tuple[str, ...], values: dict[str, Any], expected: tuple[str, list[str]]
) -> None:
    await create(templates)
    before = (await templates.GetTemplate(rpc.GetTemplateRequest(name="welcome"), metadata=AS_OPERATOR)).template
    code, _, fields = await status_of(update(templates, *paths, **values))
    assert (code, fields) == expected
    assert (await templates.GetTemplate(rpc.GetTemplateRequest(name="welcome"), metadata=AS_OPERATOR)).template == before


async def test_a_template_that_is_not_there_is_named(templates: Stub) -> None:
    assert (await status_of(update(templates, category="x")))[:2] == ("NOT_FOUND", "TEMPLATE_NOT_FOUND")
    request = rpc.UpdateTemplateRequest(name="a\0b", template=template_pb2.Template(category="x"))
    assert (await status_of(templates.UpdateTemplate(request, metadata=AS_OPERATOR)))[:2] == ("NOT_FOUND", "TEMPLATE_NOT_FOUND")
