"""The API's objects. Generated from the schema by scripts/gen_client.py: do not edit."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as stored  # a message may have a field of that name
from datetime import datetime, timedelta
from typing import Any

from clarion_client import _values as v


class AuditEventKind(str, enum.Enum):
    """Says what happened."""

    SIGNED_IN = "signed_in"
    """Someone has signed in. `details.by` is `password` or the id of an issuer."""
    SIGN_IN_FAILED = "sign_in_failed"
    """A sign-in was refused. `subject` is empty where there is no such account."""
    SESSIONS_ENDED = "sessions_ended"
    """Sessions were ended: by signing out, by a person or an administrator, or since a refresh token was used twice."""
    PASSWORD_CHANGED = "password_changed"
    """A person has changed their password; all of their sessions have ended."""
    EMAIL_CHANGED = "email_changed"
    """The address of someone who signs in was changed, or a further address has become someone's primary one."""
    API_KEY_CREATED = "api_key_created"
    """An API key was made. A rotation is a key that is made and one that is revoked."""
    API_KEY_REVOKED = "api_key_revoked"
    """An API key was revoked. Those that were made with it ended too."""
    DATA_EXPORTED = "data_exported"
    """What is held about a person was exported."""
    USER_ERASED = "user_erased"
    """A person was erased."""
    ROLE_CHANGED = "role_changed"
    """A person has another role. `details.role` is the one that they have now; empty for none."""
    SUPPRESSION_REMOVED = "suppression_removed"
    """An address was taken off the suppression list. `subject` is the person who has it, where there is one."""
    CATEGORY_CHANGED = "category_changed"
    """A category has become mandatory, or is so no longer."""
    PASSWORD_RESET_REQUESTED = "password_reset_requested"
    """Someone has asked for a new password by mail. `subject` is empty where there is no such account, or it has had its mails of this
    hour.
    """
    PASSWORD_RESET = "password_reset"
    """A new password was set with what a mail held; all sessions of the person have ended."""
    EMAIL_VERIFIED = "email_verified"
    """A person has proved that an address is theirs."""
    SECOND_FACTOR_ADDED = "second_factor_added"
    """A person has a second factor; their other sessions have ended."""
    SECOND_FACTOR_REMOVED = "second_factor_removed"
    """A person has none any more: they or an administrator have removed it."""
    RECOVERY_CODE_USED = "recovery_code_used"
    """A recovery code stood in for a code of the app. `details.left` is how many there are."""
    RECOVERY_CODES_CREATED = "recovery_codes_created"
    """A person has new recovery codes in place of all before."""
    ROLE_CREATED = "role_created"
    """A role was made. `details.scopes` are those that it has."""
    ROLE_UPDATED = "role_updated"
    """A role lets people do something else. `details.scopes` are those that it has now."""
    ROLE_DELETED = "role_deleted"
    """A role was removed."""
    PROJECT_ARCHIVED = "project_archived"
    """A project was archived. `details.api_keys` and `details.sessions` are how many have ended."""
    PROJECT_RESTORED = "project_restored"
    """A project is in use again."""
    PROJECT_ERASED = "project_erased"
    """A project was erased."""
    CONTENT_READ = "content_read"
    """What a sent notification said was read. `subject` is its person, `details.notification` its id."""
    SENDER_CHANGED = "sender_changed"
    """A sender was made or changed. `details.domain` is that of its address, `details.default` is `true` of the project's default one.
    """
    SENDER_DELETED = "sender_deleted"
    """A sender was deleted."""
    SENDER_DOMAIN_ADDED = "sender_domain_added"
    """A domain was added, from which mails are to be."""
    SENDER_DOMAIN_VERIFIED = "sender_domain_verified"
    """DNS has shown that a domain is the project's: mails may be from it."""
    SENDER_DOMAIN_DELETED = "sender_domain_deleted"
    """A domain was deleted with its key."""
    SENDER_DOMAIN_KEY_CHANGED = "sender_domain_key_changed"
    """A domain's key is to be replaced (`details.state` is `begun`), or was (`done`)."""
    TEMPLATE_PUBLISHED = "template_published"
    """A version of a template came into use: `details.version`, in place of `details.previous`; `details.plan` where that was
    scheduled.
    """
    TEMPLATE_ARCHIVED = "template_archived"
    """A template, or its `details.version`, was taken out of use."""
    TEMPLATE_RESTORED = "template_restored"
    """It was taken into use again."""
    TEMPLATE_DELETED = "template_deleted"
    """A template was deleted."""
    CANARY_STARTED = "canary_started"
    """`details.percent` of a template's notifications get `details.version`."""
    CANARY_STOPPED = "canary_stopped"
    """They get the published one again."""
    ADDRESS_ADDED = "address_added"
    """A person was given a further e-mail address, which is to be verified."""
    ADDRESS_REMOVED = "address_removed"
    """A person has lost one of their further addresses, or one that was not verified yet."""
    SIGNING_KEY_ROTATED = "signing_key_rotated"
    """Another key signs access tokens. In the log of the first project; `subject` is `signing_key:` and its id."""
    TEMPLATE_UPDATED = "template_updated"
    """What a template is was changed: `details.fields` names what, and those but the description have their new value in the details.
    """

    def __str__(self) -> str:
        return str(self.value)


class BreakerForce(str, enum.Enum):
    """What an operator wants of a breaker."""

    OPEN = "open"
    """No calls, whatever the provider does."""
    CLOSED = "closed"
    """All calls, whatever the provider does."""
    AUTO = "auto"
    """Nothing: the breaker follows the provider. It begins closed."""

    def __str__(self) -> str:
        return str(self.value)


class BreakerState(str, enum.Enum):
    """Whether calls to a provider are made."""

    CLOSED = "closed"
    """Calls are made."""
    OPEN = "open"
    """No calls are made: the provider has failed too often just now, or an operator wants it so."""
    HALF_OPEN = "half_open"
    """One call of one worker finds out whether the provider is back."""

    def __str__(self) -> str:
        return str(self.value)


class CallerKind(str, enum.Enum):
    """Says how a caller has proved who they are."""

    USER = "user"
    """A person, by an access token."""
    API_KEY = "api_key"
    """A program, by an API key."""

    def __str__(self) -> str:
        return str(self.value)


class CanaryState(str, enum.Enum):
    """Says whether a canary goes on, and how it ended."""

    RUNNING = "running"
    """A share of the notifications gets its version."""
    PUBLISHED = "published"
    """Its version was published."""
    SUPERSEDED = "superseded"
    """Another version was published."""
    STOPPED = "stopped"
    """Someone stopped it."""

    def __str__(self) -> str:
        return str(self.value)


class CanaryUnit(str, enum.Enum):
    """Says what the share is a share of."""

    NOTIFICATION = "notification"
    """Each notification is chosen by itself."""
    USER = "user"
    """Each person is chosen, and then gets the same version each time. Who becomes a user by the very send gets the published one with
    it.
    """

    def __str__(self) -> str:
        return str(self.value)


class Channel(str, enum.Enum):
    """A way to reach a person."""

    EMAIL = "email"
    """E-mail over SMTP."""
    PUSH = "push"
    """Push to the person's devices over Firebase Cloud Messaging."""

    def __str__(self) -> str:
        return str(self.value)


class Choice(str, enum.Enum):
    """What a person decided about a kind of notification."""

    ALLOW = "allow"
    """Send."""
    DENY = "deny"
    """Do not send, unless the template is mandatory."""
    INHERIT = "inherit"
    """Only in an update: remove the rule, so that the next wider one decides."""

    def __str__(self) -> str:
        return str(self.value)


class DeadLetterAction(str, enum.Enum):
    """What a reviewer did about a dead letter."""

    REQUEUED = "requeued"
    """Sent it on its way again."""
    DISCARDED = "discarded"
    """Gave it up."""
    NOTED = "noted"
    """Wrote a note."""
    VIEWED = "viewed"
    """Looked at the personal data in it."""

    def __str__(self) -> str:
        return str(self.value)


class DeadLetterCause(str, enum.Enum):
    """The class of a reason: what a reviewer has to look at. It follows from the reason alone and keeps its meaning while reasons come
    and go.
    """

    PROVIDER_PERMANENT = "provider_permanent"
    """The provider refused for good: SMTP 5yz, or FCM with a message that it can't carry."""
    PROVIDER_TRANSIENT = "provider_transient"
    """The provider failed at every attempt with an error that may pass: SMTP 4yz, connections, time-outs, quotas."""
    TEMPLATE = "template"
    """The template can't be rendered with these variables."""
    RECIPIENT = "recipient"
    """No one is reached at this address or device, or there is no such person."""
    BUS = "bus"
    """The bus gave the message up, or it could not be read."""
    UNKNOWN_OUTCOME = "unknown_outcome"
    """It may have been sent, and its template forbids sending it twice."""
    INTERNAL = "internal"
    """A defect of ours."""
    OTHER = "other"
    """None of these."""

    def __str__(self) -> str:
        return str(self.value)


class DeadLetterJobState(str, enum.Enum):
    """How far a job is."""

    RUNNING = "running"
    """Works its letters off, or waits for the broker."""
    DONE = "done"
    """Has dealt with every letter."""
    CANCELLED = "cancelled"
    """Was stopped; what was done by then stays done."""

    def __str__(self) -> str:
        return str(self.value)


class DeadLetterState(str, enum.Enum):
    """What a reviewer has decided."""

    OPEN = "open"
    """Waits for a decision."""
    REQUEUED = "requeued"
    """Was sent on its way again."""
    DISCARDED = "discarded"
    """Was given up."""

    def __str__(self) -> str:
        return str(self.value)


class DeadLetterView(str, enum.Enum):
    """How much of a dead letter is shown."""

    BASIC = "basic"
    """What is known of it, and its audit trail."""
    REDACTED = "redacted"
    """Also what would be sent, with the person's address and the values of all variables masked."""
    FULL = "full"
    """Also what would be sent, exactly. Personal data: it takes the scope `deadletters:content`, and that it was looked at goes into
    the audit trail.
    """

    def __str__(self) -> str:
        return str(self.value)


class DeliveryDecision(str, enum.Enum):
    """Says what becomes of a notification before it is sent."""

    SEND = "send"
    """It is sent."""
    SKIP = "skip"
    """It is not sent."""
    DEFER = "defer"
    """It waits until `EvaluateDeliveryResponse.defer_until`, and is decided anew then."""

    def __str__(self) -> str:
        return str(self.value)


class Fact(str, enum.Enum):
    """What became known of a notification after its provider took it. It changes no status."""

    DELIVERED = "delivered"
    """The mailbox has it."""
    HARD_BOUNCED = "hard_bounced"
    """It came back, since there is no such mailbox. The address gets no more mail."""
    SOFT_BOUNCED = "soft_bounced"
    """It came back for another reason, such as a full mailbox or a policy."""
    COMPLAINED = "complained"
    """The person reported it as unwanted. The address gets no more mail."""
    OPENED = "opened"
    """The person opened it, as far as the provider can see. Recorded only where a setting asks for it."""

    def __str__(self) -> str:
        return str(self.value)


class NotificationStatus(str, enum.Enum):
    """Where a notification is on its way."""

    SCHEDULED = "scheduled"
    """Accepted for a later time."""
    PENDING = "pending"
    """Accepted and stored; not yet on the bus."""
    QUEUED = "queued"
    """On the bus, waiting for a worker."""
    SENDING = "sending"
    """A worker is handing it to the provider."""
    RETRYING = "retrying"
    """An attempt failed for a reason that may pass; the next one is planned."""
    SENT = "sent"
    """The provider took it. Terminal."""
    FAILED = "failed"
    """It can't be delivered; a dead letter waits for review. Terminal unless a reviewer requeues it."""
    SKIPPED = "skipped"
    """A preference or suppression forbids it. Terminal."""
    CANCELLED = "cancelled"
    """Cancelled by its sender. Terminal."""
    EXPIRED = "expired"
    """Its time ran out before it could be delivered. Terminal."""

    def __str__(self) -> str:
        return str(self.value)


class OnUnknown(str, enum.Enum):
    """Says what happens to a delivery whose provider may or may not have taken it."""

    RESEND = "resend"
    """Send again with the same Message-ID or collapse key: the person may get it twice, never not at all."""
    HOLD = "hold"
    """Put it to manual review: the person never gets it twice."""

    def __str__(self) -> str:
        return str(self.value)


class Platform(str, enum.Enum):
    """The operating system of a device."""

    ANDROID = "android"
    """Android."""
    IOS = "ios"
    """IOS and iPadOS."""
    WEB = "web"
    """A browser."""

    def __str__(self) -> str:
        return str(self.value)


