"""clarion.notification.v1.PersonalDataService: messages in, one use case, messages out."""

from collections.abc import AsyncIterator, Iterator

from clarion.notification.v1 import personal_data_service_pb2 as rpc
from clarion.notification.v1.captured_message_pb2 import CapturedAttachment
from clarion.notification.v1.personal_data_service_pb2_grpc import PersonalDataServiceServicer
from clarion.user.v1.erasure_service_pb2 import GetPersonalDataResponse
from gateway.notifications.convert import notification_message
from gateway.personal_data.use_cases import PersonalData, PersonalNotification
from mesh.context import current


class PersonalDataServicer(PersonalDataServiceServicer):
    """Serves exports. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, personal_data: PersonalData[GetPersonalDataResponse]) -> None:
        self._personal_data = personal_data

    async def ExportPersonalData(
        self, request: rpc.ExportPersonalDataRequest, context: object
    ) -> AsyncIterator[rpc.ExportPersonalDataResponse]:
        async for item in self._personal_data.export(current().caller, request.user_id):
            if isinstance(item, PersonalNotification):
                yield rpc.ExportPersonalDataResponse(notification=_notification(item))
            else:
                for message in _held(item):
                    yield message


def _held(held: GetPersonalDataResponse) -> Iterator[rpc.ExportPersonalDataResponse]:
    yield rpc.ExportPersonalDataResponse(user=held.user)
    yield from (rpc.ExportPersonalDataResponse(address=address) for address in held.addresses)
    yield rpc.ExportPersonalDataResponse(preferences=held.preferences)
    yield from (rpc.ExportPersonalDataResponse(device=device) for device in held.devices)
    if held.HasField("suppression"):
        yield rpc.ExportPersonalDataResponse(suppression=held.suppression)
    yield from (rpc.ExportPersonalDataResponse(suppression=suppression) for suppression in held.category_suppressions)
    yield from (rpc.ExportPersonalDataResponse(identity=identity) for identity in held.identities)


def _notification(item: PersonalNotification) -> rpc.PersonalNotification:
    content = item.content
    message = rpc.PersonalNotification(
        notification=notification_message(item.notification),
        review_note=content.review_note,
        redirected_email=content.redirected_email,
        captured_message=item.captured,
    )
    message.variables.update(content.variables)
    message.attachments.extend(CapturedAttachment(**file._asdict()) for file in content.files)
    return message
