"""clarion.user.v1.RecipientService: messages in, one use case, messages out."""

from clarion.user.v1 import recipient_service_pb2 as rpc
from clarion.user.v1.recipient_service_pb2_grpc import RecipientServiceServicer
from mesh import ids
from mesh.context import FIRST_PROJECT, current
from user_svc.preferences.models import Channel
from user_svc.preferences.unsubscribing import UnsubscribeLinks, Unsubscribing
from user_svc.recipients.account_mails import Secrets, resolve_with_secrets
from user_svc.recipients.convert import (
    ended_from_proto,
    new_users_from_proto,
    person_to_proto,
    queries_from_proto,
    recipient_to_proto,
    references_from_proto,
    subscription_to_proto,
)
from user_svc.recipients.models import MANDATORY, Decision, Query, Recipient
from user_svc.recipients.use_cases import Recipients
from user_svc.suppressions.use_cases import BOUNCE, Suppressions

# The one service that hands mails to people: others look at them, at most.
_SENDS_MAILS = "email_worker"


class RecipientServicer(RecipientServiceServicer):
    """Serves the other services of the mesh. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(
        self, recipients: Recipients, suppressions: Suppressions, unsubscribing: Unsubscribing, links: UnsubscribeLinks, secrets: Secrets
    ) -> None:
        self._recipients = recipients
        self._secrets = secrets
        self._suppressions = suppressions
        self._unsubscribing = unsubscribing
        self._links = links

    async def BatchResolveRecipients(
        self, request: rpc.BatchResolveRecipientsRequest, context: object
    ) -> rpc.BatchResolveRecipientsResponse:
        queries = queries_from_proto(request)
        masked = current().caller.id != _SENDS_MAILS
        recipients = await resolve_with_secrets(queries, self._recipients.resolve_recipients, self._secrets, masked=masked)
        answered = zip(queries, recipients, strict=True)
        return rpc.BatchResolveRecipientsResponse(
            recipients=[recipient_to_proto(recipient, self._token(query, recipient)) for query, recipient in answered]
        )

    def _token(self, query: Query, recipient: Recipient) -> str:
        """For what a person may refuse: mails of a category, unless they are mandatory."""
        if query.channel is not Channel.EMAIL or not query.category or recipient.contact is None:
            return ""
        refusable = recipient.decision is Decision.SEND and recipient.verdict.rule != MANDATORY
        return self._links.token(recipient.contact.user_id, query.category, query.template) if refusable else ""

    async def BatchCheckUsers(self, request: rpc.BatchCheckUsersRequest, context: object) -> rpc.BatchCheckUsersResponse:
        if not request.projects:
            known = await self._recipients.check_users(request.user_ids)
            return rpc.BatchCheckUsersResponse(existing_user_ids=known.keys(), projects=known.values())
        found = await self._recipients.resolve(references_from_proto(request))
        return rpc.BatchCheckUsersResponse(
            existing_user_ids=[one.reference for one in found], projects=[one.project for one in found], ids=found.values()
        )

    async def BatchEnsureUsers(self, request: rpc.BatchEnsureUsersRequest, context: object) -> rpc.BatchEnsureUsersResponse:
        found = await self._recipients.ensure_users(new_users_from_proto(request), only_existing=request.only_existing)
        return rpc.BatchEnsureUsersResponse(ids=[one.user_id for one in found], device_ids=[one.device_id for one in found])

    async def DescribePerson(self, request: rpc.DescribePersonRequest, context: object) -> rpc.DescribePersonResponse:
        contact = await self._recipients.describe(
            request.project, request.reference, content_of=request.content_of, asked_by=request.asked_by, audit_id=request.audit_id
        )
        return person_to_proto(contact)

    async def BatchRemoveDevices(self, request: rpc.BatchRemoveDevicesRequest, context: object) -> rpc.BatchRemoveDevicesResponse:
        await self._recipients.remove_devices(request.device_ids, request.reason)
        return rpc.BatchRemoveDevicesResponse()

    async def BatchUncountNotifications(
        self, request: rpc.BatchUncountNotificationsRequest, context: object
    ) -> rpc.BatchUncountNotificationsResponse:
        await self._recipients.uncount(ended_from_proto(request))
        return rpc.BatchUncountNotificationsResponse()

    async def DescribeUnsubscribe(self, request: rpc.DescribeUnsubscribeRequest, context: object) -> rpc.DescribeUnsubscribeResponse:
        found = await self._unsubscribing.describe(request.token)
        return rpc.DescribeUnsubscribeResponse(subscription=subscription_to_proto(found))

    async def Unsubscribe(self, request: rpc.UnsubscribeRequest, context: object) -> rpc.UnsubscribeResponse:
        done = await self._unsubscribing.unsubscribe(request.token)
        return rpc.UnsubscribeResponse(subscription=subscription_to_proto(done))

    async def SuppressAddress(self, request: rpc.SuppressAddressRequest, context: object) -> rpc.SuppressAddressResponse:
        project = request.project or FIRST_PROJECT
        if request.user_id and not await self._recipients.concerns(
            project, request.user_id, request.address, only_their_own=request.only_their_own
        ):
            return rpc.SuppressAddressResponse()  # erased while their last mail was on its way: nothing of them is written any more
        of = ids.canonical(request.user_id)
        await self._suppressions.suppress(project, request.address, request.reason or BOUNCE, request.evidence, of=of)
        return rpc.SuppressAddressResponse()