class Priority(str, enum.Enum):
    """Chooses the lane."""

    NORMAL = "normal"
    """The normal lane."""
    HIGH = "high"
    """The urgent lane, for what a person is waiting for, such as a one-time code."""

    def __str__(self) -> str:
        return str(self.value)


class ProblemSeverity(str, enum.Enum):
    """Says how soon someone should look."""

    NOTICE = "notice"
    """Something waits for a decision."""
    URGENT = "urgent"
    """Notifications are late, or fail."""

    def __str__(self) -> str:
        return str(self.value)


class QueueKind(str, enum.Enum):
    """What a queue is for."""

    WORK = "work"
    """Deliveries for the workers of a channel."""
    DELAY = "delay"
    """Deliveries that wait for their next attempt, or for a provider that can't be used now. Nothing consumes it: they leave it by
    time.
    """
    OUTCOMES = "outcomes"
    """What workers report, for the gateway."""
    FAILED = "failed"
    """What the bus has given up, for the gateway."""

    def __str__(self) -> str:
        return str(self.value)


class Role(str, enum.Enum):
    """Decides what a person's access token may do."""

    MEMBER = "member"
    """Reaches the person's own objects only."""
    ADMINISTRATOR = "administrator"
    """Holds every scope. Made from the environment at first start, never over the API."""

    def __str__(self) -> str:
        return str(self.value)


class SagaState(str, enum.Enum):
    """Where a saga is."""

    RUNNING = "running"
    """Its steps are being done."""
    COMPENSATING = "compensating"
    """What was done is being undone, since a step was refused."""
    COMPLETED = "completed"
    """Every step is done."""
    COMPENSATED = "compensated"
    """Everything that needed it is undone."""
    SUSPENDED = "suspended"
    """It failed too often to go on by itself and waits for a person."""

    def __str__(self) -> str:
        return str(self.value)


class SagaStepState(str, enum.Enum):
    """What became of a step."""

    PENDING = "pending"
    """Not done yet, or never reached."""
    DONE = "done"
    """Done. A step that needs no undoing stays so when the saga goes back past it."""
    FAILED = "failed"
    """Refused for good: the saga turned back here."""
    COMPENSATED = "compensated"
    """Undone."""

    def __str__(self) -> str:
        return str(self.value)


class ScheduledPublicationState(str, enum.Enum):
    """Says what became of a scheduled publication."""

    PLANNED = "planned"
    """It waits for its time."""
    PUBLISHED = "published"
    """The version was published at its time, or was in use already by then."""
    FAILED = "failed"
    """It could not be carried out at its time; `reason` says why."""
    CANCELLED = "cancelled"
    """Someone called it off."""
    REPLACED = "replaced"
    """Another plan took its place."""

    def __str__(self) -> str:
        return str(self.value)


class WebhookDeliveryState(str, enum.Enum):
    """Says what became of an event."""

    WAITING = "waiting"
    """It is tried again."""
    DELIVERED = "delivered"
    """The endpoint has answered with a status of 2xx."""
    FAILED = "failed"
    """Given up after three days."""

    def __str__(self) -> str:
        return str(self.value)


class WebhookEndpointState(str, enum.Enum):
    """Says whether an endpoint gets events."""

    ENABLED = "enabled"
    """It gets events."""
    DISABLED = "disabled"
    """Its owner has switched it off."""
    PAUSED = "paused"
    """It has failed for three days and got nothing since. What it has missed is kept as long as the feed of changes keeps it."""
    GONE = "gone"
    """It has answered 410."""

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class ActivityCounts:
    """Numbers of notifications. One that fails, is requeued and sent counts as failed and as sent."""

    accepted: int = stored(default=0, metadata={"read": v.integer})
    """Accepted."""
    sent: int = stored(default=0, metadata={"read": v.integer})
    """Taken by a provider."""
    failed: int = stored(default=0, metadata={"read": v.integer})
    """Given up."""
    skipped: int = stored(default=0, metadata={"read": v.integer})
    """Not sent because their person, an address or a limit did not want it."""
    expired: int = stored(default=0, metadata={"read": v.integer})
    """Whose time ran out before they could be sent."""
    cancelled: int = stored(default=0, metadata={"read": v.integer})
    """Cancelled by their sender."""
    delivered: int = stored(default=0, metadata={"read": v.integer})
    """Known to have arrived."""
    bounced: int = stored(default=0, metadata={"read": v.integer})
    """Sent and come back."""
    complained: int = stored(default=0, metadata={"read": v.integer})
    """Reported as unwanted."""
    opened: int = stored(default=0, metadata={"read": v.integer})
    """Opened, where that is reported."""


@dataclass(frozen=True)
class ActivityPoint:
    """One part of the span."""

    start_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it begins."""
    counts: ActivityCounts | None = stored(default=None, metadata={"read": v.message(lambda: ActivityCounts)})
    """What happened in it."""
    latency: Latency | None = stored(default=None, metadata={"read": v.message(lambda: Latency)})
    """Unset where nothing was sent."""


@dataclass(frozen=True)
class Addressee:
    """Someone who need not be a user yet, by an e-mail address or a device. Where no user of the project has it, one is made with it,
    so that suppressions, preferences, limits and erasure hold for them as for everyone; of a user who exists, name, language and
    time zone stay as they are.
    """

    email: str = stored(default="", metadata={"read": v.same})
    """The e-mail address, for the channel email."""
    name: str = stored(default="", metadata={"read": v.same})
    """The display name of a new user."""
    locale: str = stored(default="", metadata={"read": v.same})
    """The BCP 47 language tag of a new user; "en" when empty."""
    timezone: str = stored(default="", metadata={"read": v.same})
    """The IANA time zone of a new user; "UTC" when empty."""
    device_token: str = stored(default="", metadata={"read": v.same})
    """The FCM registration token of a device, for the channel push: it goes to this device and to no other one of its user. One that
    the push provider has reported as gone is not tried again, until an app registers it (CreateDevice).
    """
    platform: Platform | None = stored(default=None, metadata={"read": v.member(Platform)})
    """The operating system of a new device."""


@dataclass(frozen=True)
class ApiKey:
    """Lets a program call Clarion."""

    id: str = stored(default="", metadata={"read": v.same})
    """UUIDv7, made by the server."""
    name: str = stored(default="", metadata={"read": v.same})
    """What the key is for, as its maker put it."""
    prefix: str = stored(default="", metadata={"read": v.same})
    """First characters of the key, to recognise it by, such as "clk_live_4fGh"."""
    scopes: tuple[str, ...] = stored(default=(), metadata={"read": v.many(v.same)})
    """What the key may do, such as "notifications:send"."""
    create_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When the key was created."""
    expire_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When the key stops working; unset means never."""
    created_by: str = stored(default="", metadata={"read": v.same})
    """The id of the person or key that made it; "environment" for the first one of a database. Revoking or deleting the maker revokes
    the key.
    """
    revoke_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When the key was revoked; unset while it works."""
    project: str = stored(default="", metadata={"read": v.same})
    """The project that the key reaches, and no other."""
    test: bool = stored(default=False, metadata={"read": v.same})
    """True for a test key (clk_test_…): what it sends reaches no provider."""
    restrictions: KeyRestrictions | None = stored(default=None, metadata={"read": v.message(lambda: KeyRestrictions)})
    """What it is narrowed to; unset for a key that is not."""


@dataclass(frozen=True)
class AssignRoleResponse:
    """Answers AssignRole."""

    user_id: str = stored(default="", metadata={"read": v.same})
    """Our id of the person."""
    role: str = stored(default="", metadata={"read": v.same})
    """The role that they have now; empty for none."""


@dataclass(frozen=True)
class AttachedFile:
    """A file that a mail carries: its content, or the id of one that is kept already."""

    filename: str = stored(default="", metadata={"read": v.same})
    """What it is called in the mail, such as "invoice-4711.pdf"."""
    content_type: str = stored(default="", metadata={"read": v.same})
    """Its media type, such as "application/pdf" or "text/calendar; method=REQUEST" (an invitation, which mail programs show as such);
    by the ending of `filename` when empty.
    """
    content: bytes = stored(default=b"", metadata={"read": v.data})
    """Its content, at most 512 KiB. A larger one, or one for many mails, is kept first with CreateAttachment."""
    attachment_id: str = stored(default="", metadata={"read": v.same})
    """The id of an attachment that is kept, in place of `content`."""
    content_id: str = stored(default="", metadata={"read": v.same})
    """For a picture in the text: the HTML shows it as `<img src="cid:logo">` where this is "logo"."""


@dataclass(frozen=True)
class Attachment:
    """A file that mails can carry."""

    id: str = stored(default="", metadata={"read": v.same})
    """SHA-256 of its content, in hexadecimal."""
    size_bytes: int = stored(default=0, metadata={"read": v.integer})
    """Its size in bytes."""
    expire_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """Until when it is kept at least, where no notification uses it longer."""


@dataclass(frozen=True)
class AuditEvent:
    """An entry of the audit log. It holds ids, and no addresses, names of people or secrets."""

    id: str = stored(default="", metadata={"read": v.same})
    """Its id."""
    time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it happened, by the database's clock."""
    kind: AuditEventKind | None = stored(default=None, metadata={"read": v.member(AuditEventKind)})
    """What happened."""
    actor: str = stored(default="", metadata={"read": v.same})
    """Who did it: `user:<id>`, `api_key:<id>`, `service:<name>`, `anonymous:anonymous` for who has not signed in, `environment` for
    what a start-up does.
    """
    subject: str = stored(default="", metadata={"read": v.same})
    """What it was done to: `user:<id>`, `api_key:<id>`, `category:<id>`, `role:<id>`, `project:<id>`, `sender:<name>`,
    `sender_domain:<domain>`, `template:<name>`, or nothing.
    """
    details: Mapping[str, str] = stored(default_factory=dict, metadata={"read": v.table(v.same)})
    """More about it, by kind."""
    correlation_id: str = stored(default="", metadata={"read": v.same})
    """The correlation id of the call."""


@dataclass(frozen=True)
class BatchSendNotificationsResponse:
    """Answers BatchSendNotifications."""

    results: tuple[BatchSendResult, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: BatchSendResult))})
    """One result per item, in the same order."""
    accepted_count: int = stored(default=0, metadata={"read": v.integer})
    """How many were accepted."""


@dataclass(frozen=True)
class BatchSendResult:
    """The outcome of one item."""

    accepted: SendNotificationResponse | None = stored(default=None, metadata={"read": v.message(lambda: SendNotificationResponse)})
    """The item was accepted."""
    error: Mapping[str, Any] | None = stored(default=None, metadata={"read": v.same})
    """The item was refused, as SendNotification would have."""


@dataclass(frozen=True)
class BatchUpsertUsersResponse:
    """Answers BatchUpsertUsers."""

    results: tuple[UpsertResult, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: UpsertResult))})
    """One result per person, in the same order."""
    written_count: int = stored(default=0, metadata={"read": v.integer})
    """How many are as asked for."""


@dataclass(frozen=True)
class BeginSecondFactorResponse:
    """Answers BeginSecondFactor."""

    secret: str = stored(default="", metadata={"read": v.same})
    """The secret in base32, to be typed in."""
    otpauth_uri: str = stored(default="", metadata={"read": v.same})
    """The same as an address that authenticator apps open, or read as a QR code."""


@dataclass(frozen=True)
class BeginSignInResponse:
    """Answers BeginSignIn."""

    authorization_url: str = stored(default="", metadata={"read": v.same})
    """Where to send the browser."""
    flow: str = stored(default="", metadata={"read": v.same})
    """What the same browser keeps, and shows to no one else, until it is back."""


