"""An OpenAPI 3.1 document of all bindings, from the descriptors that serve them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import status_pb2

from transcoding.accept import JSON_TYPE, NDJSON_TYPE, PROBLEM_TYPE, SSE_TYPE
from transcoding.annotations import Annotations, NoAnnotations
from transcoding.codec import Codec
from transcoding.comments import read_comments
from transcoding.http_rule import ANY_METHOD, Template
from transcoding.json_wellknown import FIELD_MASK
from transcoding.openapi_schema import Schema, SchemaBuilder, writable_mask
from transcoding.resource import ETAG, ResourceRules
from transcoding.transcoder import Binding

_OPERATIONS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_ERROR = "The error, as google.rpc.Status, or as problem+json for who asks for it by `Accept`."
_HEADERS = (
    "Every request may carry `X-Correlation-ID`, which the response and all logs repeat, and `Grpc-Timeout`, the time that the caller is "
    "willing to wait, such as `500m` for half a second."
)

_CORRELATION_HEADER = {"description": "Names the request in logs and traces.", "required": True, "schema": {"type": "string"}}
_TAG_HEADER = {
    "description": "Which state the answer shows, for `If-None-Match`, and for `If-Match` where that is taken.",
    "required": True,
    "schema": {"type": "string"},
}
_LOCATION_HEADER = {"description": "The path of what was made.", "required": True, "schema": {"type": "string", "format": "uri-reference"}}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "schema": {"type": "string"},
    "description": "The ETag of an earlier answer: 304 when it is still the same.",
}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "schema": {"type": "string", "pattern": r'^(?:\*|(?:W/)?"[!#-~]*"|[!#-+\--~]+)$'},
    "description": "The ETag of the state that the change is meant for: 412 when it has changed since.",
}
# A bare token, or a structured-field string (RFC 8941), in which spaces may stand.
_INNER, _OUTER = r'(?:[ !#-\[\]-~]|\\["\\])', r'(?:[!#-\[\]-~]|\\["\\])'
_KEY_PATTERN = rf'^(?:[!#-~]{{1,255}}|"{_OUTER}(?:{_INNER}{{0,253}}{_OUTER})?")$'
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": 512, "pattern": _KEY_PATTERN},
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
    *,
    samples: Mapping[str, Sequence[Mapping[str, str]]] | None = None,
) -> dict[str, Any]:
    """The document. Bindings of HTTP methods that OpenAPI lacks are left out. `samples` are `x-codeSamples` by the method's full name."""
    annotations = annotations or NoAnnotations()
    builder = SchemaBuilder(codec, read_comments(comments), annotations)
    resources = ResourceRules(bindings)
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
        operation = _operation(binding, builder, annotations, operation_id, service.name)
        operation["responses"][str(binding.method.success_status)]["headers"] = _headers(binding, resources)
        if samples and binding.method.descriptor.full_name in samples:
            operation["x-codeSamples"] = samples[binding.method.descriptor.full_name]
        paths.setdefault(openapi_path(binding.template), {})[kind] = operation
    status = builder.message(status_pb2.Status.DESCRIPTOR)
    error = {
        "description": _ERROR,
        "headers": {"X-Correlation-ID": _CORRELATION_HEADER},
        "content": {JSON_TYPE: {"schema": status}, PROBLEM_TYPE: {"schema": _problem()}},
    }
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
    if ResourceRules.takes_tag(binding):
        parameters.append(_IF_MATCH)
    if parameters:
        operation["parameters"] = parameters
    if binding.takes_body:
        body = _body(binding, builder)
        content = {NDJSON_TYPE if method.client_streaming else JSON_TYPE: {"schema": body}}
        operation["requestBody"] = {"required": _must_have_body(binding, annotations), "content": content}
    operation["responses"] = {
        str(method.success_status): {"description": "Success.", "content": _success(binding, builder)},
        "4XX": {"$ref": "#/components/responses/Error"},
        "default": {"$ref": "#/components/responses/Error"},
    }
    if binding.rule.http_method == "GET" and not method.server_streaming:
        operation["parameters"] = [*parameters, _IF_NONE_MATCH]
        operation["responses"]["304"] = {"description": "The caller has it already: its entity tag is one of those in `If-None-Match`."}
    return operation


def _headers(binding: Binding, resources: ResourceRules) -> dict[str, Any]:
    """Those of a success."""
    headers: dict[str, Any] = {"X-Correlation-ID": _CORRELATION_HEADER}
    read = binding.rule.http_method == "GET" and not binding.method.server_streaming
    if read or resources.is_tagged(binding):
        headers["ETag"] = _TAG_HEADER
    if resources.is_addressed(binding):
        headers["Location"] = _LOCATION_HEADER
    return headers


def _must_have_body(binding: Binding, annotations: Annotations) -> bool:
    """Whether a request without a body can't be right."""
    if binding.body_field is not None:
        return annotations.limits(binding.body_field).required
    bound = {variable.field_path for variable in binding.template.variables}
    fields = [field for field in binding.request_descriptor.fields if field.name not in bound]
    return any(annotations.limits(field).required for field in fields) or bool(annotations.needs_one_of(binding.request_descriptor))


