"""An OpenAPI 3.1 document of all bindings, from the descriptors that serve them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import status_pb2

from transcoding.accept import JSON_TYPE, NDJSON_TYPE, PROBLEM_TYPE, SSE_TYPE
from transcoding.annotations import Annotations, NoAnnotations
from transcoding.codec import Codec
from transcoding.comments import read_comments
from transcoding.http_rule import ANY_METHOD, Template
from transcoding.openapi_schema import Schema, SchemaBuilder
from transcoding.transcoder import Binding

_OPERATIONS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_ERROR = "The error, as google.rpc.Status, or as problem+json for who asks for it by `Accept`."
_HEADERS = (
    "Every request may carry `X-Correlation-ID`, which the response and all logs repeat, and `Grpc-Timeout`, the time that the caller is "
    "willing to wait, such as `500m` for half a second."
)

_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "maxLength": 255},
    "description": "Makes the request safe to repeat: the same key and request answer the first response. Kept for 24 hours.",
}


@dataclass(frozen=True, slots=True)
class ApiInfo:
    """How the document introduces the API."""

    title: str = "API"
    version: str = "1"
    description: str = ""
    license_name: str = ""
    license_url: str = ""
    servers: tuple[str, ...] = ("/",)


def openapi_document(
    bindings: Sequence[Binding],
    codec: Codec,
    info: ApiInfo,
    comments: FileDescriptorSet | None = None,
    annotations: Annotations | None = None,
) -> dict[str, Any]:
    """The document. Bindings of HTTP methods that OpenAPI lacks are left out."""
    annotations = annotations or NoAnnotations()
    builder = SchemaBuilder(codec, read_comments(comments), annotations)
    uses: Counter[str] = Counter()
    paths: dict[str, dict[str, Any]] = {}
    tags: dict[str, dict[str, str]] = {}
    for binding in bindings:
        kind = "post" if binding.rule.http_method == ANY_METHOD else binding.rule.http_method.lower()
        if kind not in _OPERATIONS:
            continue
        service = binding.method.descriptor.containing_service
        tags.setdefault(service.name, {"name": service.name, "description": builder.comment(service.full_name)})
        uses[binding.method.full_name] += 1
        nth = uses[binding.method.full_name]
        operation_id = f"{service.name}_{binding.method.name}" + (f"_{nth}" if nth > 1 else "")
        paths.setdefault(openapi_path(binding.template), {})[kind] = _operation(binding, builder, annotations, operation_id, service.name)
    status = builder.message(status_pb2.Status.DESCRIPTOR)
    error = {"description": _ERROR, "content": {JSON_TYPE: {"schema": status}, PROBLEM_TYPE: {"schema": _problem()}}}
    return {
        "openapi": "3.1.0",
        "info": _info(info),
        "servers": [{"url": url} for url in info.servers],
        "tags": list(tags.values()),
        "paths": paths,
        "components": {
            "schemas": dict(sorted(builder.components.items())),
            "responses": {"Error": error},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": "An access token or an API key."}},
        },
    }


def openapi_path(template: Template) -> str:
    """The template in OpenAPI's words, which have no wildcards inside variables: `{parent=shelves/*}` is `shelves/{parent}`."""
    names: dict[int, str] = {}
    for variable in template.variables:
        end = len(template.segments) if variable.end is None else variable.end
        wild = [index for index in range(variable.start, end) if not template.segments[index][1]]
        for nth, index in enumerate(wild):
            names[index] = variable.field_path + (f".{nth + 1}" if len(wild) > 1 else "")
    segments = [
        text if literal else f"{{{names.get(index, f'segment{index}')}}}" for index, (text, literal) in enumerate(template.segments)
    ]
    return "/" + "/".join(segments) + (f":{template.verb}" if template.verb else "")


def _info(info: ApiInfo) -> dict[str, Any]:
    result: dict[str, Any] = {"title": info.title, "version": info.version, "description": f"{info.description}\n\n{_HEADERS}".strip()}
    if info.license_name:
        result["license"] = {"name": info.license_name} | ({"url": info.license_url} if info.license_url else {})
    return result


