"""Templates between their messages and models."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict

from clarion.channel.v1 import channel_pb2
from clarion.template.v1 import partial_pb2, render_service_pb2, template_pb2, template_service_pb2
from mesh.context import FIRST_PROJECT
from mesh.errors import InvalidArgument, ServiceError
from mesh.rpc.masks import masked_fields
from mesh.rpc.status import to_status
from mesh.rpc.timestamps import to_timestamp
from template_svc.blocks import PLATFORMS
from template_svc.messages import content_to_proto, json_of_struct
from template_svc.models import (
    SOURCES,
    CanarySummary,
    Channel,
    Content,
    NewTemplate,
    NewVersion,
    OnUnknown,
    Partial,
    PartialUse,
    Publication,
    Rendered,
    RenderRequest,
    Template,
    TemplateChange,
    TemplateKey,
    TemplateSummary,
    TemplateVersion,
    VersionDraft,
    VersionKey,
)
from template_svc.senders.convert import identity_to_proto

_CHANNELS = {channel_pb2.CHANNEL_EMAIL: Channel.EMAIL, channel_pb2.CHANNEL_PUSH: Channel.PUSH}
_TO_CHANNEL = {channel: number for number, channel in _CHANNELS.items()}
_ON_UNKNOWN = {
    template_pb2.ON_UNKNOWN_UNSPECIFIED: OnUnknown.RESEND,
    template_pb2.ON_UNKNOWN_RESEND: OnUnknown.RESEND,
    template_pb2.ON_UNKNOWN_HOLD: OnUnknown.HOLD,
}
_TO_ON_UNKNOWN = {OnUnknown.RESEND: template_pb2.ON_UNKNOWN_RESEND, OnUnknown.HOLD: template_pb2.ON_UNKNOWN_HOLD}


def new_template_from_proto(project: str, request: template_service_pb2.CreateTemplateRequest) -> NewTemplate:
    """Raises InvalidArgument for numbers that stand for nothing."""
    channel = channel_from_proto(request.channel)
    if channel is None:
        raise InvalidArgument.of("channel", "is required")
    return NewTemplate(
        project=project,
        name=request.name,
        channel=channel,
        category=request.category,
        description=request.description,
        mandatory=request.mandatory,
        on_unknown=_on_unknown_from_proto("on_unknown", request.on_unknown),
        default_locale=request.default_locale,
    )


def change_from_proto(request: template_service_pb2.UpdateTemplateRequest) -> TemplateChange:
    """What the mask names (AIP-134). Raises InvalidArgument."""
    given = request.template
    fields = masked_fields(request.update_mask, given, TemplateChange._fields)
    on_unknown = _on_unknown_from_proto("template.on_unknown", given.on_unknown)
    return TemplateChange(
        given.category if "category" in fields else None,
        given.description if "description" in fields else None,
        given.mandatory if "mandatory" in fields else None,
        on_unknown if "on_unknown" in fields else None,
    )


def _on_unknown_from_proto(field: str, number: template_pb2.OnUnknown.ValueType) -> OnUnknown:
    if number not in _ON_UNKNOWN:
        raise InvalidArgument.of(field, "must be resend or hold")
    return _ON_UNKNOWN[number]


def channel_from_proto(number: int) -> Channel | None:
    """None for the unspecified one. Raises InvalidArgument for a number that stands for nothing."""
    if number and number not in _CHANNELS:
        raise InvalidArgument.of("channel", "must be email or push")
    return _CHANNELS.get(number)  # type: ignore[call-overload, no-any-return]  # an enum's number is an int in every way


def contents_from_proto(contents: Mapping[str, template_pb2.Content]) -> dict[str, Content]:
    """By locale as it was written."""
    return {locale: content_from_proto(content) for locale, content in contents.items()}


def content_from_proto(message: template_pb2.Content) -> Content:
    """The source of one locale."""
    blocks = {platform: MessageToDict(block) for platform in PLATFORMS if (block := getattr(message, platform)).fields}
    parts: dict[str, Any] = {**{name: getattr(message, name) for name in SOURCES}, **blocks}
    return Content(data=dict(message.data), **parts)


def template_to_proto(template: Template) -> template_pb2.Template:
    return template_pb2.Template(
        name=template.name,
        channel=_TO_CHANNEL[template.channel],
        category=template.category,
        description=template.description,
        mandatory=template.mandatory,
        on_unknown=_TO_ON_UNKNOWN[template.on_unknown],
        default_locale=template.default_locale,
        published_version=template.published_version,
        latest_version=template.latest_version,
        create_time=to_timestamp(template.create_time),
        update_time=to_timestamp(template.update_time),
        archive_time=to_timestamp(template.archive_time) if template.archive_time else None,
        archived_by=template.archived_by,
        etag=template.etag,
    )


def version_to_proto(version: TemplateVersion) -> template_pb2.TemplateVersion:
    message = template_pb2.TemplateVersion(
        template=version.template,
        version=version.version,
        required_variables=version.required_variables,
        published=version.published,
        create_time=to_timestamp(version.create_time),
        created_by=version.created_by,
        note=version.note,
        archive_time=to_timestamp(version.archive_time) if version.archive_time else None,
        archived_by=version.archived_by,
        sender=version.sender,
    )
    for locale, content in version.contents.items():
        content_to_proto(content, message.contents[locale])
    for locale, catalog in version.catalogs.items():
        message.catalogs[locale] = catalog["file"]
    for name, revision in version.partials.items():
        message.partials[name] = revision
    if version.variables_schema:
        message.variables_schema.update(version.variables_schema)
    message.locales.extend(_reports(version))
    message.findings.extend(_findings(version))
    return message


def publication_to_proto(publication: Publication) -> template_pb2.Publication:
    return template_pb2.Publication(
        version=publication.version,
        publish_time=to_timestamp(publication.publish_time),
        published_by=publication.mark.by,
        note=publication.mark.note,
        previous_version=publication.previous_version,
        scheduled_publication=str(publication.plan) if publication.plan else "",
    )


def check_note(note: str) -> str:
    """Raises InvalidArgument."""
    if "\0" in note:
        raise InvalidArgument.of("note", "must not contain NUL characters")
    return note


def partial_to_proto(partial: Partial, uses: Sequence[PartialUse] = ()) -> partial_pb2.Partial:
    return partial_pb2.Partial(
        name=partial.name,
        source=partial.source,
        revision=partial.revision,
        update_time=to_timestamp(partial.update_time),
        uses=[partial_pb2.PartialUse(**use._asdict()) for use in uses],
    )


def draft_from_proto(request: template_service_pb2.LintContentsRequest) -> VersionDraft:
    """Raises InvalidArgument for a channel that stands for nothing."""
    channel = channel_from_proto(request.channel)
    if channel is None:
        raise InvalidArgument.of("channel", "is required")
    contents, schema = contents_from_proto(request.contents), json_of_struct(request.variables_schema)
    return VersionDraft(channel, request.default_locale, contents, dict(request.catalogs), schema)


def draft_parts_from_proto(
    request: template_service_pb2.PreviewTemplateRequest,
) -> tuple[dict[str, Content], dict[str, str], dict[str, Any]]:
    """Contents, catalogues and schema of a preview. Raises InvalidArgument beside a version, which has its own."""
    if request.version:
        raise InvalidArgument.of("version", "must be 0, or left out, where contents are given")
    return contents_from_proto(request.contents), dict(request.catalogs), json_of_struct(request.variables_schema)


def lint_to_proto(version: NewVersion) -> template_service_pb2.LintContentsResponse:
    return template_service_pb2.LintContentsResponse(
        findings=_findings(version), required_variables=version.required_variables, locales=_reports(version)
    )


def _reports(version: NewVersion) -> list[template_pb2.LocaleReport]:
    return [
        template_pb2.LocaleReport(
            locale=report.locale,
            messages=report.messages,
            translated_messages=report.translated,
            unused_variables=report.unused_variables,
        )
        for report in version.completeness()
    ]


def _findings(version: NewVersion) -> list[template_pb2.Finding]:
    return [template_pb2.Finding(**finding._asdict()) for finding in version.findings]


def summary_to_proto(summary: TemplateSummary) -> render_service_pb2.TemplateSummary:
    template = summary.template
    if template is None:
        return render_service_pb2.TemplateSummary(name=summary.name)
    return render_service_pb2.TemplateSummary(
        name=summary.name,
        exists=True,
        channel=_TO_CHANNEL[template.channel],
        category=template.category,
        mandatory=template.mandatory,
        on_unknown=_TO_ON_UNKNOWN[template.on_unknown],
        published_version=template.published_version,
        archived=template.archive_time is not None,
        required_variables=summary.required_variables,
        locales=summary.locales,
        variables_schema=json.dumps(summary.variables_schema) if summary.variables_schema else "",
        size=None if summary.size is None else render_service_pb2.TextSize(**summary.size._asdict()),
        canary=_canary_to_proto(summary.canary) if summary.canary is not None else None,
    )


def _canary_to_proto(canary: CanarySummary) -> render_service_pb2.CanarySummary:
    return render_service_pb2.CanarySummary(
        version=canary.version,
        percent=canary.percent,
        by_user=canary.by_user,
        required_variables=canary.required_variables,
        size=None if canary.size is None else render_service_pb2.TextSize(**canary.size._asdict()),
        variables_schema=json.dumps(canary.variables_schema) if canary.variables_schema else "",
    )


def keys_from_proto(request: render_service_pb2.BatchDescribeTemplatesRequest) -> list[TemplateKey]:
    """The templates that are asked for. Raises InvalidArgument where there are projects of some names only."""
    if not request.projects:
        return [TemplateKey(FIRST_PROJECT, name) for name in request.names]
    if len(request.projects) != len(request.names):
        raise InvalidArgument.of("projects", "must hold one project for each name")
    return [TemplateKey(project or FIRST_PROJECT, name) for project, name in zip(request.projects, request.names, strict=True)]


def request_from_proto(item: render_service_pb2.RenderItem) -> RenderRequest:
    key = VersionKey(item.project or FIRST_PROJECT, item.template, item.version)
    variables = item.variables.SerializeToString()
    return RenderRequest(key, item.locale, variables, item.timezone, masked=item.mask_sensitive, checked=item.check_variables)


def preview_to_proto(rendered: Rendered) -> template_service_pb2.PreviewTemplateResponse:
    response = template_service_pb2.PreviewTemplateResponse(locale=rendered.locale, version=rendered.version, locale_chain=rendered.chain)
    response.content.MergeFromString(rendered.content)
    if rendered.sender is not None:
        response.sender.CopyFrom(identity_to_proto(rendered.sender))
    return response


def results_to_proto(results: list[Rendered | ServiceError]) -> render_service_pb2.BatchRenderResponse:
    """An error becomes its item's google.rpc.Status."""
    response = render_service_pb2.BatchRenderResponse()
    for result in results:
        message = response.results.add()
        if isinstance(result, ServiceError):
            message.error.CopyFrom(to_status(result))
        else:
            message.rendered.locale = result.locale
            message.rendered.locale_chain.extend(result.chain)
            message.rendered.masked_variables.extend(result.masked)
            message.rendered.content.MergeFromString(result.content)
            if result.sender is not None:
                message.rendered.sender.CopyFrom(identity_to_proto(result.sender))
    return response