def _path_parameters(binding: Binding, builder: SchemaBuilder) -> list[dict[str, Any]]:
    parameters = []
    for index, (text, literal) in enumerate(binding.template.segments):
        if literal:
            continue
        field_path = next((v.field_path for v in binding.template.variables if v.start <= index and (v.end is None or index < v.end)), None)
        name = openapi_path(binding.template).split("/")[index + 1].partition(":")[0].strip("{}")
        field = binding.field_at(field_path) if field_path is not None else None
        schema: Schema = builder.field(field, inward=True, null=False) if field is not None else {"type": "string"}
        schema = _as_text(schema)
        comment = schema.pop("description", "")
        parameter = {"name": name, "in": "path", "required": True, "schema": schema}
        rest = "May hold several segments." if text == "**" else ""
        parameters.append(parameter | ({"description": f"{comment} {rest}".strip()} if comment or rest else {}))
    return parameters


def _query_parameters(binding: Binding, builder: SchemaBuilder) -> list[dict[str, Any]]:
    parameters = []
    for label, field in binding.query.fields():
        is_mask = field.message_type is not None and field.message_type.full_name == FIELD_MASK
        resource = binding.body_field.message_type if is_mask and binding.body_field is not None else None
        schema = writable_mask(resource, also={ETAG}) if resource is not None else _as_text(builder.field(field, inward=True, null=False))
        comment = schema.pop("description", "") or builder.comment(field.full_name)
        parameter: dict[str, Any] = {"name": label, "in": "query", "schema": schema}
        if "minLength" in schema or "minItems" in schema:
            parameter["required"] = True
        parameters.append(parameter | ({"description": comment} if comment else {}))
    return parameters


def _as_text(schema: Schema) -> Schema:
    """A value in a URL is text anyway: the forms that JSON could give it besides are left out."""
    if "anyOf" in schema:
        first: Schema = schema["anyOf"][0]
        notes = {key: value for key, value in schema.items() if key != "anyOf"}
        return {**first, **notes} if "$ref" not in first else schema
    if schema.get("type") == "array":
        return {**schema, "items": _as_text(schema["items"])}
    return schema


def _body(binding: Binding, builder: SchemaBuilder) -> Schema:
    line = binding.body_field.message_type if binding.element_type is not None and binding.body_field is not None else None
    if line is not None:  # what is wrong with one refuses that one only
        return builder.message(line, inward=True, free=True)
    if binding.body_field is not None:
        return builder.field(binding.body_field, inward=True, null=False)
    bound = {variable.field_path for variable in binding.template.variables}
    answered = binding.response_field.message_type if binding.response_field is not None and binding.answered else None
    if not bound and answered is None:
        return builder.message(binding.request_descriptor, inward=True)
    schema = builder.object(binding.request_descriptor, without=bound, inward=True)
    if bound:  # a variable of the path may stand in the body too, as long as it says the same
        schema["description"] = f"{schema.get('description', '')} What the path says is not repeated here.".strip()
    if answered is not None:
        extra = {
            field.name: {"readOnly": True, "description": "Ignored (AIP-203)."}
            for field in answered.fields
            if field.name in binding.answered
        }
        schema["properties"] = {**schema["properties"], **extra}
    return schema


def _success(binding: Binding, builder: SchemaBuilder) -> dict[str, Any]:
    if binding.response_field is not None:
        element = binding.response_field.message_type if binding.response_field.is_repeated and binding.method.server_streaming else None
        schema = builder.message(element) if element is not None else builder.field(binding.response_field)
    else:
        schema = builder.message(binding.method.descriptor.output_type)
    if not binding.method.server_streaming:
        return {JSON_TYPE: {"schema": schema}}
    line = {"type": "object", "properties": {"result": schema, "error": builder.message(status_pb2.Status.DESCRIPTOR)}}
    return {
        NDJSON_TYPE: {"schema": line},
        SSE_TYPE: {"schema": {"type": "string", "description": "Events, each with a message as its data."}},
    }


def _problem() -> Schema:
    """RFC 9457, with what errors.py adds."""
    text = {"type": "string"}
    violation = {"type": "object", "properties": {"field": text, "description": text}, "required": ["field", "description"]}
    properties: Schema = dict.fromkeys(("type", "title", "detail", "code", "reason", "correlation_id"), text)
    properties |= {
        "status": {"type": "integer"},
        "retry_after_s": {"type": "number"},
        "violations": {"type": "array", "items": violation},
        "violated_policies": {"type": "array", "items": text},
        "metadata": {"type": "object", "additionalProperties": text},
    }
    always = ["type", "title", "status", "detail", "code", "reason", "correlation_id"]
    return {"type": "object", "properties": properties, "required": always, "additionalProperties": False}


def _first_sentence(comment: str) -> str:
    """The first sentence, without the thing's own name in front."""
    return comment.partition(". ")[0].rstrip(".")
