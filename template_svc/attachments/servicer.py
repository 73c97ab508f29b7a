"""clarion.template.v1.AttachmentService: messages in, one use case, messages out."""

from uuid import UUID

from clarion.template.v1 import attachment_service_pb2 as rpc
from clarion.template.v1.attachment_service_pb2_grpc import AttachmentServiceServicer
from mesh.context import current
from mesh.errors import InvalidArgument
from mesh.ids import parse
from mesh.rpc.timestamps import to_timestamp
from template_svc.attachments.models import Attachment, Use
from template_svc.attachments.use_cases import Attachments


class AttachmentServicer(AttachmentServiceServicer):
    """Serves senders and the mesh. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, attachments: Attachments) -> None:
        self._attachments = attachments

    async def CreateAttachment(self, request: rpc.CreateAttachmentRequest, context: object) -> rpc.CreateAttachmentResponse:
        made = await self._attachments.create(current().caller.project, request.content)
        return rpc.CreateAttachmentResponse(attachment=_message(made))

    async def UseAttachments(self, request: rpc.UseAttachmentsRequest, context: object) -> rpc.UseAttachmentsResponse:
        keep_for_s = request.keep_for.ToTimedelta().total_seconds()
        use = Use(request.project, _uuid("notification_id", request.notification_id), _uuid("user_id", request.user_id), keep_for_s)
        kept = await self._attachments.use(use, [each.id or each.content for each in request.attachments])
        return rpc.UseAttachmentsResponse(attachments=map(_message, kept))

    async def GetAttachmentContent(self, request: rpc.GetAttachmentContentRequest, context: object) -> rpc.GetAttachmentContentResponse:
        return rpc.GetAttachmentContentResponse(content=await self._attachments.content(request.project, request.id))

    async def ForgetAttachments(self, request: rpc.ForgetAttachmentsRequest, context: object) -> rpc.ForgetAttachmentsResponse:
        await self._attachments.forget(_uuid("user_id", request.user_id))
        return rpc.ForgetAttachmentsResponse()


def _message(attachment: Attachment) -> rpc.Attachment:
    return rpc.Attachment(id=attachment.id, size_bytes=attachment.size_bytes, expire_time=to_timestamp(attachment.keep_until))


def _uuid(field: str, value: str) -> UUID:
    parsed = parse(value)
    if parsed is None:
        raise InvalidArgument.of(field, "must be a UUID")
    return parsed
