"""clarion.user.v1.RecipientService: messages in, one use case, messages out."""

from clarion.user.v1 import recipient_service_pb2 as rpc
from clarion.user.v1.recipient_service_pb2_grpc import RecipientServiceServicer
from mesh.context import FIRST_PROJECT
from user_svc.recipients.convert import queries_from_proto, recipient_to_proto, references_from_proto
from user_svc.recipients.use_cases import Recipients
from user_svc.suppressions.use_cases import Suppressions


class RecipientServicer(RecipientServiceServicer):
    """Serves the other services of the mesh. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, recipients: Recipients, suppressions: Suppressions) -> None:
        self._recipients = recipients
        self._suppressions = suppressions

    async def BatchResolveRecipients(
        self, request: rpc.BatchResolveRecipientsRequest, context: object
    ) -> rpc.BatchResolveRecipientsResponse:
        recipients = await self._recipients.resolve_recipients(queries_from_proto(request))
        return rpc.BatchResolveRecipientsResponse(recipients=[recipient_to_proto(recipient) for recipient in recipients])

    async def BatchCheckUsers(self, request: rpc.BatchCheckUsersRequest, context: object) -> rpc.BatchCheckUsersResponse:
        if not request.projects:
            known = await self._recipients.check_users(request.user_ids)
            return rpc.BatchCheckUsersResponse(existing_user_ids=known.keys(), projects=known.values())
        found = await self._recipients.resolve(references_from_proto(request))
        return rpc.BatchCheckUsersResponse(
            existing_user_ids=[one.reference for one in found], projects=[one.project for one in found], ids=found.values()
        )

    async def BatchRemoveDevices(self, request: rpc.BatchRemoveDevicesRequest, context: object) -> rpc.BatchRemoveDevicesResponse:
        await self._recipients.remove_devices(request.device_ids, request.reason)
        return rpc.BatchRemoveDevicesResponse()

    async def SuppressAddress(self, request: rpc.SuppressAddressRequest, context: object) -> rpc.SuppressAddressResponse:
        await self._suppressions.create_suppression(request.project or FIRST_PROJECT, request.address, "bounce", request.evidence)
        return rpc.SuppressAddressResponse()
