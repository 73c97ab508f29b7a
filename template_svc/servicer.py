"""clarion.template.v1.TemplateService and RenderService: messages in, one use case, messages out."""

from clarion.template.v1 import render_service_pb2 as render_rpc
from clarion.template.v1 import template_service_pb2 as rpc
from clarion.template.v1.render_service_pb2_grpc import RenderServiceServicer
from clarion.template.v1.template_service_pb2_grpc import TemplateServiceServicer
from mesh.context import current
from naming.time_zones import check_time_zone
from template_svc.archiving.use_cases import Archive
from template_svc.convert import (
    change_from_proto,
    channel_from_proto,
    check_note,
    contents_from_proto,
    draft_from_proto,
    draft_parts_from_proto,
    keys_from_proto,
    lint_to_proto,
    new_template_from_proto,
    preview_to_proto,
    publication_to_proto,
    request_from_proto,
    results_to_proto,
    summary_to_proto,
    template_to_proto,
    version_to_proto,
)
from template_svc.messages import json_of_struct
from template_svc.models import TemplateKey, VersionKey
from template_svc.people.use_cases import PreviewRequest, Previews
from template_svc.use_cases import Authoring, Rendering, mark_of


class TemplateServicer(TemplateServiceServicer):
    """Serves authors. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, authoring: Authoring, archive: Archive, previews: Previews) -> None:
        self._authoring = authoring
        self._archive = archive
        self._previews = previews

    async def CreateTemplate(self, request: rpc.CreateTemplateRequest, context: object) -> rpc.CreateTemplateResponse:
        template = await self._authoring.create_template(new_template_from_proto(current().caller.project, request))
        return rpc.CreateTemplateResponse(template=template_to_proto(template))

    async def GetTemplate(self, request: rpc.GetTemplateRequest, context: object) -> rpc.GetTemplateResponse:
        template = await self._authoring.get_template(_key(request.name))
        return rpc.GetTemplateResponse(template=template_to_proto(template))

    async def ListTemplates(self, request: rpc.ListTemplatesRequest, context: object) -> rpc.ListTemplatesResponse:
        page = await self._authoring.list_templates(
            current().caller.project,
            channel_from_proto(request.channel),
            request.page_size,
            request.page_token,
            archived=request.show_archived,
        )
        return rpc.ListTemplatesResponse(templates=map(template_to_proto, page.items), next_page_token=page.next_token)

    async def UpdateTemplate(self, request: rpc.UpdateTemplateRequest, context: object) -> rpc.UpdateTemplateResponse:
        change = change_from_proto(request)
        template = await self._authoring.update_template(_key(request.name), change, etag=request.template.etag)
        return rpc.UpdateTemplateResponse(template=template_to_proto(template))

    async def DeleteTemplate(self, request: rpc.DeleteTemplateRequest, context: object) -> rpc.DeleteTemplateResponse:
        await self._authoring.delete_template(_key(request.name))
        return rpc.DeleteTemplateResponse()

    async def ArchiveTemplate(self, request: rpc.ArchiveTemplateRequest, context: object) -> rpc.ArchiveTemplateResponse:
        return rpc.ArchiveTemplateResponse(template=template_to_proto(await self._archive.archive_template(_key(request.name))))

    async def RestoreTemplate(self, request: rpc.RestoreTemplateRequest, context: object) -> rpc.RestoreTemplateResponse:
        return rpc.RestoreTemplateResponse(template=template_to_proto(await self._archive.restore_template(_key(request.name))))

    async def CreateVersion(self, request: rpc.CreateVersionRequest, context: object) -> rpc.CreateVersionResponse:
        contents, schema = contents_from_proto(request.contents), json_of_struct(request.variables_schema)
        mark = mark_of(check_note(request.note))
        version = await self._authoring.create_version(
            _key(request.name), contents, request.publish, dict(request.catalogs), schema, mark=mark, sender=request.sender
        )
        return rpc.CreateVersionResponse(version=version_to_proto(version))

    async def GetVersion(self, request: rpc.GetVersionRequest, context: object) -> rpc.GetVersionResponse:
        version = await self._authoring.get_version(VersionKey(*_key(request.name), request.version))
        return rpc.GetVersionResponse(version=version_to_proto(version))

    async def ListVersions(self, request: rpc.ListVersionsRequest, context: object) -> rpc.ListVersionsResponse:
        page = await self._authoring.list_versions(
            _key(request.name), request.page_size, request.page_token, archived=request.show_archived
        )
        return rpc.ListVersionsResponse(versions=map(version_to_proto, page.items), next_page_token=page.next_token)

    async def PublishVersion(self, request: rpc.PublishVersionRequest, context: object) -> rpc.PublishVersionResponse:
        mark = mark_of(check_note(request.note))
        key = VersionKey(*_key(request.name), request.version)
        template = await self._authoring.publish_version(key, mark, instead_of=request.previous_version)
        return rpc.PublishVersionResponse(template=template_to_proto(template))

    async def ArchiveVersion(self, request: rpc.ArchiveVersionRequest, context: object) -> rpc.ArchiveVersionResponse:
        version = await self._archive.archive_version(VersionKey(*_key(request.name), request.version))
        return rpc.ArchiveVersionResponse(version=version_to_proto(version))

    async def RestoreVersion(self, request: rpc.RestoreVersionRequest, context: object) -> rpc.RestoreVersionResponse:
        version = await self._archive.restore_version(VersionKey(*_key(request.name), request.version))
        return rpc.RestoreVersionResponse(version=version_to_proto(version))

    async def ListPublications(self, request: rpc.ListPublicationsRequest, context: object) -> rpc.ListPublicationsResponse:
        page = await self._authoring.list_publications(_key(request.name), request.page_size, request.page_token)
        return rpc.ListPublicationsResponse(publications=map(publication_to_proto, page.items), next_page_token=page.next_token)

    async def LintContents(self, request: rpc.LintContentsRequest, context: object) -> rpc.LintContentsResponse:
        return lint_to_proto(await self._authoring.lint(current().caller.project, draft_from_proto(request)))

    async def GetCatalog(self, request: rpc.GetCatalogRequest, context: object) -> rpc.GetCatalogResponse:
        text, report = await self._authoring.get_catalog(VersionKey(*_key(request.name), request.version), request.locale)
        return rpc.GetCatalogResponse(catalog=text, locale=report.locale, messages=report.messages, translated_messages=report.translated)

    async def PreviewTemplate(self, request: rpc.PreviewTemplateRequest, context: object) -> rpc.PreviewTemplateResponse:
        variables = request.variables.SerializeToString()
        timezone = check_time_zone("timezone", request.timezone) if request.timezone else ""
        draft = None
        if request.contents or request.catalogs:
            draft = await self._authoring.draft(_key(request.name), *draft_parts_from_proto(request))
        wanted = PreviewRequest(_key(request.name), request.version, request.locale, variables, timezone, request.user_id, draft)
        return preview_to_proto(await self._previews.preview(current().caller, wanted))


def _key(name: str) -> TemplateKey:
    """The template of that name in the caller's project."""
    return TemplateKey(current().caller.project, name)


class RenderServicer(RenderServiceServicer):
    """Serves the other services of the mesh."""

    def __init__(self, rendering: Rendering) -> None:
        self._rendering = rendering

    async def BatchRender(self, request: render_rpc.BatchRenderRequest, context: object) -> render_rpc.BatchRenderResponse:
        requests = [request_from_proto(item) for item in request.items]
        render = self._rendering.preview_batch if request.preview else self._rendering.render_batch
        return results_to_proto(await render(requests))

    async def BatchDescribeTemplates(
        self, request: render_rpc.BatchDescribeTemplatesRequest, context: object
    ) -> render_rpc.BatchDescribeTemplatesResponse:
        summaries = await self._rendering.describe(keys_from_proto(request))
        return render_rpc.BatchDescribeTemplatesResponse(summaries=map(summary_to_proto, summaries))
