"""Erasing a person, as a saga over the gateway and user_svc.

Up to the pivot nothing is lost: what waits to be sent is held back, sessions end. The pivot deletes the person in user_svc; from then on
the workers find no one to send to. What follows is done however long it takes. A sweep looks again once no gateway can remember the person
any more (`UserClient` does for a while), for what was accepted meanwhile.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol
from uuid import UUID

from gateway.sagas.errors import ErasureTurnedBack, StillPublishing, UserNotFound
from gateway.sagas.models import Kind
from mesh.context import FIRST_PROJECT, Caller
from mesh.ids import parse
from mesh.sagas.state import Definition, Saga, SagaState, Step


class Notifications(Protocol):
    """What the gateway holds of a person. Every method may be repeated."""

    async def hold(self, user_id: UUID) -> None:
        """Keeps what is not sent yet from being sent."""

    async def release(self, user_id: UUID) -> None:
        """Lets go on what was held back."""

    async def cancel(self, user_id: UUID) -> tuple[Sequence[UUID], int]:
        """Cancels what is not on the bus yet: which notifications, and how many are just being published."""

    async def redact(self, user_id: UUID) -> None:
        """Removes everything personal from what is not waiting to be sent."""

    async def attempts(self, user_id: UUID, *, within_s: float) -> Sequence[tuple[str, int, int]]:
        """The attempts that a provider has seen of notifications that have changed in the last seconds: notification, run, attempt."""


class Records(Protocol):
    """What the workers' ledger keeps of attempts."""

    @property
    def kept_s(self) -> float:
        """For how long."""

    async def forget(self, attempts: Sequence[tuple[str, int, int]]) -> None:
        """Removes those of these attempts, which are over. Raises ServiceError."""


class Captures(Protocol):
    """What the sandbox keeps of test keys' messages."""

    async def forget(self, user_id: str) -> None:
        """Removes all messages to a person. Raises ServiceError."""


class Attachments(Protocol):
    """The files that mails carry."""

    async def forget(self, user_id: str) -> None:
        """Removes what only this person's notifications carry. Raises ServiceError."""


class People(Protocol):
    """user_svc. Every method may be repeated, and raises ServiceError."""

    async def check_erasable(self, project: str, user_id: str, *, administrators: bool) -> None:
        """Asked now. Raises NotFound where the project has no such person.

        PermissionDenied for an administrator without `administrators`.
        """

    async def revoke_credentials(self, user_id: str) -> None:
        """Ends their sessions."""

    async def erase(self, user_id: str, asked_by: str) -> None:
        """Removes them, and puts who asked into the audit log."""

    async def find(self, project: str, reference: str) -> str | None:
        """Our id of the project's person who has this id, ours or the project's own."""


class Sagas(Protocol):
    """The orchestrator, as far as it is needed here."""

    async def start(self, kind: str, key: str, data: dict[str, Any], *, delay_s: float = 0.0) -> Saga:
        """Opens a saga; the open one of this kind and key, where there is one."""

    async def resume(self, saga: Saga) -> Saga:
        """Lets a suspended one go on."""

    async def wait(self, identifier: UUID, *, timeout_s: float) -> Saga | None:
        """The saga once it is over or suspended, or when the time is up."""


class OpenSagas(Protocol):
    """Where sagas are found."""

    async def find_open(self, kind: str, key: str) -> Saga | None:
        """The one that is not over."""


class Erasure:
    """The steps. `notify` is called with notifications that have changed; `sweep` opens the saga that looks again.

    A saga's data names the project, see `project_of`, and who asked.
    """

    def __init__(
        self,
        notifications: Notifications,
        people: People,
        captures: Captures,
        records: Records,
        *,
        attachments: Attachments,
        notify: Callable[[Iterable[UUID]], None],
        sweep: Callable[[Saga], Awaitable[None]],
    ) -> None:
        self._notifications = notifications
        self._people = people
        self._captures = captures
        self._records = records
        self._attachments = attachments
        self._notify = notify
        self._sweep = sweep

    def definitions(self) -> tuple[Definition, Definition]:
        """Erasing a person, and the sweep that follows."""
        cancel, redact = Step("cancel_notifications", self.cancel), Step("redact_notifications", self.redact)
        steps = (
            Step("hold_notifications", self.hold, self.release),
            Step("revoke_credentials", self.revoke),
            Step("delete_user", self.delete, pivot=True),
            cancel,
            redact,
            Step("plan_sweep", self.plan_sweep),
        )
        return Definition(Kind.ERASURE, steps), Definition(Kind.ERASURE_SWEEP, (cancel, redact))

    async def hold(self, saga: Saga) -> None:
        await self._notifications.hold(UUID(saga.key))

    async def release(self, saga: Saga) -> None:
        await self._notifications.release(UUID(saga.key))

    async def revoke(self, saga: Saga) -> None:
        """Has no compensation: who is not deleted after all logs in again."""
        await self._people.revoke_credentials(saga.key)

    async def delete(self, saga: Saga) -> None:
        # one that an older version has begun does not say who asked
        await self._people.erase(saga.key, str(saga.data.get("asked_by", "")))

    async def cancel(self, saga: Saga) -> None:
        """Raises StillPublishing while some are neither on the bus nor here for sure."""
        cancelled, left = await self._notifications.cancel(UUID(saga.key))
        self._notify(cancelled)
        if left:
            raise StillPublishing

    async def redact(self, saga: Saga) -> None:
        """The ledger first, which is known by the rows: a provider's words stand there too."""
        person = UUID(saga.key)
        await self._records.forget(await self._notifications.attempts(person, within_s=self._records.kept_s))
        await self._notifications.redact(person)
        await self._captures.forget(saga.key)
        await self._attachments.forget(saga.key)

    async def plan_sweep(self, saga: Saga) -> None:
        await self._sweep(saga)


def project_of(saga: Saga) -> str:
    """The project whose person a saga is about. The table has a column made of it."""
    return str(saga.data.get("project", FIRST_PROJECT))


class Erasures:
    """Erases people on request."""

    def __init__(self, sagas: Sagas, store: OpenSagas, people: People) -> None:
        self._sagas = sagas
        self._store = store
        self._people = people

    async def erase(self, caller: Caller, user_id: str, *, timeout_s: float) -> Saga:
        """The saga that erases the person, once it is over or suspended, or as it is when the time is up.

        While one is open, asking again answers that one, and lets it go on when it was suspended. Raises UserNotFound, PermissionDenied for
        an administrator without the scope `users:admin`, ErasureTurnedBack, or Unavailable when it can't be found out whom the id is of.
        """
        parsed = parse(user_id)
        saga = await self._store.find_open(Kind.ERASURE, str(parsed)) if parsed is not None else None
        # one that is erased already is known by our id only
        key = str(parsed) if saga is not None else await self._people.find(caller.project, user_id)
        if key is None:
            raise UserNotFound
        saga = await self._store.find_open(Kind.ERASURE, key)
        if saga is not None and project_of(saga) != caller.project:
            raise UserNotFound
        if saga is None:
            await self._people.check_erasable(caller.project, key, administrators=caller.has("users:admin"))
            saga = await self._sagas.start(Kind.ERASURE, key, {"project": caller.project, "asked_by": caller.label})
        elif saga.state is SagaState.SUSPENDED:
            saga = await self._sagas.resume(saga)
        settled = await self._sagas.wait(saga.id, timeout_s=timeout_s) or saga
        if settled.state is SagaState.COMPENSATED:
            raise ErasureTurnedBack(str(settled.id))
        return settled