@dataclass(frozen=True)
class Brand:
    """How a project looks on the pages that people open from its mails."""

    name: str = stored(default="", metadata={"read": v.same})
    """What people know the project as, such as "Lovelace Books"; empty means the project's `display_name`."""
    color: str = stored(default="", metadata={"read": v.same})
    """The colour of buttons, such as "#1a4fa0". It needs a contrast of 4.5 to 1 with white (WCAG 2.2, 1.4.3), since their text is
    white.
    """
    logo: str = stored(default="", metadata={"read": v.same})
    """A PNG, JPEG, GIF or WebP picture of at most 48 KiB as a `data:` URI (RFC 2397). Pages contain it, so that opening one asks no
    other server for anything.
    """
    home_url: str = stored(default="", metadata={"read": v.same})
    """Where the name leads, an `https://` address; empty means nowhere."""
    update_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was last changed; unset when it never was."""
    etag: str = stored(default="", metadata={"read": v.same})
    """Stands for this state (AIP-154). Over REST it is the ETag."""


@dataclass(frozen=True)
class Breaker:
    """Holds calls to a provider back while it fails. All workers share it."""

    name: str = stored(default="", metadata={"read": v.same})
    """The provider, such as "smtp.primary" or "fcm"."""
    state: BreakerState | None = stored(default=None, metadata={"read": v.member(BreakerState)})
    """Whether calls are made."""
    failures: int = stored(default=0, metadata={"read": v.integer})
    """Failures in a row so far."""
    retry_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When an open breaker lets a probe through; unset when it is not open, or open without an end."""
    change_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When the state changed last; unset when it never did."""
    force: BreakerForce | None = stored(default=None, metadata={"read": v.member(BreakerForce)})
    """What an operator wants of it; AUTO when no operator wants anything."""
    force_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When an operator said so; unset with AUTO."""
    force_expire_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """Until when that holds; unset with AUTO, and for a wish without an end."""
    forced_by: str = stored(default="", metadata={"read": v.same})
    """Who said so, such as "api_key:0190b1f0-0000-7000-8000-000000000001"."""
    note: str = stored(default="", metadata={"read": v.same})
    """What that operator noted."""
    seen_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When a worker last asked for it; one that none asks for any more has no provider behind it."""


@dataclass(frozen=True)
class BulkSendResult:
    """The outcome of one item."""

    request_id: str = stored(default="", metadata={"read": v.same})
    """The item's `request_id`."""
    accepted: SendNotificationResponse | None = stored(default=None, metadata={"read": v.message(lambda: SendNotificationResponse)})
    """The item was accepted."""
    error: Mapping[str, Any] | None = stored(default=None, metadata={"read": v.same})
    """The item was refused, as SendNotification would have."""


@dataclass(frozen=True)
class Canary:
    """That a share of a template's notifications gets a version that is not published."""

    template: str = stored(default="", metadata={"read": v.same})
    """The template's name."""
    version: int = stored(default=0, metadata={"read": v.integer})
    """The version that the share gets."""
    percent: int = stored(default=0, metadata={"read": v.integer})
    """The share, in percent."""
    unit: CanaryUnit | None = stored(default=None, metadata={"read": v.member(CanaryUnit)})
    """What it is a share of."""
    note: str = stored(default="", metadata={"read": v.same})
    """Why, in the words of who started it."""
    published_version: int = stored(default=0, metadata={"read": v.integer})
    """The version that the rest gets: the published one, or the one that was when the canary ended."""
    state: CanaryState | None = stored(default=None, metadata={"read": v.member(CanaryState)})
    """Whether it goes on."""
    started_by: str = stored(default="", metadata={"read": v.same})
    """Who started it, such as "user:01968b5e-…" or "api_key:01968b5e-…"."""
    start_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When."""
    end_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it ended; absent while it runs."""
    ended_by: str = stored(default="", metadata={"read": v.same})
    """Who ended it; empty while it runs."""


@dataclass(frozen=True)
class CapturedAttachment:
    """A file of a mail, without its content."""

    filename: str = stored(default="", metadata={"read": v.same})
    """What it is called."""
    content_type: str = stored(default="", metadata={"read": v.same})
    """Its media type."""
    attachment_id: str = stored(default="", metadata={"read": v.same})
    """SHA-256 of its content, in hexadecimal."""
    size_bytes: int = stored(default=0, metadata={"read": v.integer})
    """Its size in bytes."""
    content_id: str = stored(default="", metadata={"read": v.same})
    """How the HTML names it; empty for none."""


@dataclass(frozen=True)
class CapturedMessage:
    """What the sandbox got in place of a provider. It is kept for a day."""

    notification_id: str = stored(default="", metadata={"read": v.same})
    """Id of the notification."""
    channel: Channel | None = stored(default=None, metadata={"read": v.member(Channel)})
    """Its channel."""
    email: str = stored(default="", metadata={"read": v.same})
    """E-mail: the address."""
    device_ids: tuple[str, ...] = stored(default=(), metadata={"read": v.many(v.same)})
    """Push: ids of the devices."""
    locale: str = stored(default="", metadata={"read": v.same})
    """The locale of the text."""
    content: Content | None = stored(default=None, metadata={"read": v.message(lambda: Content)})
    """The finished text."""
    attempt: int = stored(default=0, metadata={"read": v.integer})
    """The attempt that the sandbox got last, from 1."""
    answer: str = stored(default="", metadata={"read": v.same})
    """What the sandbox answered: "delivered", or a reason such as SMTP_451."""
    time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When that was."""
    locale_chain: tuple[str, ...] = stored(default=(), metadata={"read": v.many(v.same)})
    """The locales that were looked for, in order; only the last, that of the text, was there."""
    sender: MessageSender | None = stored(default=None, metadata={"read": v.message(lambda: MessageSender)})
    """E-mail: from whom it is; absent for the installation's own sender."""
    attachments: tuple[CapturedAttachment, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: CapturedAttachment))})
    """E-mail: the files that it carries."""


@dataclass(frozen=True)
class Category:
    """A kind of notification that people can decide about. Notifications may name one that was never created: people can refuse that
    too, and it has no limit.
    """

    id: str = stored(default="", metadata={"read": v.same})
    """Chosen by its maker, such as "billing". It never changes."""
    texts: Mapping[str, CategoryText] = stored(default_factory=dict, metadata={"read": v.table(v.message(lambda: CategoryText))})
    """What people read, by BCP 47 tag; at most 100."""
    mandatory: bool = stored(default=False, metadata={"read": v.same})
    """True for what is sent whatever people prefer and at any hour, such as notices that the law demands. It can't be refused."""
    limit: FrequencyLimit | None = stored(default=None, metadata={"read": v.message(lambda: FrequencyLimit)})
    """Unset means no limit. Mandatory notifications have none and count for none."""
    create_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was created."""
    update_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was last changed."""
    etag: str = stored(default="", metadata={"read": v.same})
    """Stands for this state (AIP-154). Over REST it is the ETag."""


@dataclass(frozen=True)
class CategoryText:
    """What people read of a category."""

    name: str = stored(default="", metadata={"read": v.same})
    """Such as "Invoices and payments"."""
    description: str = stored(default="", metadata={"read": v.same})
    """Such as "What you owe, and receipts"."""


@dataclass(frozen=True)
class Change:
    """Says that a notification has a new status, has begun another attempt, or that a fact about it became known. It holds no personal
    data beyond ids and the sender's labels.
    """

    cursor: str = stored(default="", metadata={"read": v.same})
    """Where it stands in the feed. A reader that gives it back goes on behind it."""
    notification_id: str = stored(default="", metadata={"read": v.same})
    """The notification."""
    status: NotificationStatus | None = stored(default=None, metadata={"read": v.member(NotificationStatus)})
    """Its status from then on."""
    reason: str = stored(default="", metadata={"read": v.same})
    """Why, in UPPER_SNAKE; empty where there is nothing to say."""
    attempt: int = stored(default=0, metadata={"read": v.integer})
    """The attempt, from 1; 0 before the first."""
    run: int = stored(default=0, metadata={"read": v.integer})
    """How often a reviewer had requeued it by then."""
    time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When that was."""
    user_id: str = stored(default="", metadata={"read": v.same})
    """The person."""
    channel: Channel | None = stored(default=None, metadata={"read": v.member(Channel)})
    """The channel."""
    template: str = stored(default="", metadata={"read": v.same})
    """The template."""
    category: str = stored(default="", metadata={"read": v.same})
    """The category."""
    metadata: Mapping[str, str] = stored(default_factory=dict, metadata={"read": v.table(v.same)})
    """The sender's labels."""
    correlation_id: str = stored(default="", metadata={"read": v.same})
    """Ties together the logs, spans and messages of the request that it came from."""
    test: bool = stored(default=False, metadata={"read": v.same})
    """True for one that a test key has sent: it reached no provider."""
    fact: Fact | None = stored(default=None, metadata={"read": v.member(Fact)})
    """What became known after it was sent; then the status is the one that it keeps. Unset for a change of status."""


@dataclass(frozen=True)
class ChangeEmailResponse:
    """Answers ChangeEmail; it is empty."""


@dataclass(frozen=True)
class ChangePasswordResponse:
    """Answers ChangePassword with the new session."""

    access_token: str = stored(default="", metadata={"read": v.same})
    """JWT (EdDSA) for the Authorization header."""
    token_type: str = stored(default="", metadata={"read": v.same})
    """Always "Bearer"."""
    expires_in: int = stored(default=0, metadata={"read": v.integer})
    """Seconds until the access token expires."""
    refresh_token: str = stored(default="", metadata={"read": v.same})
    """Opaque token for Refresh."""
    user_id: str = stored(default="", metadata={"read": v.same})
    """The person."""


@dataclass(frozen=True)
class CompleteSignInResponse:
    """Answers CompleteSignIn."""

    access_token: str = stored(default="", metadata={"read": v.same})
    """JWT (EdDSA) for the Authorization header."""
    token_type: str = stored(default="", metadata={"read": v.same})
    """Always "Bearer"."""
    expires_in: int = stored(default=0, metadata={"read": v.integer})
    """Seconds until the access token expires."""
    refresh_token: str = stored(default="", metadata={"read": v.same})
    """Opaque token for Refresh."""
    user_id: str = stored(default="", metadata={"read": v.same})
    """The person."""


@dataclass(frozen=True)
class ConfirmSecondFactorResponse:
    """Answers ConfirmSecondFactor."""

    recovery_codes: tuple[str, ...] = stored(default=(), metadata={"read": v.many(v.same)})
    """Each stands in for a code of the app, once."""


@dataclass(frozen=True)
class Content:
    """The text of one version in one locale: Jinja2 source when it is stored, the finished text when it is rendered. docs/templates.md
    says which part of Jinja2 is available. A finished part has at most 256 KiB, a finished push 4096 bytes.
    """

    subject: str = stored(default="", metadata={"read": v.same})
    """E-mail: subject line. Required for e-mail. Line breaks in the finished text become spaces."""
    html: str = stored(default="", metadata={"read": v.same})
    """E-mail: HTML part; variables are escaped. At least one of `mjml`, `html` and `text` is required for e-mail. The rules of its
    `style` elements are put into the elements that they are for.
    """
    text: str = stored(default="", metadata={"read": v.same})
    """E-mail: plain text part; made of the HTML when it is empty."""
    title: str = stored(default="", metadata={"read": v.same})
    """Push: title. Required for push. Line breaks in the finished text become spaces."""
    body: str = stored(default="", metadata={"read": v.same})
    """Push: body. Required for push."""
    data: Mapping[str, str] = stored(default_factory=dict, metadata={"read": v.table(v.same)})
    """Push: key-value data for the app; values are templates too. Keys that FCM reserves ("from", "google…", "gcm…") are refused."""
    image: str = stored(default="", metadata={"read": v.same})
    """Push: https URL of a picture; may be a template."""
    android: Mapping[str, Any] | None = stored(default=None, metadata={"read": v.same})
    """Push: what Android devices get besides, as FCM v1's AndroidConfig with FCM's own field names, such as {"notification":
    {"channel_id": "orders", "click_action": "OPEN_ORDER"}}. Strings are templates; a finished text in the place of a number or a
    boolean becomes one. Unknown fields and values of the wrong kind are refused when the version is made.
    """
    apns: Mapping[str, Any] | None = stored(default=None, metadata={"read": v.same})
    """Push: what Apple devices get besides, as FCM v1's ApnsConfig, such as {"payload": {"aps": {"badge": "{{ unread }}", "sound":
    "default", "thread-id": "orders", "mutable-content": 1}}}.
    """
    webpush: Mapping[str, Any] | None = stored(default=None, metadata={"read": v.same})
    """Push: what browsers get besides, as FCM v1's WebpushConfig, such as {"fcm_options": {"link": "https://example.com/{{ order }}"}}.
    """
    mjml: str = stored(default="", metadata={"read": v.same})
    """E-mail: MJML in place of `html`, which is made of it when the version is created."""


@dataclass(frozen=True)
class CreateApiKeyResponse:
    """Answers CreateApiKey."""

    api_key: ApiKey | None = stored(default=None, metadata={"read": v.message(lambda: ApiKey)})
    """The key's description."""
    secret: str = stored(default="", metadata={"read": v.same})
    """The key itself. It is shown this once and kept only as a hash."""


@dataclass(frozen=True)
class CreatePreferenceLinkResponse:
    """Holds the link."""

    path: str = stored(default="", metadata={"read": v.same})
    """Path of the page, such as "/preferences/Zm9v": put the public address of the gateways before it."""


@dataclass(frozen=True)
class CreateRecoveryCodesResponse:
    """Answers CreateRecoveryCodes."""

    recovery_codes: tuple[str, ...] = stored(default=(), metadata={"read": v.many(v.same)})
    """Each stands in for a code of the app, once. Those before are worth nothing any more."""


