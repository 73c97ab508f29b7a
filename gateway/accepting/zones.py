"""Where people are, as user_svc knows it."""

from clarion.channel.v1 import channel_pb2
from clarion.user.v1.recipient_service_pb2 import RecipientQuery
from delivery.models import Recipients
from gateway.accepting.errors import PeerUnavailable
from gateway.notifications.models import Channel
from mesh.errors import ServiceError

_UTC = "UTC"


class RecipientZones:
    """Implements `Zones` by what is asked at delivery, many in one call; a look that counts for no limit."""

    def __init__(self, recipients: Recipients) -> None:
        self._recipients = recipients

    async def zone_of(self, user_id: str, channel: Channel) -> str:
        """Raises PeerUnavailable. Who is gone meanwhile is nowhere, and gets nothing."""
        query = RecipientQuery(user_id=user_id, channel=channel_pb2.Channel.ValueType(channel))
        [recipient] = await self._recipients.resolve([query])
        if isinstance(recipient, ServiceError):
            raise PeerUnavailable("the person's time zone")
        return recipient.timezone or _UTC
