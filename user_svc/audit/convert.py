"""Entries of the audit log between their messages and models."""

from clarion.user.v1 import audit_service_pb2 as rpc
from mesh import ids
from mesh.errors import InvalidArgument
from mesh.rpc.timestamps import from_timestamp, to_timestamp
from user_svc.audit.models import AuditEvent, AuditKind, Filters, HandedOver, NewEvent

_KINDS = {kind: rpc.AuditEventKind.Value(f"AUDIT_EVENT_KIND_{kind.name}") for kind in AuditKind}
_MODELS = {value: kind for kind, value in _KINDS.items()}


def event_to_proto(event: AuditEvent) -> rpc.AuditEvent:
    """An entry of a kind that only a newer version knows is shown without it."""
    known = event.kind in {*AuditKind}
    return rpc.AuditEvent(
        id=str(event.id),
        time=to_timestamp(event.time),
        kind=_KINDS[AuditKind(event.kind)] if known else rpc.AUDIT_EVENT_KIND_UNSPECIFIED,
        actor=event.actor,
        subject=event.subject,
        details=dict(event.details),
        correlation_id=event.correlation_id,
    )


def filters_from_proto(project: str, request: rpc.ListAuditEventsRequest) -> Filters:
    """Raises InvalidArgument for what is no time, and for a kind that there is not: left out, it would widen the search."""
    for index, kind in enumerate(request.kinds):
        if kind not in _MODELS:
            raise InvalidArgument.of(f"kinds[{index}]", "is no kind of event that is known here; leave kinds out for all")
    return Filters(
        project,
        tuple(sorted({_MODELS[kind].value for kind in request.kinds})),
        request.actor,
        request.subject,
        from_timestamp("start_time", request.start_time) if request.HasField("start_time") else None,
        from_timestamp("end_time", request.end_time) if request.HasField("end_time") else None,
    )


def handed_over_from_proto(event: rpc.ServiceAuditEvent) -> HandedOver:
    """Raises InvalidArgument for what is no UUID, and for a kind that only a newer version knows."""
    identifier = ids.canonical(event.id)
    if identifier is None or event.kind not in _MODELS:
        raise InvalidArgument.of("events", "have an id that is no UUID, or a kind that is not known here")
    entry = NewEvent(event.project, _MODELS[event.kind], event.subject, event.actor, dict(event.details))
    return HandedOver(identifier, entry, event.correlation_id)