@dataclass(frozen=True)
class CreateWebhookEndpointResponse:
    """Answers CreateWebhookEndpoint."""

    webhook_endpoint: WebhookEndpoint | None = stored(default=None, metadata={"read": v.message(lambda: WebhookEndpoint)})
    """The new endpoint."""
    secret: str = stored(default="", metadata={"read": v.same})
    """Begins with "whsec_". It is kept sealed and not shown again."""


@dataclass(frozen=True)
class DeadLetter:
    """A notification that could not be delivered and waits for a person to decide."""

    notification_id: str = stored(default="", metadata={"read": v.same})
    """The notification."""
    user_id: str = stored(default="", metadata={"read": v.same})
    """The person it was for."""
    channel: Channel | None = stored(default=None, metadata={"read": v.member(Channel)})
    """Its channel."""
    template: str = stored(default="", metadata={"read": v.same})
    """Its template."""
    state: DeadLetterState | None = stored(default=None, metadata={"read": v.member(DeadLetterState)})
    """What a reviewer has decided."""
    reason: str = stored(default="", metadata={"read": v.same})
    """Why it failed, in UPPER_SNAKE, such as "SMTP_550"."""
    detail: str = stored(default="", metadata={"read": v.same})
    """The provider's last reply, without addresses."""
    attempts: int = stored(default=0, metadata={"read": v.integer})
    """Tries that were made."""
    create_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it failed."""
    resolve_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was decided; unset while it is open."""
    resolved_by: str = stored(default="", metadata={"read": v.same})
    """Who decided."""
    note: str = stored(default="", metadata={"read": v.same})
    """What the reviewer noted."""
    correlation_id: str = stored(default="", metadata={"read": v.same})
    """Ties together the logs, spans and messages of the request."""
    cause: DeadLetterCause | None = stored(default=None, metadata={"read": v.member(DeadLetterCause)})
    """The class of its reason."""
    run: int = stored(default=0, metadata={"read": v.integer})
    """The run that failed: 0 at first, one more with each requeue."""
    audit: tuple[DeadLetterAudit, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: DeadLetterAudit))})
    """Who did what, oldest first. In single reads only."""
    preview: DeadLetterPreview | None = stored(default=None, metadata={"read": v.message(lambda: DeadLetterPreview)})
    """What would be sent now. In single reads only, as far as the view asks for it."""


@dataclass(frozen=True)
class DeadLetterAudit:
    """One thing that a reviewer did about a dead letter."""

    time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When."""
    action: DeadLetterAction | None = stored(default=None, metadata={"read": v.member(DeadLetterAction)})
    """What."""
    actor_kind: str = stored(default="", metadata={"read": v.same})
    """The kind of caller: "user", "api_key" or "service"."""
    actor_id: str = stored(default="", metadata={"read": v.same})
    """The caller's id."""
    note: str = stored(default="", metadata={"read": v.same})
    """What they noted."""
    run: int = stored(default=0, metadata={"read": v.integer})
    """The run that had failed by then."""
    job_id: str = stored(default="", metadata={"read": v.same})
    """The job that did it for them; empty when they did it themselves."""
    changed: tuple[str, ...] = stored(default=(), metadata={"read": v.many(v.same)})
    """What they changed on requeue: "user_id", "email"."""
    former_user_id: str = stored(default="", metadata={"read": v.same})
    """The person it was for until then, where that was changed."""
    redirected_to: str = stored(default="", metadata={"read": v.same})
    """The address that it was sent to instead, masked, such as a***@example.com."""


@dataclass(frozen=True)
class DeadLetterFilter:
    """Says which open dead letters are meant. What is set must all hold."""

    cause: DeadLetterCause | None = stored(default=None, metadata={"read": v.member(DeadLetterCause)})
    """Only those of this class."""
    reason: str = stored(default="", metadata={"read": v.same})
    """Only those that failed for this reason."""
    channel: Channel | None = stored(default=None, metadata={"read": v.member(Channel)})
    """Only those of this channel."""
    template: str = stored(default="", metadata={"read": v.same})
    """Only those of this template."""
    created_after: datetime | None = stored(default=None, metadata={"read": v.time})
    """Only those that failed at this time or later."""
    created_before: datetime | None = stored(default=None, metadata={"read": v.time})
    """Only those that failed before this time."""


@dataclass(frozen=True)
class DeadLetterJob:
    """A decision about many dead letters, worked off in the background. It goes on after a crash and decides each letter at most once."""

    id: str = stored(default="", metadata={"read": v.same})
    """Its id."""
    action: DeadLetterAction | None = stored(default=None, metadata={"read": v.member(DeadLetterAction)})
    """What it does: REQUEUED or DISCARDED."""
    state: DeadLetterJobState | None = stored(default=None, metadata={"read": v.member(DeadLetterJobState)})
    """How far it is."""
    filter: DeadLetterFilter | None = stored(default=None, metadata={"read": v.message(lambda: DeadLetterFilter)})
    """Which letters were asked for."""
    rate_per_s: int = stored(default=0, metadata={"read": v.integer})
    """Letters per second, at most."""
    note: str = stored(default="", metadata={"read": v.same})
    """What the reviewer noted."""
    created_by: str = stored(default="", metadata={"read": v.same})
    """Who asked for it."""
    create_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was asked for."""
    finish_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it ended; unset while it runs."""
    total_count: int = stored(default=0, metadata={"read": v.integer})
    """Letters that the filter found when the job was made."""
    done_count: int = stored(default=0, metadata={"read": v.integer})
    """Letters that it has decided so far."""
    skipped_count: int = stored(default=0, metadata={"read": v.integer})
    """Letters that it could not decide, since another reviewer had or there is nothing left to send."""
    skipped_reasons: Mapping[str, int] = stored(default_factory=dict, metadata={"read": v.table(v.integer)})
    """How many were skipped why. In single reads only."""


@dataclass(frozen=True)
class DeadLetterPreview:
    """What a requeue would send, as templates, preferences and addresses are now."""

    redacted: bool = stored(default=False, metadata={"read": v.same})
    """True when address and values are masked."""
    recipient: str = stored(default="", metadata={"read": v.same})
    """E-mail: where it would go, such as a***@example.com."""
    recipient_edited: bool = stored(default=False, metadata={"read": v.same})
    """True when a reviewer has set that address for this notification."""
    devices: int = stored(default=0, metadata={"read": v.integer})
    """Push: the number of devices that it would go to."""
    decision: str = stored(default="", metadata={"read": v.same})
    """Whether it would be sent: "send", or "skip" or "not_found" as the rule says."""
    rule: str = stored(default="", metadata={"read": v.same})
    """The rule that decided, such as "default" or "suppression:bounce"."""
    locale: str = stored(default="", metadata={"read": v.same})
    """The locale that would be used."""
    content: Content | None = stored(default=None, metadata={"read": v.message(lambda: Content)})
    """The finished text."""
    variables: Mapping[str, Any] | None = stored(default=None, metadata={"read": v.same})
    """The variables; masked values keep their kind, so that lists keep their length and numbers become 0."""
    problem: str = stored(default="", metadata={"read": v.same})
    """Why there is no recipient or no content, in UPPER_SNAKE; empty when all is there. RENDER_FAILED in a redacted view may mean that
    the template needs the values.
    """


@dataclass(frozen=True)
class DeleteAddressResponse:
    """Answers DeleteAddress; it is empty."""


@dataclass(frozen=True)
class DeleteApiKeyResponse:
    """Answers DeleteApiKey; it is empty."""


@dataclass(frozen=True)
class DeleteCategoryResponse:
    """Answers DeleteCategory; it is empty."""


@dataclass(frozen=True)
class DeleteDeviceResponse:
    """Answers DeleteDevice; it is empty."""


@dataclass(frozen=True)
class DeletePartialResponse:
    """Answers DeletePartial; it is empty."""


@dataclass(frozen=True)
class DeleteProjectResponse:
    """Answers DeleteProject."""

    saga_id: str = stored(default="", metadata={"read": v.same})
    """The saga that erases the project (SagaService.GetSaga)."""
    completed: bool = stored(default=False, metadata={"read": v.same})
    """Whether everything is done. False when the deadline came first: the saga goes on."""


@dataclass(frozen=True)
class DeleteRoleResponse:
    """Answers DeleteRole; it is empty."""


@dataclass(frozen=True)
class DeleteSenderDomainResponse:
    """Answers DeleteSenderDomain; it is empty."""


@dataclass(frozen=True)
class DeleteSenderResponse:
    """Answers DeleteSender; it is empty."""


@dataclass(frozen=True)
class DeleteSessionResponse:
    """Answers DeleteSession."""

    ended_count: int = stored(default=0, metadata={"read": v.integer})
    """How many sessions have ended."""


@dataclass(frozen=True)
class DeleteSuppressionResponse:
    """Answers DeleteSuppression; it is empty."""


@dataclass(frozen=True)
class DeleteTemplateResponse:
    """Answers DeleteTemplate; it is empty."""


@dataclass(frozen=True)
class DeleteUserResponse:
    """Answers DeleteUser."""

    saga_id: str = stored(default="", metadata={"read": v.same})
    """Over the gateway, the saga that erases the person (SagaService.GetSaga)."""
    completed: bool = stored(default=False, metadata={"read": v.same})
    """Whether everything is done. False when the deadline came first: the saga goes on."""


@dataclass(frozen=True)
class DeleteWebhookEndpointResponse:
    """Answers DeleteWebhookEndpoint; it is empty."""


@dataclass(frozen=True)
class DeliveryPolicy:
    """What holds for all people of a project who have not chosen otherwise."""

    rules: tuple[PreferenceRule, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: PreferenceRule))})
    """The rules, at most 200. A rule that refuses a category makes it one that people have to ask for."""
    quiet_hours: QuietHours | None = stored(default=None, metadata={"read": v.message(lambda: QuietHours)})
    """Unset means none."""
    update_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was last changed; unset when it never was."""
    etag: str = stored(default="", metadata={"read": v.same})
    """Stands for this state (AIP-154). Over REST it is the ETag."""


@dataclass(frozen=True)
class Device:
    """An app installation that can receive a person's push notifications."""

    id: str = stored(default="", metadata={"read": v.same})
    """UUIDv7, made by the server."""
    user_id: str = stored(default="", metadata={"read": v.same})
    """The person the device belongs to."""
    token: str = stored(default="", metadata={"read": v.same})
    """FCM registration token, at most 4,096 characters. Input only: it is never returned."""
    platform: Platform | None = stored(default=None, metadata={"read": v.member(Platform)})
    """Operating system."""
    token_suffix: str = stored(default="", metadata={"read": v.same})
    """Last characters of the token, to distinguish devices. Output only."""
    create_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When the device was registered. Output only."""
    remove_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When the push provider reported its token as gone, or it had to yield to a newer device; unset for one that is reached.
    Registering the same token restores it. Output only.
    """
    remove_reason: str = stored(default="", metadata={"read": v.same})
    """The provider's reason, such as "UNREGISTERED", or TOO_MANY_DEVICES. Output only."""
    app: str = stored(default="", metadata={"read": v.same})
    """The app that was installed there, in your words, such as "com.example.shop". Empty where it was not given."""
    last_seen_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was registered last. Output only."""


@dataclass(frozen=True)
class DeviceResult:
    """The outcome for one device."""

    device_id: str = stored(default="", metadata={"read": v.same})
    """The device's id."""
    accepted: bool = stored(default=False, metadata={"read": v.same})
    """True when the provider took the message."""
    reason: str = stored(default="", metadata={"read": v.same})
    """Why not, in UPPER_SNAKE, such as "UNREGISTERED"."""


@dataclass(frozen=True)
class DnsRecord:
    """What the owner of a domain adds to it."""

    name: str = stored(default="", metadata={"read": v.same})
    """Its full name, such as "clarion-3f9c1a2b._domainkey.example.com"."""
    type: str = stored(default="", metadata={"read": v.same})
    """Its type; always "TXT"."""
    value: str = stored(default="", metadata={"read": v.same})
    """Its value, as one text. DNS holds it in pieces of at most 255 characters, which most providers make by themselves."""


@dataclass(frozen=True)
class EvaluateDeliveryResponse:
    """Answers EvaluateDelivery."""

    decision: DeliveryDecision | None = stored(default=None, metadata={"read": v.member(DeliveryDecision)})
    """What would become of it."""
    rule: str = stored(default="", metadata={"read": v.same})
    """The rule that decides, such as "default", "mandatory", "preference:email:billing", "policy:*:news", "quiet_hours:22:00-07:30",
    "limit:news:3/86400s", "suppression:bounce", "suppression:complaint:news", "no_address", "no_device" or
    "key_restricted:recipient_domains".
    """
    defer_until: datetime | None = stored(default=None, metadata={"read": v.time})
    """DELIVERY_DECISION_DEFER: until when."""
    channel: Channel | None = stored(default=None, metadata={"read": v.member(Channel)})
    """The template's channel."""
    category: str = stored(default="", metadata={"read": v.same})
    """The category that counts."""


