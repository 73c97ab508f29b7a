"""What template_svc is asked about the files of mails."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import grpc.aio

from clarion.template.v1 import attachment_service_pb2 as rpc
from clarion.template.v1.attachment_service_pb2_grpc import AttachmentServiceStub
from gateway.accepting.models import AttachedFile


class AttachmentClient:
    """Implements `use_cases.Files` and `sagas.erasure.Attachments`, by template_svc. Raises ServiceError."""

    def __init__(self, channel: grpc.aio.Channel, *, retention_days: int) -> None:
        self._stub: Any = AttachmentServiceStub(channel)
        self._retention = timedelta(days=retention_days)

    async def keep(
        self, project: str, notification_id: UUID, user_id: str, files: Sequence[AttachedFile], wait: timedelta
    ) -> tuple[AttachedFile, ...]:
        """Has them kept for a notification that begins after `wait`, for as long as it can be requeued."""
        request = rpc.UseAttachmentsRequest(project=project, notification_id=str(notification_id), user_id=user_id)
        request.attachments.extend(rpc.UsedAttachment(id=each.attachment_id, content=each.content) for each in files)
        request.keep_for.FromTimedelta(self._retention + wait)
        kept = (await self._stub.UseAttachments(request)).attachments
        return tuple(
            each._replace(content=b"", attachment_id=one.id, size_bytes=one.size_bytes) for each, one in zip(files, kept, strict=True)
        )

    async def forget(self, user_id: str) -> None:
        """Deletes what only this person's notifications carry."""
        await self._stub.ForgetAttachments(rpc.ForgetAttachmentsRequest(user_id=user_id))
