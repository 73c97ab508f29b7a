"""Amazon SES: its notifications and event publishing, by way of SNS."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from gateway.facts.events import ARGUMENT, document, key, moment, notification_id, part, text
from gateway.facts.models import Report, reason_of, scrub
from gateway.facts.sns import CONFIRMATION, NOTIFICATION, SnsMessages
from gateway.notifications.models import Fact
from mesh.errors import InvalidArgument

NAME = "ses"
# Where a kind of event has its own part, what it says, and the list of recipients in it.
_PARTS = {
    "Bounce": ("bounce", None, "bouncedRecipients"),
    "Complaint": ("complaint", Fact.COMPLAINED, "complainedRecipients"),
    "Delivery": ("delivery", Fact.DELIVERED, "recipients"),
    "Open": ("open", Fact.OPENED, ""),
}
# Feedback that SES hands on as complaints, too (RFC 6430, RFC 6591): that a mail was no spam, and that its signatures did not fit.
_NO_COMPLAINTS = frozenset({"not-spam", "auth-failure"})


class Ses:
    """Reads its requests; confirms subscriptions of the topics that were configured."""

    def __init__(self, messages: SnsMessages) -> None:
        self._messages = messages

    async def read(self, headers: Mapping[str, str], body: bytes) -> Sequence[Report]:  # noqa: ARG002  SNS signs in the body
        """Raises BadSignature, InvalidArgument or Unavailable."""
        message = document(body)
        if not isinstance(message, dict):
            raise InvalidArgument.of("body", "must be a message of Amazon SNS")
        kind = await self._messages.check(message)
        if kind == CONFIRMATION:
            await self._messages.confirm(message)
        if kind != NOTIFICATION:
            return []
        try:
            event = document(text(message, "Message"), "Message")
        except InvalidArgument:
            return []  # SES greets a new topic in plain words
        report = _report(event, text(message, "MessageId"))
        return [] if report is None else [report]


def _report(event: Any, message_id: str) -> Report | None:
    kind = text(event, "eventType") or text(event, "notificationType")
    identifier = _identifier(part(event, "mail"))
    if kind not in _PARTS or identifier is None:
        return None
    name, fact, recipients = _PARTS[kind]
    if kind == "Complaint" and text(event, name, "complaintFeedbackType") in _NO_COMPLAINTS:
        return None
    content, [first, *_] = part(event, name), [*_listed(part(event, name, recipients)), ""]
    if fact is None:
        fact = Fact.HARD_BOUNCED if text(content, "bounceType") == "Permanent" else Fact.SOFT_BOUNCED
    why = text(content, "bounceSubType") if kind == "Bounce" else text(content, "complaintFeedbackType")
    address = first if isinstance(first, str) else text(first, "emailAddress")
    return Report(
        notification_id=identifier,
        source_key=key(NAME, text(content, "feedbackId") or message_id),
        fact=fact,
        time=moment(part(content, "timestamp")),
        provider=NAME,
        reason=reason_of(text(first, "status") or why, "BOUNCE" if kind == "Bounce" else "") if kind in {"Bounce", "Complaint"} else "",
        detail=scrub(" ".join(filter(None, (why, text(first, "diagnosticCode") or text(content, "smtpResponse")))), address),
        address=address,
        trusted=True,
    )


def _identifier(mail: Any) -> UUID | None:
    """From the tags of an event, or from the mail's own header where a notification has those."""
    tagged = _listed(part(mail, "tags", ARGUMENT))
    named = [text(header, "value") for header in _listed(part(mail, "headers")) if text(header, "name").lower() == HEADER.lower()]
    return next((found for value in (*tagged, *named) if (found := notification_id(value)) is not None), None)


# On mails through SES, beside the tag: SES writes a Message-ID of its own.
HEADER = "X-Clarion-Notification-ID"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