@dataclass(frozen=True)
class ExportPersonalDataResponse:
    """One item."""

    user: User | None = stored(default=None, metadata={"read": v.message(lambda: User)})
    """The person."""
    preferences: Preferences | None = stored(default=None, metadata={"read": v.message(lambda: Preferences)})
    """What they have chosen."""
    device: Device | None = stored(default=None, metadata={"read": v.message(lambda: Device)})
    """A device, also a removed one. Its token is held and not shown: it opens a way to the device."""
    suppression: Suppression | None = stored(default=None, metadata={"read": v.message(lambda: Suppression)})
    """Why their address gets no mail."""
    notification: PersonalNotification | None = stored(default=None, metadata={"read": v.message(lambda: PersonalNotification)})
    """A notification to them."""
    identity: Identity | None = stored(default=None, metadata={"read": v.message(lambda: Identity)})
    """Who they are at an issuer."""
    address: UserAddress | None = stored(default=None, metadata={"read": v.message(lambda: UserAddress)})
    """An address beside the person's `email`, also one that is not verified yet."""


@dataclass(frozen=True)
class Finding:
    """Something in a version that had better be otherwise; it does not keep the version from being used."""

    rule: str = stored(default="", metadata={"read": v.same})
    """The rule, such as "image-without-alt"; docs/templates.md lists them."""
    field: str = stored(default="", metadata={"read": v.same})
    """The field, such as "contents.en.html"."""
    line: int = stored(default=0, metadata={"read": v.integer})
    """The line in it, from 1."""
    description: str = stored(default="", metadata={"read": v.same})
    """What is the matter and what to do."""


@dataclass(frozen=True)
class FrequencyLimit:
    """How many notifications of a category a person gets."""

    count: int = stored(default=0, metadata={"read": v.integer})
    """How many at most."""
    window: timedelta | None = stored(default=None, metadata={"read": v.duration})
    """In which time, 1 minute to 31 days. It slides: it ends now, always."""


@dataclass(frozen=True)
class GetActivityResponse:
    """Answers GetActivity."""

    start_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """The beginning as it was counted."""
    end_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """The end as it was counted."""
    step: timedelta | None = stored(default=None, metadata={"read": v.duration})
    """How long each point stands for."""
    totals: ActivityCounts | None = stored(default=None, metadata={"read": v.message(lambda: ActivityCounts)})
    """All of the span."""
    latency: Latency | None = stored(default=None, metadata={"read": v.message(lambda: Latency)})
    """All of the span; unset where nothing was sent."""
    points: tuple[ActivityPoint, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: ActivityPoint))})
    """The span over time, oldest first, without gaps."""
    templates: tuple[TemplateActivity, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: TemplateActivity))})
    """The templates of which most was accepted or ended, at most 50."""
    versions: tuple[VersionActivity, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: VersionActivity))})
    """Where one template is asked for, its versions, newest first. What was counted before they were distinguished is in none."""


@dataclass(frozen=True)
class GetCatalogResponse:
    """Answers GetCatalog."""

    catalog: str = stored(default="", metadata={"read": v.same})
    """The PO file."""
    locale: str = stored(default="", metadata={"read": v.same})
    """The locale in its canonical spelling."""
    messages: int = stored(default=0, metadata={"read": v.integer})
    """How many texts there are."""
    translated_messages: int = stored(default=0, metadata={"read": v.integer})
    """How many of them are translated."""


@dataclass(frozen=True)
class GetJwksResponse:
    """A JWK Set (RFC 7517)."""

    keys: tuple[Jwk, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: Jwk))})
    """The keys; tokens name theirs by `kid`."""


@dataclass(frozen=True)
class Identity:
    """Who a person is at an issuer of OpenID Connect at which they have signed in."""

    issuer: str = stored(default="", metadata={"read": v.same})
    """The issuer, as it calls itself."""
    subject: str = stored(default="", metadata={"read": v.same})
    """The issuer's id of the person."""
    create_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When they first signed in there."""


@dataclass(frozen=True)
class Issuer:
    """One at which people can sign in."""

    id: str = stored(default="", metadata={"read": v.same})
    """Its name in requests."""
    title: str = stored(default="", metadata={"read": v.same})
    """Its name for people."""


@dataclass(frozen=True)
class Jwk:
    """A public Ed25519 key (RFC 8037)."""

    kty: str = stored(default="", metadata={"read": v.same})
    """Key type, "OKP"."""
    crv: str = stored(default="", metadata={"read": v.same})
    """Curve, "Ed25519"."""
    kid: str = stored(default="", metadata={"read": v.same})
    """Key id, the RFC 7638 thumbprint."""
    use: str = stored(default="", metadata={"read": v.same})
    """Use, "sig"."""
    alg: str = stored(default="", metadata={"read": v.same})
    """Algorithm, "EdDSA"."""
    x: str = stored(default="", metadata={"read": v.same})
    """The public key, base64url without padding."""


@dataclass(frozen=True)
class KeyRestrictions:
    """Narrow a key to some of what its project sends. An empty list narrows nothing, and one list at least is not empty."""

    templates: tuple[str, ...] = stored(default=(), metadata={"read": v.many(v.same)})
    """Templates that it may send, by name; one that ends with "*" stands for all names that begin so, as "billing-*"."""
    categories: tuple[str, ...] = stored(default=(), metadata={"read": v.many(v.same)})
    """Categories that it may send, likewise. What has no category is none of them, and a template of another category neither, whatever
    the request says.
    """
    recipient_domains: tuple[str, ...] = stored(default=(), metadata={"read": v.many(v.same)})
    """Domains of e-mail addresses whose people it may send to, such as "example.com"; "*.example.com" stands for the domains below
    that. By push, too, the person's e-mail address decides.
    """


@dataclass(frozen=True)
class Latency:
    """How long notifications took from their acceptance, or from the time that they were scheduled for, until a provider had them.
    Those that waited because their person wanted it, or that a reviewer sent again, do not count.
    """

    p50: timedelta | None = stored(default=None, metadata={"read": v.duration})
    """Half of them took no longer. The three are upper bounds of ranges, off by at most a half."""
    p95: timedelta | None = stored(default=None, metadata={"read": v.duration})
    """95 of 100 took no longer."""
    p99: timedelta | None = stored(default=None, metadata={"read": v.duration})
    """99 of 100 took no longer."""
    within_target: float = stored(default=0.0, metadata={"read": float})
    """The share, 0 to 1, that took at most 2 seconds: the service level, which aims at 0.99."""
    count: int = stored(default=0, metadata={"read": v.integer})
    """How many were measured."""


@dataclass(frozen=True)
class LintContentsResponse:
    """Answers LintContents. What CreateVersion would refuse is the call's error."""

    findings: tuple[Finding, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: Finding))})
    """What had better be otherwise."""
    required_variables: tuple[str, ...] = stored(default=(), metadata={"read": v.many(v.same)})
    """Variables that every notification must give."""
    locales: tuple[LocaleReport, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: LocaleReport))})
    """How complete each locale is."""


@dataclass(frozen=True)
class ListAddressesResponse:
    """Answers ListAddresses."""

    addresses: tuple[UserAddress, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: UserAddress))})
    """All of them, the primary one first."""


@dataclass(frozen=True)
class ListBreakersResponse:
    """Answers ListBreakers."""

    breakers: tuple[Breaker, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: Breaker))})
    """The breakers, by name."""


@dataclass(frozen=True)
class ListChangesResponse:
    """Answers ListChanges."""

    changes: tuple[Change, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: Change))})
    """The changes, oldest first."""
    next_cursor: str = stored(default="", metadata={"read": v.same})
    """Where the next page begins. Never empty once there was a change: at the end of the feed it is asked for again later."""
    has_more: bool = stored(default=False, metadata={"read": v.same})
    """Whether more can be read at once."""


@dataclass(frozen=True)
class ListDevicesResponse:
    """Answers ListDevices."""

    devices: tuple[Device, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: Device))})
    """All devices of the person (at most 50, and as many removed ones), newest first."""


@dataclass(frozen=True)
class ListIssuersResponse:
    """Answers ListIssuers."""

    issuers: tuple[Issuer, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: Issuer))})
    """The issuers; none where the operator has set up none."""


@dataclass(frozen=True)
class ListProblemsResponse:
    """Answers ListProblems."""

    problems: tuple[Problem, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: Problem))})
    """The most urgent first."""


@dataclass(frozen=True)
class ListQueuesResponse:
    """Answers ListQueues."""

    queues: tuple[Queue, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: Queue))})
    """The queues: those of work first."""
    workers: tuple[Worker, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: Worker))})
    """The workers, by provider. A worker whose providers have no breaker does not report itself."""


@dataclass(frozen=True)
class ListSenderDomainsResponse:
    """Answers ListSenderDomains."""

    domains: tuple[SenderDomain, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: SenderDomain))})
    """The domains, by name."""
    trusted_domains: tuple[str, ...] = stored(default=(), metadata={"read": v.many(v.same)})
    """Domains of which every project may use addresses, since who runs the installation vouches for them."""


@dataclass(frozen=True)
class ListSendersResponse:
    """Answers ListSenders."""

    senders: tuple[Sender, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: Sender))})
    """The senders, by name."""


@dataclass(frozen=True)
class ListSessionsResponse:
    """Answers ListSessions."""

    sessions: tuple[Session, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: Session))})
    """The sessions that have not ended, the one that was used last first; at most 100."""


@dataclass(frozen=True)
class LocaleReport:
    """Says how complete one locale of a version is."""

    locale: str = stored(default="", metadata={"read": v.same})
    """The locale."""
    messages: int = stored(default=0, metadata={"read": v.integer})
    """Texts that a catalogue can translate."""
    translated_messages: int = stored(default=0, metadata={"read": v.integer})
    """Those that are translated; all of them where the locale has a content of its own."""
    unused_variables: tuple[str, ...] = stored(default=(), metadata={"read": v.many(v.same)})
    """Variables of the default locale that this locale's content does not mention."""


@dataclass(frozen=True)
class LoginResponse:
    """Answers Login."""

    access_token: str = stored(default="", metadata={"read": v.same})
    """JWT (EdDSA) for the Authorization header."""
    token_type: str = stored(default="", metadata={"read": v.same})
    """Always "Bearer"."""
    expires_in: int = stored(default=0, metadata={"read": v.integer})
    """Seconds until the access token expires."""
    refresh_token: str = stored(default="", metadata={"read": v.same})
    """Opaque token for Refresh."""
    user_id: str = stored(default="", metadata={"read": v.same})
    """The person."""
    second_factor_missing: bool = stored(default=False, metadata={"read": v.same})
    """True for an administrator who has to set a second factor up first: until then the token has no scopes."""


@dataclass(frozen=True)
class LogoutResponse:
    """Answers Logout; it is empty."""


