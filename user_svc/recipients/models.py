"""What is asked and answered about recipients, and the decision."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from user_svc.preferences.models import Channel, Choice, PreferenceRule, most_specific


class Decision(StrEnum):
    """Whether a notification may go out."""

    SEND = "send"
    SKIP = "skip"
    NOT_FOUND = "not_found"


@dataclass(frozen=True, slots=True)
class Query:
    """One notification. `mandatory` overrides preferences, never a suppression; `email` stands in for the person's own address."""

    user_id: str
    channel: Channel
    category: str = ""
    mandatory: bool = False
    email: str = ""


class Address(NamedTuple):
    """An e-mail address in lower case, as one project knows it."""

    project: str
    address: str


class UserReference(NamedTuple):
    """An id of ours or of the project's own system."""

    project: str
    reference: str


@dataclass(frozen=True, slots=True)
class PushTarget:
    """A device to send to."""

    device_id: str
    token: str


@dataclass(frozen=True, slots=True)
class Contact:
    """What is known about a person when a decision is made. `suppressed_for` is empty for an address that may get e-mail."""

    user_id: str
    project: str
    email: str
    suppressed_for: str
    locale: str
    timezone: str
    name: str
    rules: tuple[PreferenceRule, ...]
    devices: tuple[PushTarget, ...]


@dataclass(frozen=True, slots=True)
class Recipient:
    """The answer to a query: the decision, the rule that made it, and the contact (None when there is no such person)."""

    decision: Decision
    rule: str
    channel: Channel
    contact: Contact | None


def decide(query: Query, contact: Contact | None) -> tuple[Decision, str]:
    """The decision and the rule that made it. Reachability and suppressions come first, then what must be sent, then choices."""
    if contact is None:
        return Decision.NOT_FOUND, "not_found"
    if query.channel is Channel.EMAIL:
        if not contact.email:
            return Decision.SKIP, "no_address"
        if contact.suppressed_for:
            return Decision.SKIP, f"suppression:{contact.suppressed_for}"
    rule_name = "default"
    if query.mandatory:
        rule_name = "mandatory"
    else:
        rule = most_specific(contact.rules, query.channel, query.category)
        if rule is not None:
            rule_name = rule.name
            if rule.choice is Choice.DENY:
                return Decision.SKIP, rule_name
    if query.channel is Channel.PUSH and not contact.devices:
        return Decision.SKIP, "no_device"
    return Decision.SEND, rule_name
