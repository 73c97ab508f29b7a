"""Pure mapping between messages and changes."""

from clarion.channel.v1 import channel_pb2
from clarion.notification.v1 import change_pb2, change_service_pb2
from gateway.changes.models import Change, ChangeFilters
from gateway.notifications.convert import channel_of, fact_number, labels_of, status_number, status_of
from mesh.rpc.paging import filter_text
from mesh.rpc.timestamps import to_timestamp


def filters_of(project: str, request: change_service_pb2.ListChangesRequest | change_service_pb2.WatchChangesRequest) -> ChangeFilters:
    """What is asked for, without the person. Raises InvalidArgument for an enum number or a label that can't be."""
    return ChangeFilters(
        project,
        statuses=tuple(status_of(number) for number in request.statuses),
        channel=channel_of(request.channel) if request.channel else None,
        template=filter_text(request.template),
        category=filter_text(request.category),
        metadata=labels_of("metadata", request.metadata),
    )


def change_message(change: Change) -> change_pb2.Change:
    """A change for its readers."""
    return change_pb2.Change(
        cursor=str(change.position),
        notification_id=str(change.notification_id),
        status=status_number(change.status),
        reason=change.reason,
        attempt=change.attempt,
        run=change.run,
        time=to_timestamp(change.time),
        user_id=str(change.user_id),
        channel=channel_pb2.Channel.ValueType(change.channel),
        template=change.template,
        category=change.category,
        metadata=change.metadata,
        correlation_id=change.correlation_id,
        test=change.test,
        fact=fact_number(change.fact),
    )