@dataclass(frozen=True)
class Me:
    """What a credential stands for."""

    kind: CallerKind | None = stored(default=None, metadata={"read": v.member(CallerKind)})
    """How the caller has proved who they are."""
    id: str = stored(default="", metadata={"read": v.same})
    """The person's or the key's id."""
    name: str = stored(default="", metadata={"read": v.same})
    """The key's name; empty for a person."""
    project: str = stored(default="", metadata={"read": v.same})
    """The project that the credential reaches."""
    scopes: tuple[str, ...] = stored(default=(), metadata={"read": v.many(v.same)})
    """What it may do, in order. A person's own objects are reached without any of these."""
    test: bool = stored(default=False, metadata={"read": v.same})
    """True for a key whose notifications reach no provider."""
    expire_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it ends; unset for a key without an end."""
    restrictions: KeyRestrictions | None = stored(default=None, metadata={"read": v.message(lambda: KeyRestrictions)})
    """What a key is narrowed to; unset for one that is not."""


@dataclass(frozen=True)
class MessageSender:
    """From whom one mail is."""

    email: str = stored(default="", metadata={"read": v.same})
    """The address in From."""
    display_name: str = stored(default="", metadata={"read": v.same})
    """The name beside it; empty for none."""
    reply_to_email: str = stored(default="", metadata={"read": v.same})
    """Reply-To; empty for none."""
    dkim_domain: str = stored(default="", metadata={"read": v.same})
    """The domain and the selector of the DKIM key that signs it; empty where it is not signed."""
    dkim_selector: str = stored(default="", metadata={"read": v.same})
    """See `dkim_domain`."""


@dataclass(frozen=True)
class Notification:
    """One message to one person on one channel."""

    id: str = stored(default="", metadata={"read": v.same})
    """UUIDv7, made by the server."""
    user_id: str = stored(default="", metadata={"read": v.same})
    """The person."""
    channel: Channel | None = stored(default=None, metadata={"read": v.member(Channel)})
    """The channel."""
    template: str = stored(default="", metadata={"read": v.same})
    """The template's name."""
    template_version: int = stored(default=0, metadata={"read": v.integer})
    """The version that was published when the notification was accepted."""
    locale: str = stored(default="", metadata={"read": v.same})
    """The locale that was sent, or asked for while it is not sent."""
    priority: Priority | None = stored(default=None, metadata={"read": v.member(Priority)})
    """The lane."""
    category: str = stored(default="", metadata={"read": v.same})
    """Category that preferences refer to."""
    status: NotificationStatus | None = stored(default=None, metadata={"read": v.member(NotificationStatus)})
    """Where it is on its way."""
    reason: str = stored(default="", metadata={"read": v.same})
    """Why it is there, in UPPER_SNAKE, where there is one, such as "SMTP_550" or "PREFERENCE"."""
    attempts: int = stored(default=0, metadata={"read": v.integer})
    """Tries so far."""
    metadata: Mapping[str, str] = stored(default_factory=dict, metadata={"read": v.table(v.same)})
    """The sender's labels."""
    create_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was accepted."""
    update_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When its status last changed."""
    send_at: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it is to be sent; unset means at once."""
    expires_at: datetime | None = stored(default=None, metadata={"read": v.time})
    """After which it is not sent any more; unset means never."""
    correlation_id: str = stored(default="", metadata={"read": v.same})
    """Ties together the logs, spans and messages of the request."""
    timeline: tuple[TimelineEntry, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: TimelineEntry))})
    """What happened, oldest first. Only in GetNotification and WatchNotification."""
    test: bool = stored(default=False, metadata={"read": v.same})
    """True for one that a test key has sent: it reaches no provider."""
    resent_from: str = stored(default="", metadata={"read": v.same})
    """The id of the notification that this one sends again (ResendNotification); empty for all others."""


@dataclass(frozen=True)
class OperatorRole:
    """A named set of scopes that people can be given. Beside them there are the roles that are built in, which are not listed: a member
    has no scope, an administrator all of them.
    """

    id: str = stored(default="", metadata={"read": v.same})
    """Chosen by its maker, such as "support". It never changes."""
    description: str = stored(default="", metadata={"read": v.same})
    """What it is for, in a few words."""
    scopes: tuple[str, ...] = stored(default=(), metadata={"read": v.many(v.same)})
    """What it lets people do, such as "notifications:read"."""
    user_ids: tuple[str, ...] = stored(default=(), metadata={"read": v.many(v.same)})
    """Ids of the people who have it; at most the first 100."""
    create_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was created."""
    update_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was last changed."""
    etag: str = stored(default="", metadata={"read": v.same})
    """Stands for this state (AIP-154). Over REST it is the ETag."""


@dataclass(frozen=True)
class Partial:
    """A piece of source that templates of its project share: a layout, a footer, the values of a brand. A version takes in the revision
    of the moment when it is created, and is not changed by later ones.
    """

    name: str = stored(default="", metadata={"read": v.same})
    """Name, unique, 1 to 64 characters, such as "footer.html"; `{% include "footer.html" %}` and `{% extends "base.mjml" %}` use it."""
    source: str = stored(default="", metadata={"read": v.same})
    """Jinja2 source in the language of the parts that use it: HTML, MJML or text."""
    revision: int = stored(default=0, metadata={"read": v.integer})
    """Number of this text, from 1. Output only."""
    update_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When this text was given. Output only."""
    uses: tuple[PartialUse, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: PartialUse))})
    """Published versions that have taken it in, by template. Output only; empty in lists."""


@dataclass(frozen=True)
class PartialUse:
    """A published version that has taken in a partial."""

    template: str = stored(default="", metadata={"read": v.same})
    """The template's name."""
    version: int = stored(default=0, metadata={"read": v.integer})
    """Its published version."""
    revision: int = stored(default=0, metadata={"read": v.integer})
    """The revision that the version holds."""


@dataclass(frozen=True)
class PersonalNotification:
    """A notification with what only its person, and who may export it, get to see."""

    notification: Notification | None = stored(default=None, metadata={"read": v.message(lambda: Notification)})
    """The notification with its timeline."""
    variables: Mapping[str, Any] | None = stored(default=None, metadata={"read": v.same})
    """The values of the template's variables; empty when they are gone."""
    review_note: str = stored(default="", metadata={"read": v.same})
    """What reviewers have noted on its dead letter."""
    redirected_email: str = stored(default="", metadata={"read": v.same})
    """The address that a reviewer has sent it to in place of the person's."""
    captured_message: CapturedMessage | None = stored(default=None, metadata={"read": v.message(lambda: CapturedMessage)})
    """What the sandbox got of a test key's notification, for as long as it is kept."""
    attachments: tuple[CapturedAttachment, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: CapturedAttachment))})
    """The files that its mail carries, without their contents."""


@dataclass(frozen=True)
class PreferenceRule:
    """One choice, of a person or, for all of its people, of a project. Of a person's rules that apply the most specific decides, and
    only without one the project's: channel and template, template, channel and category, category, channel, everything. With none,
    the notification is sent.
    """

    channel: Channel | None = stored(default=None, metadata={"read": v.member(Channel)})
    """The channel it is about; unspecified means every channel."""
    category: str = stored(default="", metadata={"read": v.same})
    """The template category it is about, such as "billing"; empty means every category."""
    choice: Choice | None = stored(default=None, metadata={"read": v.member(Choice)})
    """What was decided."""
    template: str = stored(default="", metadata={"read": v.same})
    """The template that it is about, in place of a category; empty means every one."""


@dataclass(frozen=True)
class Preferences:
    """A person's choices."""

    user_id: str = stored(default="", metadata={"read": v.same})
    """The person."""
    rules: tuple[PreferenceRule, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: PreferenceRule))})
    """The rules, at most 200, in the order of channel, category and template."""
    update_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When a rule was last changed; unset when there never was one."""
    etag: str = stored(default="", metadata={"read": v.same})
    """Stands for this state of the preferences (AIP-154). Over REST it is the ETag."""
    quiet_hours: QuietHours | None = stored(default=None, metadata={"read": v.message(lambda: QuietHours)})
    """The person's own quiet hours; unset where the project's apply."""


@dataclass(frozen=True)
class PreviewTemplateResponse:
    """Answers PreviewTemplate."""

    content: Content | None = stored(default=None, metadata={"read": v.message(lambda: Content)})
    """The finished text."""
    locale: str = stored(default="", metadata={"read": v.same})
    """The locale that was used."""
    version: int = stored(default=0, metadata={"read": v.integer})
    """The version that was used; 0 for contents that are none."""
    locale_chain: tuple[str, ...] = stored(default=(), metadata={"read": v.many(v.same)})
    """The locales that were looked for, in order, such as "pt-BR", "pt"; only the last, which was used, was there."""
    sender: MessageSender | None = stored(default=None, metadata={"read": v.message(lambda: MessageSender)})
    """E-mail: from whom the mail would be; absent for the installation's own sender."""


@dataclass(frozen=True)
class Problem:
    """Something that keeps notifications from being sent as they should be."""

    reason: str = stored(default="", metadata={"read": v.same})
    """What kind it is, in UPPER_SNAKE: BREAKER_OPEN, BREAKER_HELD_OPEN, BREAKERS_UNKNOWN, SERVICE_AWAY, NOTIFICATIONS_WAIT,
    WORKERS_BEHIND, NO_WORKER, BUS_UNREACHABLE, DEAD_LETTERS, SERVICE_LEVEL_MISSED or PUBLICATION_FAILED.
    """
    severity: ProblemSeverity | None = stored(default=None, metadata={"read": v.member(ProblemSeverity)})
    """How soon someone should look."""
    description: str = stored(default="", metadata={"read": v.same})
    """What it is, in a sentence."""
    next_step: str = stored(default="", metadata={"read": v.same})
    """What to do next, in a sentence."""


@dataclass(frozen=True)
class Project:
    """A wall: people, templates, notifications, keys and everything else belong to one, and nothing of another one can be reached or
    noticed. Use one for each product or environment.
    """

    id: str = stored(default="", metadata={"read": v.same})
    """Chosen by its maker, such as "shop-staging". It never changes."""
    display_name: str = stored(default="", metadata={"read": v.same})
    """For people."""
    create_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was created."""
    archive_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was archived; unset for one that is in use."""


@dataclass(frozen=True)
class Publication:
    """That a version came into use for new notifications."""

    version: int = stored(default=0, metadata={"read": v.integer})
    """The version."""
    publish_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When."""
    published_by: str = stored(default="", metadata={"read": v.same})
    """Who published it, such as "user:01968b5e-…" or "api_key:01968b5e-…"."""
    note: str = stored(default="", metadata={"read": v.same})
    """Why, in their words."""
    previous_version: int = stored(default=0, metadata={"read": v.integer})
    """The version that was in use before; 0 for none."""
    scheduled_publication: str = stored(default="", metadata={"read": v.same})
    """Id of the ScheduledPublication that was carried out, whose planner is `published_by`; empty for one that was published by hand.
    """


@dataclass(frozen=True)
class Queue:
    """A queue of the bus as it is now."""

    name: str = stored(default="", metadata={"read": v.same})
    """Its name on the bus, such as "email.queue"."""
    kind: QueueKind | None = stored(default=None, metadata={"read": v.member(QueueKind)})
    """What it is for."""
    channel: Channel | None = stored(default=None, metadata={"read": v.member(Channel)})
    """The channel; unset for what is of all channels."""
    urgent: bool = stored(default=False, metadata={"read": v.same})
    """True for notifications of high priority."""
    messages: int = stored(default=0, metadata={"read": v.integer})
    """Messages that wait, without those that a consumer has in hand. A message holds up to 50 deliveries."""
    consumers: int = stored(default=0, metadata={"read": v.integer})
    """Who takes messages from it: for a work queue, its workers."""
    oldest_age: timedelta | None = stored(default=None, metadata={"read": v.duration})
    """Since when the oldest notification of a work queue has been on the bus without a worker's report; unset where there is none. Of
    many, the oldest of the 1,000 that were accepted first.
    """


@dataclass(frozen=True)
class QuietHours:
    """A time of the day at which what is not urgent waits, in the person's time zone. It is decided anew when they end: what was
    refused in between is not sent.
    """

    start: str = stored(default="", metadata={"read": v.same})
    """When they begin, such as "22:00"."""
    end: str = stored(default="", metadata={"read": v.same})
    """When they end, such as "07:30"; on the next day where that is not later than `start`."""
    off: bool = stored(default=False, metadata={"read": v.same})
    """True for a person who wants none, whatever the project's are; `start` and `end` are empty then."""


@dataclass(frozen=True)
class RebuildTemplatesResponse:
    """Answers RebuildTemplates."""

    templates: tuple[Rebuilt, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: Rebuilt))})
    """One entry per template that was touched, in the order of their names, at most 200: call again while there are 200."""


@dataclass(frozen=True)
class Rebuilt:
    """What became of one template."""

    template: str = stored(default="", metadata={"read": v.same})
    """The template's name."""
    old_version: int = stored(default=0, metadata={"read": v.integer})
    """The version that was published before."""
    new_version: int = stored(default=0, metadata={"read": v.integer})
    """The new published version; 0 with `validate_only` or when there is a problem."""
    problem: str = stored(default="", metadata={"read": v.same})
    """Why there is no new version, with the field; empty when there is none."""


@dataclass(frozen=True)
class RefreshResponse:
    """Answers Refresh."""

    access_token: str = stored(default="", metadata={"read": v.same})
    """JWT (EdDSA) for the Authorization header."""
    token_type: str = stored(default="", metadata={"read": v.same})
    """Always "Bearer"."""
    expires_in: int = stored(default=0, metadata={"read": v.integer})
    """Seconds until the access token expires."""
    refresh_token: str = stored(default="", metadata={"read": v.same})
    """The next refresh token."""
    user_id: str = stored(default="", metadata={"read": v.same})
    """The person."""


@dataclass(frozen=True)
class RemoveSecondFactorResponse:
    """Answers RemoveSecondFactor; it is empty."""


@dataclass(frozen=True)
class ReplayWebhookDeliveriesResponse:
    """Answers ReplayWebhookDeliveries."""

    replayed_count: int = stored(default=0, metadata={"read": v.integer})
    """How many deliveries are tried again."""


@dataclass(frozen=True)
class RequestAddressVerificationResponse:
    """Answers RequestAddressVerification; it is empty."""


