"""The audit log of user_svc."""

from collections.abc import Sequence
from typing import Any

import grpc.aio

from clarion.user.v1 import audit_service_pb2 as rpc
from clarion.user.v1.audit_service_pb2_grpc import AuditServiceStub
from template_svc.auditing.models import WaitingEntry


class AuditClient:
    """Implements `auditing.use_cases.Log`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = AuditServiceStub(channel)

    async def keep(self, entries: Sequence[WaitingEntry]) -> None:
        """Each once, however often it is handed over. Raises ServiceError."""
        await self._stub.KeepAuditEvents(rpc.KeepAuditEventsRequest(events=map(_to_proto, entries)))


def _to_proto(waiting: WaitingEntry) -> rpc.ServiceAuditEvent:
    entry = waiting.entry
    return rpc.ServiceAuditEvent(
        id=waiting.id,
        project=entry.project,
        kind=rpc.AuditEventKind.Value(f"AUDIT_EVENT_KIND_{entry.kind.name}"),
        actor=entry.actor or "",
        subject=entry.subject,
        # the log has a time of its own, that of its own clock
        details={**entry.details, "at": waiting.time.isoformat(timespec="seconds")},
        correlation_id=waiting.correlation_id,
    )
