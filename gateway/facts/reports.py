"""Mails about mails: delivery status notifications (RFC 3464) and abuse reports (RFC 5965), read with the standard library. Pure.

Anyone may have written such a mail. What names the notification is an address with a digest (`naming/bounce_address.py`).
"""

import email
import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.message import Message
from email.utils import parseaddr, parsedate_to_datetime
from itertools import islice
from uuid import UUID

from gateway.facts.models import Report, reason_of, scrub, settled
from gateway.notifications.models import Fact
from naming.bounce_address import BounceAddresses

NAME = "mail"
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
# There is no such mailbox, no such host, the mailbox has moved, the domain takes no mail (RFC 3463, 7505).
_NO_MAILBOX = frozenset({"1.1", "1.2", "1.6", "1.10"})
_COMPLAINTS = frozenset({"abuse", "fraud"})
# A report stands at a mail's beginning, before what of the original comes back with it, and is about a mail to one person. The library
# takes time for each line by each boundary that is open, and for addresses by the square of their length.
_MOST_READ = 256 * 1024
_MOST_BOUNDARIES = 30
# As a parameter, in whichever of its spellings (RFC 2231), and not as a word of the mail that came back.
_BOUNDARY = re.compile(rb"boundary[\x00-\x20*0-9\x7f-\xff]*=", re.IGNORECASE)
_MOST_BLOCKS = 10
_MOST_FIELD = 2000


def reports_of(raw: bytes, recipient: str, addresses: BounceAddresses) -> Sequence[Report]:
    """The facts that a mail to `recipient` holds; none where it is no report, or one that a mail is only late."""
    head = raw[:_MOST_READ]
    if sum(1 for _ in _BOUNDARY.finditer(head)) > _MOST_BOUNDARIES:
        return []
    message = email.message_from_bytes(head)
    identifier = addresses.notification_of(recipient)
    parts = list(message.walk())
    if any(part.get_content_type() == "message/feedback-report" for part in parts):
        complaint = _complaint(message, parts, identifier, addresses)
        return [] if complaint is None else [complaint]
    if identifier is None:
        return []
    blocks = islice(_recipients(parts), _MOST_BLOCKS)
    return [report for block in blocks if (report := _outcome(message, block, identifier)) is not None]


def _recipients(parts: Sequence[Message]) -> Iterator[Message]:
    """The blocks about recipients of all delivery-status parts."""
    for part in parts:
        if part.get_content_type() == "message/delivery-status":
            yield from (block for block in _blocks(part) if block["Action"])


def _blocks(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [block for block in payload if isinstance(block, Message)] if isinstance(payload, list) else []


def _outcome(message: Message, block: Message, identifier: UUID) -> Report | None:
    action, said = _field(block, "Action").lower(), _field(block, "Diagnostic-Code")
    if action == "delivered":
        fact, status = Fact.DELIVERED, ""
    elif action == "failed":
        status = _status(_field(block, "Status"), said)
        kind, _, subject = status.partition(".")
        fact = Fact.HARD_BOUNCED if kind == "5" and subject in _NO_MAILBOX else Fact.SOFT_BOUNCED
    else:
        return None  # late, relayed or expanded: it is still on its way
    # some mail servers write <ada@example.com> here, too
    original, final = (_field(block, name).rpartition(";")[2].strip(" <>") for name in ("Original-Recipient", "Final-Recipient"))
    return Report(
        notification_id=identifier,
        source_key=f"dsn:{_digest(action, status, final, _field(block, 'Last-Attempt-Date'), said)}",
        fact=fact,
        time=_moment(_field(block, "Last-Attempt-Date") or _field(message, "Date")),
        provider=NAME,
        reason=reason_of(status, "BOUNCE") if action == "failed" else "",
        detail=scrub(said.partition(";")[2] or said, original or final),
        address=original or final,
    )


def _status(status: str, said: str) -> str:
    """The enhanced code; the server's own words where the report leaves it open, as x.0.0 does."""
    found = _STATUS.search(status)
    if found is None or (found[2], found[3]) == ("0", "0"):
        found = _STATUS.search(said) or found
    return ".".join(str(int(number)) for number in found.groups()) if found is not None else ""


def _complaint(message: Message, parts: Sequence[Message], identifier: UUID | None, addresses: BounceAddresses) -> Report | None:
    [report] = [block for part in parts if part.get_content_type() == "message/feedback-report" for block in _blocks(part)][:1] or [
        Message()
    ]
    kind = _field(report, "Feedback-Type").lower()
    original = next((part for part in parts if part is not message and part["Message-ID"] and part["From"]), Message())
    for sender in (_field(report, "Original-Mail-From"), _field(original, "Return-Path")):
        identifier = identifier or addresses.notification_of(sender.strip(" <>"))
    if kind not in _COMPLAINTS or identifier is None:
        return None
    return Report(
        notification_id=identifier,
        source_key=f"arf:{_digest(kind)}",  # a person complains once about a mail
        fact=Fact.COMPLAINED,
        time=_moment(_field(report, "Arrival-Date") or _field(message, "Date")),
        provider=NAME,
        reason=kind.upper(),
        detail=scrub(_field(report, "User-Agent")),
        address=_field(report, "Original-Rcpt-To").strip(" <>") or parseaddr(_field(original, "To"))[1],
    )


def _field(of: Message, name: str) -> str:
    return " ".join(str(of.get(name, ""))[:_MOST_FIELD].split())


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]


def _moment(text: str) -> datetime:
    """A date of a mail; now where it is none."""
    try:
        return settled(parsedate_to_datetime(text))
    except (ValueError, TypeError, OverflowError):
        return datetime.now(UTC)
