"""What the delivery pipeline asks of others, in memory; and deliveries that are valid by default."""

from collections.abc import Awaitable, Callable, Sequence

from clarion.channel.v1.channel_pb2 import CHANNEL_EMAIL, Channel
from clarion.delivery.v1.delivery_pb2 import Delivery
from clarion.notification.v1.notification_pb2 import PRIORITY_NORMAL
from clarion.template.v1.render_service_pb2 import Rendered, RenderItem
from clarion.template.v1.template_pb2 import ON_UNKNOWN_RESEND, Content, OnUnknown
from clarion.user.v1.recipient_service_pb2 import DECISION_SEND, PushTarget, Recipient, RecipientQuery
from delivery.models import Attempt, Claim, LedgerEntry, LedgerState, ReadyDelivery
from mesh.errors import ServiceError

NONE = LedgerEntry(LedgerState.NONE)


def make_delivery(
    number: int = 1,
    *,
    attempt: int = 1,
    channel: Channel.ValueType = CHANNEL_EMAIL,
    on_unknown: OnUnknown.ValueType = ON_UNKNOWN_RESEND,
    locale: str = "",
) -> Delivery:
    """A first attempt for the person `user-<number>`."""
    return Delivery(
        notification_id=f"0190b1f0-0000-7000-8000-{number:012d}", attempt=attempt, channel=channel, priority=PRIORITY_NORMAL,
        user_id=f"user-{number}", template="welcome", template_version=1, locale=locale, on_unknown=on_unknown,
        correlation_id=f"request-{number}",
    )  # fmt: skip


class FakeRecipients:
    """Everybody may be reached, but those in `answers`. `asked` holds the batches."""

    def __init__(self) -> None:
        self.answers: dict[str, Recipient | ServiceError] = {}
        self.asked: list[list[RecipientQuery]] = []
        self.removed: list[str] = []
        self.reasons: list[str] = []
        self.suppressed: dict[str, str] = {}
        self.error: ServiceError | None = None

    async def resolve(self, queries: Sequence[RecipientQuery]) -> Sequence[Recipient | ServiceError]:
        self.asked.append(list(queries))
        if self.error is not None:
            return [self.error] * len(queries)
        return [self.answers.get(query.user_id) or self.person(query.user_id) for query in queries]

    async def remove_devices(self, device_ids: Sequence[str], reason: str) -> None:
        if self.error is not None:
            raise self.error
        self.removed += device_ids
        self.reasons += [reason] * len(device_ids)

    async def suppress(self, address: str, evidence: str) -> None:
        if self.error is not None:
            raise self.error
        self.suppressed[address] = evidence

    @staticmethod
    def person(user_id: str) -> Recipient:
        """A reachable person with one device."""
        devices = [PushTarget(device_id=f"{user_id}-phone", token=f"token-{user_id}-phone")]
        return Recipient(decision=DECISION_SEND, rule="default", email=f"{user_id}@example.org", devices=devices, locale="en", name="Ada")


class FakeRenderer:
    """Renders every item to texts that name its template and locale, but those templates in `errors`."""

    def __init__(self) -> None:
        self.errors: dict[str, ServiceError] = {}
        self.asked: list[list[RenderItem]] = []

    async def render(self, items: Sequence[RenderItem]) -> Sequence[Rendered | ServiceError]:
        self.asked.append(list(items))
        return [self.errors.get(item.template) or self.rendered(item) for item in items]

    @staticmethod
    def rendered(item: RenderItem) -> Rendered:
        """The text of one item."""
        words = f"{item.template} in {item.locale}"
        content = Content(subject=words, text=words, html=f"<p>{words}</p>", title=words, body=words)
        return Rendered(content=content, locale=item.locale)


class FakeLedger:
    """Claims and records in a dictionary. A claim that is put into `entries` by hand is one of a worker that is gone."""

    def __init__(self) -> None:
        self.entries: dict[str, LedgerEntry] = {}

    async def look_up(self, keys: Sequence[str]) -> Sequence[LedgerEntry]:
        return [self.entries.get(key, NONE) for key in keys]

    async def wait(self, key: str) -> LedgerEntry:
        return self.entries.get(key, NONE)

    async def claim(self, key: str) -> Claim:
        claim = Claim(key, "token", self.entries.get(key, NONE))
        if claim.held:
            self.entries[key] = LedgerEntry(LedgerState.CLAIMED)
        return claim

    async def is_held(self, claim: Claim) -> bool:
        return True

    async def record(self, claim: Claim, record: bytes, *, sent: bool = False) -> LedgerEntry:
        self.entries[claim.key] = LedgerEntry(LedgerState.DONE, record)
        return NONE

    async def abandon(self, claim: Claim, *, tried: bool = True) -> None:
        if tried:
            self.entries[claim.key] = LedgerEntry(LedgerState.UNKNOWN)
        else:
            self.entries.pop(claim.key, None)


class FakeSender:
    """Takes every job, or does what `act` says. `jobs` holds what it was given."""

    def __init__(self, act: Callable[[ReadyDelivery], Awaitable[Attempt]] | None = None) -> None:
        self.act = act
        self.jobs: list[ReadyDelivery] = []

    async def send(self, job: ReadyDelivery) -> Attempt:
        self.jobs.append(job)
        return Attempt() if self.act is None else await self.act(job)
