"""Errors on the wire."""

from hypothesis import given
from hypothesis import strategies as st

from mesh import errors
from mesh.errors import FieldViolation, ServiceError
from mesh.rpc.status import from_status, to_status

KINDS = [
    errors.Cancelled, errors.InvalidArgument, errors.NotFound, errors.AlreadyExists, errors.PermissionDenied, errors.ResourceExhausted,
    errors.FailedPrecondition, errors.Aborted, errors.Unavailable, errors.Internal, errors.Unauthenticated, errors.DeadlineExceeded,
]  # fmt: skip


@given(
    kind=st.sampled_from(KINDS),
    message=st.text(max_size=50),
    reason=st.one_of(st.none(), st.from_regex(r"[A-Z][A-Z_]{1,20}", fullmatch=True)),
    violations=st.lists(st.builds(FieldViolation, st.text(max_size=10), st.text(max_size=10)), max_size=3),
    retry_after_s=st.one_of(st.none(), st.integers(min_value=0, max_value=10**6).map(lambda ms: ms / 1000)),
    quota=st.one_of(st.none(), st.text(max_size=10)),
    metadata=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)
def test_an_error_survives_the_wire(
    kind: type[ServiceError],
    message: str,
    reason: str | None,
    violations: list[FieldViolation],
    retry_after_s: float | None,
    quota: str | None,
    metadata: dict[str, str],
) -> None:
    """What one process raises, another one catches: class, text, reason, fields, delay, quota and metadata."""
    sent = kind(message, reason=reason, violations=violations, retry_after_s=retry_after_s, quota=quota, metadata=metadata)
    received = from_status(to_status(sent))
    assert type(received) is kind
    assert (received.message, received.reason, received.metadata) == (sent.message, sent.reason, sent.metadata)
    assert (received.violations, received.retry_after_s, received.quota) == (sent.violations, sent.retry_after_s, sent.quota)


def test_each_detail_type_stands_at_most_once_and_error_info_always() -> None:
    """AIP-193."""
    status = to_status(errors.InvalidArgument("x", violations=[FieldViolation("a", "b"), FieldViolation("c", "d")], retry_after_s=1))
    kinds = [detail.TypeName() for detail in status.details]
    assert len(kinds) == len(set(kinds))
    assert "google.rpc.ErrorInfo" in kinds
