"""The words of delivering: what a channel is given, what it answers, and what the pipeline (`delivery/pipeline.py`) needs from outside.

Free of gRPC, Redis and AMQP, so that use cases may import it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from google.protobuf.struct_pb2 import Struct

from clarion.delivery.v1.delivery_pb2 import Delivery
from clarion.notification.v1.notification_pb2 import PRIORITY_HIGH, DeviceResult, Fact
from clarion.template.v1.render_service_pb2 import Rendered, RenderItem
from clarion.template.v1.sender_pb2 import MessageSender
from clarion.template.v1.template_pb2 import Content
from clarion.user.v1.recipient_service_pb2 import Recipient, RecipientQuery
from delivery.errors import DeliveryError, Fault, TransientDeliveryError
from mesh.errors import ServiceError
from naming.account_mails import ACCOUNT
from naming.variables import PERSON


class ProviderUnavailable(TransientDeliveryError):
    """The provider itself fails: unreachable, silent, broken inside, or refusing us altogether. Only this kind counts for a breaker."""

    fault = Fault.PROVIDER


class SenderRefused(ProviderUnavailable):
    """The provider refuses us: account, address or configuration. Every message would meet it, so this one waits for an operator."""

    uses_attempt = False
    fault = Fault.SENDER


class SenderRefusedInPart(TransientDeliveryError):
    """The provider refuses us for some recipients, such as those of one platform, and works for the others: nothing for its breaker."""

    uses_attempt = False
    fault = Fault.SENDER


class OutcomeUnknown(ProviderUnavailable):
    """The provider had the whole message and did not answer: it may have been sent."""


@dataclass(frozen=True, slots=True)
class ReadyDelivery:
    """One delivery that is ready to go out. Holds addresses and texts: never log it.

    `locale_chain` are the locales that were looked for, the one of the text last. `sender` is from whom a mail is, None for the
    installation's own.
    """

    delivery: Delivery
    recipient: Recipient
    content: Content
    locale: str
    locale_chain: Sequence[str] = ()
    sender: MessageSender | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of a job. Without an error the provider has taken it.

    A channel that reaches several devices reports what happened to each of those it is done with, and which are still `pending`: those are
    tried again when the error is transient. `facts` is what the sandbox reports of a message that it took.
    """

    error: DeliveryError | None = None
    devices: Sequence[DeviceResult] = ()
    pending: Sequence[str] = ()
    facts: Sequence[Fact.ValueType] = ()


class LedgerState(StrEnum):
    """What is known of an attempt."""

    NONE = "none"
    CLAIMED = "claimed"  # a worker is at it: its outcome is to be waited for
    UNKNOWN = "unknown"  # a worker has begun it, and its lease ran out before it recorded an outcome
    DONE = "done"
    CANCELLED = "cancelled"  # given to no provider: it shall not begin


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One attempt. `record` is set when it is DONE, `left_s` (what the lease has left) while it is CLAIMED."""

    state: LedgerState
    record: bytes = b""
    left_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim: what was known of the attempt before. `token` is the owner's proof, unique to this claim."""

    key: str
    token: str
    entry: LedgerEntry

    @property
    def held(self) -> bool:
        """Whether the attempt is the claimant's."""
        return self.entry.state in {LedgerState.NONE, LedgerState.UNKNOWN}


def attempt_key(notification_id: str, run: int, attempt: int) -> str:
    """The ledger's name of an attempt."""
    return f"{notification_id}:{run}:{attempt}"


def query_of(delivery: Delivery) -> RecipientQuery:
    """What is asked about a delivery on its way to its person."""
    return RecipientQuery(
        user_id=delivery.user_id,
        channel=delivery.channel,
        category=delivery.category,
        mandatory=delivery.mandatory,
        email=delivery.email,
        notification_id=delivery.notification_id,
        template=delivery.template,
        urgent=delivery.priority == PRIORITY_HIGH,
        test=delivery.test,
        at=delivery.decide_time if delivery.HasField("decide_time") else None,
        recipient_domains=delivery.recipient_domains,
        # that those which a retry is for are gone by then is no reason to have sent nothing
        device_ids=delivery.device_ids if delivery.attempt == 1 else (),
    )


def render_item(delivery: Delivery, recipient: Recipient) -> RenderItem:
    """What template_svc is asked for, to make a delivery's text for its recipient."""
    return RenderItem(
        project=delivery.project,
        template=delivery.template,
        version=delivery.template_version,
        locale=delivery.locale or recipient.locale,
        variables=variables_for(delivery.variables, recipient),
        timezone=recipient.timezone,
    )


def variables_for(variables: Struct, recipient: Recipient) -> Struct:
    """What a template reads: the sender's variables, and the person as `user` where the sender has set no such variable.

    A mail about the person's account reads what opens it, too: that is nowhere but here and in the mail.
    """
    if recipient.HasField("account"):
        variables = _with_account(variables, recipient)
    if PERSON in variables.fields and not variables.fields[PERSON].HasField("null_value"):
        return variables
    both = Struct()
    both.CopyFrom(variables)
    person = both.fields[PERSON].struct_value
    person.CopyFrom(recipient.attributes)
    for name in ("name", "locale", "timezone"):
        person.fields[name].string_value = getattr(recipient, name)
    return both


def _with_account(variables: Struct, recipient: Recipient) -> Struct:
    both = Struct()
    both.CopyFrom(variables)
    account = both.fields[ACCOUNT].struct_value
    for name in ("link", "code", "brand"):
        account.fields[name].string_value = getattr(recipient.account, name)
    return both


class Sender(Protocol):
    """A channel."""

    async def send(self, job: ReadyDelivery) -> Attempt:
        """Hands the job to the provider. A raised DeliveryError is the same as an attempt that carries it."""
        ...


class Recipients(Protocol):
    """Where deliveries go and whether they may."""

    async def resolve(self, queries: Sequence[RecipientQuery]) -> Sequence[Recipient | ServiceError]:
        """One answer per query, in order."""
        ...


class Renderer(Protocol):
    """Finished texts."""

    async def render(self, items: Sequence[RenderItem]) -> Sequence[Rendered | ServiceError]:
        """One answer per item, in order."""
        ...


class LedgerStore(Protocol):
    """What was begun, by whom, and what became of it. Raises nothing: without its store it knows of nothing."""

    async def look_up(self, keys: Sequence[str]) -> Sequence[LedgerEntry]:
        """What is known of each key, in order."""
        ...

    async def wait(self, key: str) -> LedgerEntry:
        """What is known of the key once it is no live claim; CLAIMED where its owner is at work for long."""
        ...

    async def claim(self, key: str) -> Claim:
        """Claims the attempt, under a lease that is renewed until `record` or `abandon` where the claim is `held`."""
        ...

    async def is_held(self, claim: Claim) -> bool:
        """Whether no other worker can have the attempt now. To be asked right before the provider is called."""
        ...

    async def record(self, claim: Claim, record: bytes, *, sent: bool = False) -> LedgerEntry:
        """Writes what became of the attempt: NONE when written, else what stands there in its place."""
        ...

    async def abandon(self, claim: Claim, *, tried: bool = True) -> None:
        """Ends the lease without a record. Where a provider was `tried`, the outcome is unknown from now on."""
        ...