@dataclass(frozen=True)
class RequestPasswordResetResponse:
    """Answers RequestPasswordReset; it is empty."""


@dataclass(frozen=True)
class ResendNotificationResponse:
    """Answers ResendNotification."""

    id: str = stored(default="", metadata={"read": v.same})
    """The new notification's id."""
    status: NotificationStatus | None = stored(default=None, metadata={"read": v.member(NotificationStatus)})
    """PENDING."""
    create_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was accepted."""


@dataclass(frozen=True)
class ResetPasswordResponse:
    """Answers ResetPassword; it is empty: the person signs in with the new password."""


@dataclass(frozen=True)
class RotateSigningKeyResponse:
    """Answers RotateSigningKey."""

    kid: str = stored(default="", metadata={"read": v.same})
    """The id of the new key, as `kid` in the set of published keys (GetJwks)."""


@dataclass(frozen=True)
class RotateWebhookSecretResponse:
    """Answers RotateWebhookSecret."""

    secret: str = stored(default="", metadata={"read": v.same})
    """Begins with "whsec_". It is kept sealed and not shown again."""
    old_secret_expire_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """Until when events carry the old secret's signature too."""


@dataclass(frozen=True)
class Saga:
    """A series of steps across services that are all done, or undone as far as that is needed. It survives the death of any process."""

    id: str = stored(default="", metadata={"read": v.same})
    """Its id (UUIDv7)."""
    kind: str = stored(default="", metadata={"read": v.same})
    """What it does: "erasure" (a person is erased) or "erasure_sweep" (what was accepted during an erasure is erased too);
    "project_erasure" and "project_erasure_sweep" are the same of a project.
    """
    key: str = stored(default="", metadata={"read": v.same})
    """Whom it is about: the user's id, or the project's."""
    state: SagaState | None = stored(default=None, metadata={"read": v.member(SagaState)})
    """Where it is."""
    steps: tuple[SagaStep, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: SagaStep))})
    """The steps, in order."""
    attempts: int = stored(default=0, metadata={"read": v.integer})
    """Failed tries of the step at hand."""
    reason: str = stored(default="", metadata={"read": v.same})
    """Why the last try failed or the saga turned back, in UPPER_SNAKE; empty when nothing did."""
    next_attempt_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When the next try is due; set while the saga waits after a failed one, or has not begun."""
    create_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it began."""
    update_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it changed last."""
    correlation_id: str = stored(default="", metadata={"read": v.same})
    """Ties together the logs, spans and messages of the request that began it."""


@dataclass(frozen=True)
class SagaStep:
    """One step of a saga."""

    name: str = stored(default="", metadata={"read": v.same})
    """Its name, such as "delete_user"."""
    state: SagaStepState | None = stored(default=None, metadata={"read": v.member(SagaStepState)})
    """What became of it."""
    start_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When the try began that decided; unset while it is pending."""
    end_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When that try ended; unset while it is pending."""


@dataclass(frozen=True)
class ScheduledPublication:
    """The plan to publish a version at a time. A template has at most one that waits."""

    id: str = stored(default="", metadata={"read": v.same})
    """Its id, a UUID."""
    template: str = stored(default="", metadata={"read": v.same})
    """The template's name."""
    version: int = stored(default=0, metadata={"read": v.integer})
    """The version that is to be published."""
    publish_at: datetime | None = stored(default=None, metadata={"read": v.time})
    """When, by the clock of the service's database."""
    previous_version: int = stored(default=0, metadata={"read": v.integer})
    """The version in use when it was planned, 0 for none: where another one is in use at the time, nothing is published."""
    note: str = stored(default="", metadata={"read": v.same})
    """Why, in the planner's words."""
    state: ScheduledPublicationState | None = stored(default=None, metadata={"read": v.member(ScheduledPublicationState)})
    """What became of it."""
    scheduled_by: str = stored(default="", metadata={"read": v.same})
    """Who planned it, such as "user:01968b5e-…" or "api_key:01968b5e-…"."""
    create_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was planned."""
    end_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was carried out, failed, or was cancelled or replaced; absent while it waits."""
    ended_by: str = stored(default="", metadata={"read": v.same})
    """Who cancelled or replaced it; empty otherwise."""
    reason: str = stored(default="", metadata={"read": v.same})
    """Why it could not be carried out, such as "PUBLISHED_MEANWHILE"; empty otherwise."""
    description: str = stored(default="", metadata={"read": v.same})
    """The same in words, with the way out."""


@dataclass(frozen=True)
class SecondFactor:
    """What is known of a person's second factor. Its secret is never shown again."""

    enabled: bool = stored(default=False, metadata={"read": v.same})
    """Whether a sign-in by password needs a code."""
    confirm_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """Since when; unset where there is none."""
    recovery_codes_left: int = stored(default=0, metadata={"read": v.integer})
    """How many recovery codes are left."""


@dataclass(frozen=True)
class SendNotificationRequest:
    """What to send to whom."""

    user_id: str = stored(default="", metadata={"read": v.same})
    """The person. Either this or `to` is required."""
    channel: Channel | None = stored(default=None, metadata={"read": v.member(Channel)})
    """The channel; must be the template's."""
    template: str = stored(default="", metadata={"read": v.same})
    """Name of a template with a published version."""
    variables: Mapping[str, Any] | None = stored(default=None, metadata={"read": v.same})
    """Values of the template's variables."""
    locale: str = stored(default="", metadata={"read": v.same})
    """BCP 47 tag that overrides the person's language."""
    priority: Priority | None = stored(default=None, metadata={"read": v.member(Priority)})
    """The lane."""
    send_at: datetime | None = stored(default=None, metadata={"read": v.time})
    """When to send, at most 90 days ahead; unset or past means at once."""
    expires_at: datetime | None = stored(default=None, metadata={"read": v.time})
    """After which it is not sent any more; unset means never. Must be in the future and after `send_at`."""
    category: str = stored(default="", metadata={"read": v.same})
    """Category that overrides the template's."""
    request_id: str = stored(default="", metadata={"read": v.same})
    """Idempotency key, for callers that can't set the `Idempotency-Key` header. Both may be given when they are equal."""
    metadata: Mapping[str, str] = stored(default_factory=dict, metadata={"read": v.table(v.same)})
    """The sender's labels, returned by reads. Not for personal data."""
    to: Addressee | None = stored(default=None, metadata={"read": v.message(lambda: Addressee)})
    """An address or a device in place of `user_id`."""
    send_at_local: str = stored(default="", metadata={"read": v.same})
    """When to send by the person's own clock, in place of `send_at`: "09:00" is the next time that it shows nine o'clock,
    "2030-01-31T09:00" that day's. At most 90 days ahead; a past one means at once. The person's time zone is taken as it is when
    this is accepted. A time that clocks skip is as much later, of one that they show twice it is the first.
    """
    attachments: tuple[AttachedFile, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: AttachedFile))})
    """E-mail: files that the mail carries, at most 10 and together at most 10 MiB."""


@dataclass(frozen=True)
class SendNotificationResponse:
    """Answers SendNotification."""

    id: str = stored(default="", metadata={"read": v.same})
    """The notification's id."""
    status: NotificationStatus | None = stored(default=None, metadata={"read": v.member(NotificationStatus)})
    """PENDING, or SCHEDULED for a later `send_at`."""
    create_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was accepted."""


@dataclass(frozen=True)
class Sender:
    """From whom a project's mails are."""

    name: str = stored(default="", metadata={"read": v.same})
    """Its name, unique in the project, which versions of templates refer to."""
    email: str = stored(default="", metadata={"read": v.same})
    """The address in From. Its domain, or one above it, is a verified sender domain of the project or one that the installation trusts.
    """
    display_name: str = stored(default="", metadata={"read": v.same})
    """What mail programs show beside the address, such as "Acme Billing"; empty for none."""
    reply_to_email: str = stored(default="", metadata={"read": v.same})
    """Where answers go (Reply-To); to `email` when empty. It may be of any domain."""
    default_sender: bool = stored(default=False, metadata={"read": v.same})
    """Whether the project's mails are from it whose template names no other. At most one sender of a project is."""
    update_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was last changed."""


@dataclass(frozen=True)
class SenderDomain:
    """A domain whose addresses mails may be from, once its owner has shown that it is theirs by adding `record` to it. The record is a
    DKIM key (RFC 6376): with it, mails from the domain are signed.
    """

    domain: str = stored(default="", metadata={"read": v.same})
    """The domain in ASCII (IDNA), in lower case."""
    verified: bool = stored(default=False, metadata={"read": v.same})
    """Whether the record was there when it was looked for. It stays true when a later look finds it no more; `problem` then says so."""
    record: DnsRecord | None = stored(default=None, metadata={"read": v.message(lambda: DnsRecord)})
    """What its owner is to add to it."""
    problem: str = stored(default="", metadata={"read": v.same})
    """What the last look found wrong, and what to do; empty for nothing."""
    check_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was looked for last."""
    create_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was added here."""
    next_record: DnsRecord | None = stored(default=None, metadata={"read": v.message(lambda: DnsRecord)})
    """The record of the key that is to take the present one's place: add it beside `record`. Not there where no rotation has begun."""
    next_problem: str = stored(default="", metadata={"read": v.same})
    """What the last look for `next_record` found wrong; empty for nothing, and before the first look."""
    former_record: DnsRecord | None = stored(default=None, metadata={"read": v.message(lambda: DnsRecord)})
    """The record of the key before. Leave it in DNS for a week from `rotate_time` on: mails that it has signed may be on their way."""
    rotate_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """Since when mails are signed with the present key in the former one's place."""


@dataclass(frozen=True)
class SentContent:
    """What a sent notification said."""

    notification_id: str = stored(default="", metadata={"read": v.same})
    """Id of the notification."""
    channel: Channel | None = stored(default=None, metadata={"read": v.member(Channel)})
    """Its channel."""
    template: str = stored(default="", metadata={"read": v.same})
    """The template."""
    template_version: int = stored(default=0, metadata={"read": v.integer})
    """The version that was sent."""
    locale: str = stored(default="", metadata={"read": v.same})
    """The locale of the text."""
    content: Content | None = stored(default=None, metadata={"read": v.message(lambda: Content)})
    """The finished text."""
    sender: MessageSender | None = stored(default=None, metadata={"read": v.message(lambda: MessageSender)})
    """E-mail: from whom it is; absent for the installation's own sender."""
    masked_variables: tuple[str, ...] = stored(default=(), metadata={"read": v.many(v.same)})
    """The variables whose values are masked in the text, such as "code" or "order.card"."""


@dataclass(frozen=True)
class Session:
    """What began with one sign-in of a person, and lives as long as its refresh tokens are used."""

    id: str = stored(default="", metadata={"read": v.same})
    """The session's id. Access tokens of it carry it as `sid`."""
    create_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When the person signed in; of a session older than 30 days, when the oldest of its tokens that is still known was made."""
    last_use_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was last refreshed, which happens about every 15 minutes while it is in use."""
    expire_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it ends unless it is used until then."""
    current: bool = stored(default=False, metadata={"read": v.same})
    """Whether the caller's own token is of it."""


@dataclass(frozen=True)
class Suppression:
    """Forbids e-mail to an address, of whichever person: all of it, or that of a category."""

    address: str = stored(default="", metadata={"read": v.same})
    """The address, lower-case."""
    reason: str = stored(default="", metadata={"read": v.same})
    """Why, such as "bounce", "complaint" or "manual"."""
    create_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was added. Output only."""
    evidence: str = stored(default="", metadata={"read": v.same})
    """What was seen: for a bounce the mail server's reply, without the address. Output only."""
    category: str = stored(default="", metadata={"read": v.same})
    """The category that it is about; empty for all e-mail."""
    expire_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it ends; unset means never. One that has ended stands on no page of the list."""


@dataclass(frozen=True)
class Template:
    """A named text for one channel. Its texts live in versions."""

    name: str = stored(default="", metadata={"read": v.same})
    """Name, unique, 1 to 64 characters."""
    channel: Channel | None = stored(default=None, metadata={"read": v.member(Channel)})
    """The channel it is for; never changes."""
    category: str = stored(default="", metadata={"read": v.same})
    """Category that people's preferences refer to, such as "billing"; empty for none. A change is for what is accepted from then on."""
    description: str = stored(default="", metadata={"read": v.same})
    """What it is for, as a note to colleagues."""
    mandatory: bool = stored(default=False, metadata={"read": v.same})
    """True for what is sent whatever people prefer, such as a password reset."""
    on_unknown: OnUnknown | None = stored(default=None, metadata={"read": v.member(OnUnknown)})
    """What happens when a delivery's outcome is unknown."""
    default_locale: str = stored(default="", metadata={"read": v.same})
    """Locale used when none of a version's locales fits the person's; never changes."""
    published_version: int = stored(default=0, metadata={"read": v.integer})
    """The version that new notifications use; 0 before the first is published. Output only."""
    latest_version: int = stored(default=0, metadata={"read": v.integer})
    """The newest version; 0 before the first is made. Output only."""
    create_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When the template was created. Output only."""
    update_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When the template was last changed or published. Output only."""
    archive_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """Since when it is archived; absent while it is in use. Output only."""
    archived_by: str = stored(default="", metadata={"read": v.same})
    """Who archived it, such as "user:01968b5e-…"; empty while it is in use. Output only."""
    etag: str = stored(default="", metadata={"read": v.same})
    """Stands for this state (AIP-154). Over REST it is the ETag."""


