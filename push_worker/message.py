"""A push in the form that FCM takes: the same text on every platform, shown once however often it arrives."""

from typing import Any

from delivery.errors import Fault
from delivery.push_message import MAX_PUSH_BYTES, PushEnvelope, PushText, message_of, size_of
from push_worker.errors import FcmRejected
from push_worker.models import Push


def build_message(push: Push) -> dict[str, Any]:
    """The message without its device: set `token` on it. Raises FcmRejected for one that is larger than FCM takes."""
    text = PushText(push.title, push.body, push.data, push.image, push.android, push.apns, push.webpush)
    message = message_of(text, PushEnvelope(push.id, push.urgent, push.ttl_s, push.expire_s))
    size = size_of(message)
    if size > MAX_PUSH_BYTES:
        raise FcmRejected("MESSAGE_TOO_BIG", f"the push has {size} bytes, FCM takes {MAX_PUSH_BYTES}", fault=Fault.MESSAGE)
    return message
