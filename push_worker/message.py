"""A push as firebase-admin's Message: the same text on every platform, shown once however often it arrives."""

from firebase_admin import messaging

from push_worker.models import Push


def build_message(push: Push) -> messaging.Message:
    """The message without its device: set `token` on it. One may serve many devices, one after the other."""
    return messaging.Message(
        notification=messaging.Notification(title=push.title, body=push.body, image=push.image or None),
        data=dict(push.data) or None,
        android=messaging.AndroidConfig(
            collapse_key=push.id,
            priority="high" if push.urgent else None,
            ttl=push.ttl_s,
            # the collapse key covers devices that are offline, the tag those that have shown it already
            notification=messaging.AndroidNotification(tag=push.id),
        ),
        apns=messaging.APNSConfig(headers=_apns_headers(push)),
        webpush=messaging.WebpushConfig(headers=_webpush_headers(push)),
    )


def _apns_headers(push: Push) -> dict[str, str]:
    headers = {"apns-collapse-id": push.id}
    if push.urgent:
        headers["apns-priority"] = "10"
    return headers


def _webpush_headers(push: Push) -> dict[str, str]:
    # RFC 8030 allows a topic 32 characters of base64url: a UUID without its dashes
    headers = {"Topic": push.id.replace("-", "")[:32]}
    if push.urgent:
        headers["Urgency"] = "high"
    if push.ttl_s is not None:
        headers["TTL"] = str(push.ttl_s)
    return headers