@dataclass(frozen=True)
class TemplateActivity:
    """What happened to notifications of one template."""

    template: str = stored(default="", metadata={"read": v.same})
    """The template."""
    channel: Channel | None = stored(default=None, metadata={"read": v.member(Channel)})
    """Its channel."""
    counts: ActivityCounts | None = stored(default=None, metadata={"read": v.message(lambda: ActivityCounts)})
    """What happened."""


@dataclass(frozen=True)
class TemplateVersion:
    """An immutable set of contents."""

    template: str = stored(default="", metadata={"read": v.same})
    """The template's name."""
    version: int = stored(default=0, metadata={"read": v.integer})
    """Number, from 1, without gaps. A template that is made again under a deleted one's name goes on where that one ended, so that a
    number never means two texts.
    """
    contents: Mapping[str, Content] = stored(default_factory=dict, metadata={"read": v.table(v.message(lambda: Content))})
    """Contents by BCP 47 locale, in its canonical spelling: "pt_br" is kept as "pt-BR"."""
    required_variables: tuple[str, ...] = stored(default=(), metadata={"read": v.many(v.same)})
    """Variables that every notification must give, found by parsing the contents of all locales, sorted. Those with a `default` filter
    or behind `is defined` are not among them. A variable whose value is null counts as not given.
    """
    published: bool = stored(default=False, metadata={"read": v.same})
    """True for the version that new notifications use. Output only."""
    create_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When the version was made. Output only."""
    locales: tuple[LocaleReport, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: LocaleReport))})
    """How complete each locale is, those of catalogues included, sorted. Output only."""
    catalogs: Mapping[str, str] = stored(default_factory=dict, metadata={"read": v.table(v.same)})
    """Gettext PO files by BCP 47 locale, as they were given."""
    findings: tuple[Finding, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: Finding))})
    """What had better be otherwise, at most 100. Output only."""
    variables_schema: Mapping[str, Any] | None = stored(default=None, metadata={"read": v.same})
    """JSON Schema (draft 2020-12) of the variables; absent when there is none."""
    partials: Mapping[str, int] = stored(default_factory=dict, metadata={"read": v.table(v.integer)})
    """Partials that the version has taken in, each with its revision. Output only."""
    created_by: str = stored(default="", metadata={"read": v.same})
    """Who made it, such as "user:01968b5e-…" or "api_key:01968b5e-…"; empty for one that was made before this was kept. Output only."""
    note: str = stored(default="", metadata={"read": v.same})
    """Why, in the author's words. Output only."""
    archive_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """Since when it is archived; absent while it can be published. Output only."""
    archived_by: str = stored(default="", metadata={"read": v.same})
    """Who archived it. Output only."""
    sender: str = stored(default="", metadata={"read": v.same})
    """E-mail: name of the sender from whom mails of this version are; the project's default sender when empty."""


@dataclass(frozen=True)
class TimelineEntry:
    """One thing that happened to a notification."""

    time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When."""
    status: NotificationStatus | None = stored(default=None, metadata={"read": v.member(NotificationStatus)})
    """The status it led to; of a fact, the notification's own, which it leaves as it is."""
    attempt: int = stored(default=0, metadata={"read": v.integer})
    """The try it belongs to, from 1; 0 before the first."""
    reason: str = stored(default="", metadata={"read": v.same})
    """Why, in UPPER_SNAKE."""
    detail: str = stored(default="", metadata={"read": v.same})
    """For people: the provider's reply or the rule that decided. Holds no address and no token."""
    next_attempt_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When the next try is planned; unset when none is."""
    devices: tuple[DeviceResult, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: DeviceResult))})
    """Push: what happened to each device."""
    provider: str = stored(default="", metadata={"read": v.same})
    """The provider that took or refused it, such as "smtp.primary"; empty when none was called."""
    fact: Fact | None = stored(default=None, metadata={"read": v.member(Fact)})
    """What became known after it was sent; unset for what happened on the way."""


@dataclass(frozen=True)
class UpsertResult:
    """The outcome of one person."""

    id: str | None = stored(default=None, metadata={"read": v.same})
    """Our id of the person, who is as asked for now."""
    error: Mapping[str, Any] | None = stored(default=None, metadata={"read": v.same})
    """Why not."""


@dataclass(frozen=True)
class User:
    """A person who can be notified."""

    id: str = stored(default="", metadata={"read": v.same})
    """UUIDv7, made by the server."""
    email: str = stored(default="", metadata={"read": v.same})
    """Address for e-mail, kept as given; unique without regard to case."""
    name: str = stored(default="", metadata={"read": v.same})
    """Display name. Empty when unknown."""
    locale: str = stored(default="", metadata={"read": v.same})
    """Preferred language as a BCP 47 tag, such as "pt-BR". "en" when not given."""
    timezone: str = stored(default="", metadata={"read": v.same})
    """IANA time zone, such as "Europe/Paris". "UTC" when not given."""
    role: Role | None = stored(default=None, metadata={"read": v.member(Role)})
    """What the person's own token may do. Output only."""
    create_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When the user was created. Output only."""
    update_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When the user was last changed. Output only."""
    etag: str = stored(default="", metadata={"read": v.same})
    """Stands for this state of the user (AIP-154). In an update: ABORTED when the user has changed since. Over REST it is the ETag, and
    `If-Match` says the same.
    """
    external_id: str = stored(default="", metadata={"read": v.same})
    """The id that the person has in your own system, unique within the project; empty for none. It stands in for `id` wherever that is
    asked for.
    """
    attributes: Mapping[str, Any] | None = stored(default=None, metadata={"read": v.same})
    """Free data about the person, which templates read as `{{ user.plan }}`: at most 100 names, 16 kB of JSON, and 1,000 names and
    values with those inside of others; a number has at most 50 digits, written out. "id", "external_id", "email", "name", "locale"
    and "timezone" are no names of attributes. Replaced as a whole; a person's own token reads them and does not change them.
    """
    email_verified: bool = stored(default=False, metadata={"read": v.same})
    """Whether the person has proved that the address is theirs: by a link in a mail to it, or by an issuer that says so. Another
    address is not verified.
    """
    assigned_role: str = stored(default="", metadata={"read": v.same})
    """The role that was assigned to the person (RoleService), beside `role`; empty for none."""


@dataclass(frozen=True)
class UserAddress:
    """An e-mail address of a person. Mail goes to the primary one, which is the user's `email`; the person is found by each that is
    verified.
    """

    address: str = stored(default="", metadata={"read": v.same})
    """The address, as it was given."""
    primary: bool = stored(default=False, metadata={"read": v.same})
    """Whether it is the one that mail goes to."""
    verified: bool = stored(default=False, metadata={"read": v.same})
    """Whether the person has proved that it is theirs. Output only."""
    becomes_primary: bool = stored(default=False, metadata={"read": v.same})
    """Whether it becomes the primary one once it is verified. Output only."""
    verify_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was verified; unset where it is not. Output only."""
    expire_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When one that is not verified until then is forgotten; unset for a verified and for the primary one. Output only."""


@dataclass(frozen=True)
class VerifyAddressResponse:
    """Answers VerifyAddress; it is empty."""


@dataclass(frozen=True)
class VersionActivity:
    """What happened to notifications of one version of a template."""

    version: int = stored(default=0, metadata={"read": v.integer})
    """The version's number."""
    counts: ActivityCounts | None = stored(default=None, metadata={"read": v.message(lambda: ActivityCounts)})
    """What happened."""
    latency: Latency | None = stored(default=None, metadata={"read": v.message(lambda: Latency)})
    """Unset where nothing was sent."""


@dataclass(frozen=True)
class WatchChangesResponse:
    """One change."""

    change: Change | None = stored(default=None, metadata={"read": v.message(lambda: Change)})
    """The change."""
    cursor: str = stored(default="", metadata={"read": v.same})
    """Its cursor: what a reader resumes with."""


@dataclass(frozen=True)
class WebhookAttempt:
    """One call of an endpoint."""

    time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When."""
    duration: timedelta | None = stored(default=None, metadata={"read": v.duration})
    """How long it took."""
    status: int = stored(default=0, metadata={"read": v.integer})
    """The status that the endpoint has answered with; 0 when it did not answer."""
    reason: str = stored(default="", metadata={"read": v.same})
    """Why there is no answer, such as "TIMEOUT" or "ADDRESS_FORBIDDEN"; empty when there is one."""
    reply: str = stored(default="", metadata={"read": v.same})
    """The first kilobyte of the answer, as text."""


@dataclass(frozen=True)
class WebhookDelivery:
    """An event on its way to an endpoint. Kept for as long as the feed keeps changes."""

    id: str = stored(default="", metadata={"read": v.same})
    """The `webhook-id` header: the same at each attempt and replay, so that a receiver can leave out what it has handled."""
    type: str = stored(default="", metadata={"read": v.same})
    """The event, such as "notification.sent"."""
    notification_id: str = stored(default="", metadata={"read": v.same})
    """The notification that has changed; empty for a test."""
    cursor: str = stored(default="", metadata={"read": v.same})
    """The change's place in the feed; empty for a test."""
    state: WebhookDeliveryState | None = stored(default=None, metadata={"read": v.member(WebhookDeliveryState)})
    """What became of it."""
    next_attempt_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it is tried next."""
    create_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was first tried."""
    attempts: tuple[WebhookAttempt, ...] = stored(default=(), metadata={"read": v.many(v.message(lambda: WebhookAttempt))})
    """The last 20 attempts, oldest first."""


@dataclass(frozen=True)
class WebhookEndpoint:
    """An address that is called with each change of the project's notifications (standardwebhooks.com)."""

    id: str = stored(default="", metadata={"read": v.same})
    """UUIDv7, made by the server."""
    url: str = stored(default="", metadata={"read": v.same})
    """Where events are posted: https, a public address, port 443 or above 1023. Redirects are not followed."""
    description: str = stored(default="", metadata={"read": v.same})
    """For people."""
    statuses: tuple[NotificationStatus, ...] = stored(default=(), metadata={"read": v.many(v.member(NotificationStatus))})
    """Only changes to one of these; empty for all."""
    channel: Channel | None = stored(default=None, metadata={"read": v.member(Channel)})
    """Only those of this channel."""
    template: str = stored(default="", metadata={"read": v.same})
    """Only those of this template."""
    category: str = stored(default="", metadata={"read": v.same})
    """Only those of this category."""
    metadata: tuple[str, ...] = stored(default=(), metadata={"read": v.many(v.same)})
    """Only those that carry all of these labels, each as `name=value`."""
    disabled: bool = stored(default=False, metadata={"read": v.same})
    """True for one that gets nothing. False in an update also takes up one that was paused or gone."""
    state: WebhookEndpointState | None = stored(default=None, metadata={"read": v.member(WebhookEndpointState)})
    """Whether it gets events."""
    state_reason: str = stored(default="", metadata={"read": v.same})
    """Why it is paused or gone."""
    failing_since: datetime | None = stored(default=None, metadata={"read": v.time})
    """Since when nothing was taken; unset while it takes events."""
    waiting_count: int = stored(default=0, metadata={"read": v.integer})
    """How many changes of the feed have not been looked at for it. Grows while it fails or is slow."""
    create_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When it was created."""
    update_time: datetime | None = stored(default=None, metadata={"read": v.time})
    """When its owner last changed it."""
    user_id: str = stored(default="", metadata={"read": v.same})
    """Only those to this person: Clarion's id or your own (`external_id`). Answered as Clarion's."""


@dataclass(frozen=True)
class Worker:
    """A process that has reported itself within the last 10 seconds."""

    id: str = stored(default="", metadata={"read": v.same})
    """Drawn at its start, such as "9f2c04d1a7b3e856"."""
    providers: tuple[str, ...] = stored(default=(), metadata={"read": v.many(v.same)})
    """The providers that it calls, such as "smtp"."""
    seen_age: timedelta | None = stored(default=None, metadata={"read": v.duration})
    """How long ago it was heard, by Redis's clock."""
