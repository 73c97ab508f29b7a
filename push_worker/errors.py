"""Why a push was not taken, in the kinds that the delivery pipeline knows."""

from delivery.errors import PermanentDeliveryError, TransientDeliveryError
from delivery.models import OutcomeUnknown, ProviderUnavailable, SenderRefused, SenderRefusedInPart

UNREGISTERED = "UNREGISTERED"


class DeviceGone(PermanentDeliveryError):
    """FCM does not know the token (any more): the device is to be removed."""


class FcmRejected(PermanentDeliveryError):
    """FCM will never take this message for this device."""


class FcmThrottled(TransientDeliveryError):
    """Too much for FCM's quota. It is alive, so the breaker does not count it; Retry-After says when."""


class FcmUnavailable(ProviderUnavailable):
    """No connection, no answer, or an error of FCM's own."""


class FcmSenderRefused(FcmUnavailable, SenderRefused):
    """FCM refuses our credentials or project: every message would meet it."""


class FcmPlatformRefused(SenderRefusedInPart):
    """APNs or the web push service refuses our keys: the devices of one platform wait for an operator, the others do not."""


class FcmOutcomeUnknown(OutcomeUnknown):
    """The message was handed over and no answer came."""
