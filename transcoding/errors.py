"""Errors over HTTP: google.rpc.Status as JSON, or RFC 9457 problem+json for those who ask for it by `Accept`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from mesh.errors import Code, FieldViolation, InvalidArgument, ResourceExhausted, ServiceError, Unimplemented
from mesh.rpc.status import to_status
from transcoding.accept import JSON_TYPE, PROBLEM_TYPE, choose
from transcoding.codec import Codec
from transcoding.json_scalar import BadValue
from transcoding.json_text import JsonError, write_json

HTTP_STATUS: Mapping[Code, int] = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}

# HTTP knows more ways to be wrong than gRPC has codes.
EDGE_REASONS: Mapping[str, int] = {
    "METHOD_NOT_ALLOWED": 405,
    "NOT_ACCEPTABLE": 406,
    "BODY_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
}


class MethodNotAllowed(Unimplemented):
    """The path exists, but not under this HTTP method."""

    reason = "METHOD_NOT_ALLOWED"

    def __init__(self, allow: str) -> None:
        super().__init__(f"this path takes {allow}")
        self.headers = (("allow", allow),)


class NotAcceptable(InvalidArgument):
    """The caller accepts none of the forms that the answer has."""

    reason = "NOT_ACCEPTABLE"


class UnsupportedMediaType(InvalidArgument):
    """The body is in a form that the edge does not read."""

    reason = "UNSUPPORTED_MEDIA_TYPE"


class BodyTooLarge(ResourceExhausted):
    """The body is over the limit."""

    reason = "BODY_TOO_LARGE"


class InvalidHeader(InvalidArgument):
    """A request header breaks its rule."""

    reason = "INVALID_HEADER"


class MalformedJson(InvalidArgument):
    """The body is no JSON."""

    reason = "MALFORMED_JSON"


class MalformedUrl(InvalidArgument):
    """The path or the query is not encoded as a URL is."""

    reason = "MALFORMED_URL"


def violations_error(problems: Sequence[tuple[str, str]]) -> InvalidArgument:
    """One error for all the fields that break a rule. `problems` must not be empty."""
    violations = [FieldViolation(path or "body", rule) for path, rule in problems]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return InvalidArgument(f"{violations[0].field}: {violations[0].description}{more}", violations=violations)


def bad_body(error: JsonError | BadValue) -> InvalidArgument:
    """The error of a body that does not parse."""
    if isinstance(error, BadValue):
        return violations_error(error.problems)
    if error.key is not None:
        return violations_error([(error.key[:64], error.problem)])
    return MalformedJson(f"the body is not valid JSON: {error.problem}")


@dataclass(frozen=True, slots=True)
class Rendered:
    """An error ready to be sent. `headers` hold the content type but not the length."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class ErrorRenderer:
    """Renders errors. `reasons` maps ErrorInfo reasons to HTTP statuses that differ from their code's.

    `domain` is the realm of the credentials, and part of the problem types (`urn:<domain>:error:<reason>`).
    """

    def __init__(self, codec: Codec, *, reasons: Mapping[str, int] | None = None, domain: str) -> None:
        self._codec = codec
        self._reasons = {**EDGE_REASONS, **(reasons or {})}
        self._domain = domain

    def http_status(self, error: ServiceError) -> int:
        """The HTTP status of an error: its reason's where that is mapped, else its code's."""
        return self._reasons.get(error.reason) or HTTP_STATUS[error.code]

    def status_value(self, error: ServiceError) -> Any:
        """The error as google.rpc.Status in JSON."""
        return self._codec.to_value(to_status(error))

    def render(self, error: ServiceError, *, accept: str, authenticated: bool, correlation_id: str) -> Rendered:
        """The response for an error; `authenticated` says that credentials were sent, good or not."""
        status = self.http_status(error)
        headers = list(error.headers)
        names = {name for name, _ in headers}
        if error.retry_after_s is not None and "retry-after" not in names:
            # whole seconds, never earlier than RetryInfo says
            headers.append(("retry-after", str(max(1, math.ceil(error.retry_after_s)))))
        if status == HTTPStatus.UNAUTHORIZED:
            invalid = ', error="invalid_token"' if authenticated else ""
            headers.append(("www-authenticate", f'Bearer realm="{self._domain}"{invalid}'))
        # a caller that names both reads both, and names the second for errors only
        offers = (PROBLEM_TYPE, JSON_TYPE) if PROBLEM_TYPE in accept.lower() else (JSON_TYPE, PROBLEM_TYPE)
        content_type = choose(accept, offers) or JSON_TYPE
        headers.append(("content-type", content_type))
        value = self.status_value(error) if content_type == JSON_TYPE else self._problem(error, status, correlation_id)
        return Rendered(status, headers, write_json(value))

    def _problem(self, error: ServiceError, status: int, correlation_id: str) -> dict[str, Any]:
        problem: dict[str, Any] = {
            "type": f"urn:{self._domain}:error:{error.reason.lower().replace('_', '-')}",
            "title": _title(status),
            "status": status,
            "detail": error.message,
            "code": error.code.name,
            "reason": error.reason,
            "correlation_id": correlation_id,
        }
        if error.violations:
            problem["violations"] = [{"field": item.field, "description": item.description} for item in error.violations]
        if error.retry_after_s is not None:
            problem["retry_after_s"] = error.retry_after_s
        if error.quota is not None:
            problem["violated_policies"] = [error.quota]
        if error.metadata:
            problem["metadata"] = error.metadata
        return problem


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # 499 is nginx's, not the IETF's
        return "Client Closed Request" if status == 499 else "Error"
