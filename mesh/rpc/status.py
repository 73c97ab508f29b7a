"""`ServiceError` to google.rpc.Status and back (AIP-193: each detail type at most once, ErrorInfo always)."""

from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from mesh import errors
from mesh.errors import FieldViolation, ServiceError

DOMAIN = "clarion"

_BY_CODE: dict[int, type[ServiceError]] = {
    kind.code.value: kind
    for kind in (
        errors.Cancelled,
        errors.Unknown,
        errors.InvalidArgument,
        errors.DeadlineExceeded,
        errors.NotFound,
        errors.AlreadyExists,
        errors.PermissionDenied,
        errors.ResourceExhausted,
        errors.FailedPrecondition,
        errors.Aborted,
        errors.OutOfRange,
        errors.Unimplemented,
        errors.Internal,
        errors.Unavailable,
        errors.DataLoss,
        errors.Unauthenticated,
    )
}


class Unanswered(errors.Unavailable):
    """Nothing answered the call: no connection, or one that ended. Any other UNAVAILABLE is an answer of the callee."""

    reason = "UPSTREAM_UNAVAILABLE"


def error_class(code: int) -> type[ServiceError]:
    """The error class of a status code; a number outside gRPC's range counts as UNKNOWN."""
    return _BY_CODE.get(code, errors.Unknown)


def to_status(error: ServiceError) -> status_pb2.Status:
    """The wire form of an error."""
    status = status_pb2.Status(code=error.code.value, message=error.message)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    status.details.add().Pack(info)
    if error.violations:
        bad = error_details_pb2.BadRequest()
        for violation in error.violations:
            bad.field_violations.add(field=violation.field, description=violation.description)
        status.details.add().Pack(bad)
    if error.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(max(0, round(error.retry_after_s * 1e9)))
        status.details.add().Pack(retry)
    if error.quota is not None:
        quota = error_details_pb2.QuotaFailure()
        quota.violations.add(subject=error.quota, description=error.message)
        status.details.add().Pack(quota)
    return status


def from_status(status: status_pb2.Status) -> ServiceError:
    """The error that another process answered. Unknown details are left out; a status without ErrorInfo keeps its code's own reason."""
    reason: str | None = None
    metadata: dict[str, str] = {}
    violations: list[FieldViolation] = []
    retry_after_s: float | None = None
    quota: str | None = None
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry, limits = error_details_pb2.RetryInfo(), error_details_pb2.QuotaFailure()
    for detail in status.details:
        try:
            if detail.Unpack(info):
                reason, metadata = info.reason, dict(info.metadata)
            elif detail.Unpack(bad):
                violations = [FieldViolation(v.field, v.description) for v in bad.field_violations]
            elif detail.Unpack(retry):
                retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9
            elif detail.Unpack(limits) and limits.violations:
                quota = limits.violations[0].subject
        except DecodeError:
            continue  # a detail we can't read must not hide the error itself
    return error_class(status.code)(
        status.message, reason=reason, violations=violations, retry_after_s=retry_after_s, quota=quota, metadata=metadata
    )