def _operation(binding: Binding, builder: SchemaBuilder, annotations: Annotations, operation_id: str, tag: str) -> dict[str, Any]:
    method = binding.method
    comment = builder.comment(method.descriptor.full_name)
    operation: dict[str, Any] = {"operationId": operation_id, "tags": [tag], "summary": _first_sentence(comment) or method.name}
    if comment:
        operation["description"] = comment
    access = annotations.access(method.descriptor)
    operation["security"] = [] if access.open else [{"bearer": []}]
    if access.scope:
        operation["x-scope"] = access.scope
    parameters = [*_path_parameters(binding, builder), *_query_parameters(binding, builder)]
    if annotations.takes_idempotency_key(method.descriptor):
        parameters.append(_IDEMPOTENCY_KEY)
    if parameters:
        operation["parameters"] = parameters
    if binding.takes_body:
        operation["requestBody"] = {"required": True, "content": {JSON_TYPE: {"schema": _body(binding, builder)}}}
    operation["responses"] = {
        str(method.success_status): {"description": "Success.", "content": _success(binding, builder)},
        "default": {"$ref": "#/components/responses/Error"},
    }
    return operation


def _path_parameters(binding: Binding, builder: SchemaBuilder) -> list[dict[str, Any]]:
    parameters = []
    for index, (text, literal) in enumerate(binding.template.segments):
        if literal:
            continue
        field_path = next((v.field_path for v in binding.template.variables if v.start <= index and (v.end is None or index < v.end)), None)
        name = openapi_path(binding.template).split("/")[index + 1].partition(":")[0].strip("{}")
        field = binding.field_at(field_path) if field_path is not None else None
        schema: Schema = builder.field(field) if field is not None else {"type": "string"}
        comment = schema.pop("description", "")
        parameter = {"name": name, "in": "path", "required": True, "schema": schema}
        rest = "May hold several segments." if text == "**" else ""
        parameters.append(parameter | ({"description": f"{comment} {rest}".strip()} if comment or rest else {}))
    return parameters


def _query_parameters(binding: Binding, builder: SchemaBuilder) -> list[dict[str, Any]]:
    parameters = []
    for label, field in binding.query.fields():
        schema = builder.field(field)
        comment = schema.pop("description", "")
        parameter = {"name": label, "in": "query", "schema": schema}
        parameters.append(parameter | ({"description": comment} if comment else {}))
    return parameters


def _body(binding: Binding, builder: SchemaBuilder) -> Schema:
    if binding.body_field is not None:
        return builder.field(binding.body_field)
    bound = {variable.field_path for variable in binding.template.variables}
    if bound:
        return builder.object(binding.request_descriptor, without=bound)
    return builder.message(binding.request_descriptor)


def _success(binding: Binding, builder: SchemaBuilder) -> dict[str, Any]:
    if binding.response_field is not None:
        schema = builder.field(binding.response_field)
    else:
        schema = builder.message(binding.method.descriptor.output_type)
    if not binding.method.server_streaming:
        return {JSON_TYPE: {"schema": schema}}
    line = {"type": "object", "properties": {"result": schema, "error": builder.message(status_pb2.Status.DESCRIPTOR)}}
    return {NDJSON_TYPE: {"schema": line}, SSE_TYPE: {"schema": schema}}


def _problem() -> Schema:
    text = {"type": "string"}
    violation = {"type": "object", "properties": {"field": text, "description": text}}
    properties: Schema = dict.fromkeys(("type", "title", "detail", "code", "reason", "correlation_id"), text)
    properties |= {"status": {"type": "integer"}, "retry_after_s": {"type": "number"}, "violations": {"type": "array", "items": violation}}
    return {"type": "object", "properties": properties}


def _first_sentence(comment: str) -> str:
    """The first sentence, without the thing's own name in front."""
    return comment.partition(". ")[0].rstrip(".")
