"""What is asked and answered about recipients, and the decision."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from naming.bounds import covers_address
from user_svc.accounts.models import AccountSecret
from user_svc.devices.models import Platform
from user_svc.policies.models import NO_RULES, FrequencyLimit, ProjectRules
from user_svc.preferences.models import Channel, Choice, PreferenceRule, most_specific
from user_svc.preferences.quiet_hours import QuietHours
from user_svc.suppressions.models import Hold, hold_on

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OUT_OF_BOUNDS = "key_restricted:recipient_domains"  # the rule of a key that is narrowed to other domains
ARCHIVED = "project_archived"  # the rule of a project that is out of use
MANDATORY = "mandatory"  # the rule of what no preference stops


class Decision(StrEnum):
    """Whether a notification may go out."""

    SEND = "send"
    SKIP = "skip"
    DEFER = "defer"
    NOT_FOUND = "not_found"


@dataclass(frozen=True, slots=True)
class Query:
    """One notification. `mandatory` overrides preferences, never a suppression; `email` stands in for the person's own address.

    One that is named by `notification_id` counts for the limit of its category. `urgent` ones wait for no quiet hours. `at` is the time
    that the question is about, None for now. `domains` are those that the address has to be of, empty for any; `device_ids` the only
    devices that count, empty for all.
    """

    user_id: str
    channel: Channel
    category: str = ""
    mandatory: bool = False
    email: str = ""
    notification_id: str = ""
    template: str = ""
    urgent: bool = False
    test: bool = False
    at: datetime | None = None
    domains: tuple[str, ...] = ()
    device_ids: tuple[str, ...] = ()


class Address(NamedTuple):
    """An e-mail address in lower case, as one project knows it."""

    project: str
    address: str


class UserReference(NamedTuple):
    """An id of ours or of the project's own system."""

    project: str
    reference: str


class NewUser(NamedTuple):
    """Who has an address where no user has it. All parts are in the form in which they are kept."""

    project: str
    email: str
    name: str
    locale: str
    timezone: str

    @property
    def address(self) -> Address:
        """What two of them have in common that are the same person."""
        return Address(self.project, self.email.lower())


class Token(NamedTuple):
    """The SHA-256 of a device's token, as one project knows it."""

    project: str
    sha256: bytes


class NewDevice(NamedTuple):
    """Who has a device where no user has it. All parts are in the form in which they are kept."""

    project: str
    token: str
    platform: Platform
    name: str
    locale: str
    timezone: str

    @property
    def key(self) -> Token:
        """What two of them have in common that are the same device."""
        return Token(self.project, hashlib.sha256(self.token.encode()).digest())


class Ensured(NamedTuple):
    """A user by our id, empty for none, and the device that they were asked for by."""

    user_id: str = ""
    device_id: str = ""


@dataclass(frozen=True, slots=True)
class PushTarget:
    """A device to send to."""

    device_id: str
    token: str


@dataclass(frozen=True, slots=True)
class Contact:
    """What is known about a person when a decision is made. `holds` are what the suppression list has of the address.

    `attributes` are a JSON object, or empty for none.
    """

    user_id: str
    project: str
    email: str
    holds: tuple[Hold, ...]
    locale: str
    timezone: str
    name: str
    rules: tuple[PreferenceRule, ...]
    devices: tuple[PushTarget, ...]
    quiet_hours: QuietHours | None = None
    attributes: str = ""


class Verdict(NamedTuple):
    """A decision and the rule that made it; `wait` where it is DEFER, and the limit that a SEND still has to keep."""

    decision: Decision
    rule: str
    wait: timedelta = timedelta()
    limit: FrequencyLimit | None = None


@dataclass(frozen=True, slots=True)
class Recipient:
    """The answer to a query, and the contact (None when there is no such person). `account` is what a mail about their account holds."""

    verdict: Verdict
    channel: Channel
    contact: Contact | None
    account: AccountSecret | None = None

    @property
    def decision(self) -> Decision:
        """Whether it may go out."""
        return self.verdict.decision

    @property
    def rule(self) -> str:
        """What decided."""
        return self.verdict.rule


@dataclass(frozen=True, slots=True)
class Limited:
    """A notification that would be sent unless its person has got too many of its category. `at` is None for now."""

    user_id: str
    category: str
    test: bool
    notification_id: str
    limit: FrequencyLimit
    at: datetime | None = None


class Ended(NamedTuple):
    """A notification that ended unsent, and whom it was for."""

    user_id: str
    notification_id: str


def decide(query: Query, contact: Contact | None, project: ProjectRules = NO_RULES, now: datetime = EPOCH) -> Verdict:
    """Whether the project is in use, what the key may reach, reachability and suppressions; then what must be sent, choices and timing."""
    if contact is None:
        return Verdict(Decision.NOT_FOUND, "not_found")
    if project.archived:
        return Verdict(Decision.SKIP, ARCHIVED)
    if query.domains and not covers_address(query.domains, query.email or contact.email):
        return Verdict(Decision.SKIP, OUT_OF_BOUNDS)
    if query.channel is Channel.EMAIL:
        if not contact.email:
            return Verdict(Decision.SKIP, "no_address")
        if contact.holds and (hold := hold_on(contact.holds, query.category, query.at or now)):
            return Verdict(Decision.SKIP, f"suppression:{hold.reason}:{hold.category}".removesuffix(":"))
    if query.mandatory or query.category in project.mandatory:
        unreachable = query.channel is Channel.PUSH and not contact.devices
        return Verdict(Decision.SKIP, "no_device") if unreachable else Verdict(Decision.SEND, MANDATORY)
    choice, rule = choice_of(query.channel, query.category, query.template, contact.rules, project.rules)
    if choice is Choice.DENY:
        return Verdict(Decision.SKIP, rule)
    if query.channel is Channel.PUSH and not contact.devices:
        return Verdict(Decision.SKIP, "no_device")
    quiet = contact.quiet_hours or project.quiet_hours
    if quiet is not None and not query.urgent and (wait := quiet.wait(query.at or now, contact.timezone)):
        return Verdict(Decision.DEFER, f"quiet_hours:{quiet}", wait)
    return Verdict(Decision.SEND, rule, limit=project.limits.get(query.category))


def choice_of(
    channel: Channel, category: str, template: str, own: Sequence[PreferenceRule], projects: Sequence[PreferenceRule]
) -> tuple[Choice, str]:
    """What the person's own most specific rule says, or else the project's, and which rule that was."""
    for layer, rules in (("preference", own), ("policy", projects)):
        rule = most_specific(rules, channel, category, template)
        if rule is not None:
            return rule.choice, f"{layer}:{rule.about}"
    return Choice.ALLOW, "default"
