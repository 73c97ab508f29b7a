"""In-memory stand-ins of the gateway's ports."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from clarion.notification.v1.captured_message_pb2 import CapturedMessage
from gateway.accepting.models import AttachedFile, Draft, TemplateSummary
from gateway.notifications.models import Channel, Unsent
from mesh.errors import ServiceError, Unavailable
from mesh.ids import parse


class Budget:
    """A recipient budget that remembers what was given back."""

    def __init__(self) -> None:
        self.unsent: list[Unsent] = []

    def give_back(self, unsent: Sequence[Unsent]) -> None:
        """See RecipientBudget."""
        self.unsent += unsent


class FakeCaptures:
    """What the sandbox got, in memory. `forgotten` holds the people of whom all was removed."""

    def __init__(self) -> None:
        self.messages: dict[str, CapturedMessage] = {}
        self.forgotten: list[str] = []

    async def find(self, notification_id: str) -> CapturedMessage | None:
        """See Captures."""
        return self.messages.get(notification_id)

    async def forget(self, user_id: str) -> None:
        """See Captures."""
        self.forgotten.append(user_id)


class FakeAttachments:
    """The files of mails, of which `forgotten` holds the people whose were removed."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []

    async def forget(self, user_id: str) -> None:
        """See AttachmentClient."""
        self.forgotten.append(user_id)


class FakeRecords:
    """The ledger's records, of which `forgotten` holds the attempts whose were removed."""

    kept_s = 86_400.0

    def __init__(self) -> None:
        self.forgotten: list[tuple[str, int, int]] = []

    async def forget(self, attempts: Sequence[tuple[str, int, int]]) -> None:
        """See LedgerRecords."""
        self.forgotten += attempts


class FakePeople:
    """Everybody exists under our id, unless it is among the `strangers`; `known` holds other ids of people."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.strangers: set[str] = set()

    async def find(self, project: str, reference: str) -> str | None:
        """See People."""
        own = None if reference in self.strangers or parse(reference) is None else reference
        return self.known.get(reference, own)


class FakeZones:
    """Everyone is where `zone` says; nowhere that can be found out while it is None."""

    def __init__(self) -> None:
        self.zone: str | None = "Europe/Berlin"

    async def zone_of(self, user_id: str, channel: Channel) -> str:
        if self.zone is None:
            raise Unavailable("user_svc is away")
        return self.zone


class FakeFiles:
    """Keeps nothing, and says under which id it would. `waits` are how long after acceptance the notifications begin."""

    def __init__(self) -> None:
        self.waits: list[timedelta] = []

    async def keep(
        self, project: str, notification_id: UUID, user_id: str, files: Sequence[AttachedFile], wait: timedelta
    ) -> tuple[AttachedFile, ...]:
        """See AttachmentClient."""
        self.waits.append(wait)
        return tuple(each._replace(content=b"", attachment_id="a" * 64, size_bytes=len(each.content)) for each in files)


class FakeTexts:
    """Says of no text that it is too large. `asked` holds the templates that were asked about."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.error: ServiceError | None = None

    async def check_size(self, draft: Draft, template: TemplateSummary) -> None:
        """See RenderedTexts."""
        self.asked.append(template.name)
        if self.error is not None:
            raise self.error
