"""The rules of reviewing what could not be delivered."""

import hashlib
from dataclasses import replace
from typing import NamedTuple, Protocol
from uuid import UUID

from google.protobuf.struct_pb2 import Struct

from gateway.dead_letters import models
from gateway.dead_letters.errors import AlreadyResolved, DeadLetterNotFound, NewRecipientNotFound, NotRequeuable
from gateway.dead_letters.models import Action, Actor, DeadLetter, DeadLetterFilters, Decided, Decision, Edit, Preview, State, View
from gateway.dead_letters.preview import variables_of
from gateway.notifications.models import OutboxItem
from mesh.context import Caller
from mesh.errors import ScopeMissing
from mesh.ids import parse
from mesh.rpc.paging import Page, page_size
from mesh.rpc.redaction import mask, scrub
from naming.email_address import check_email


class DeadLetterStore(Protocol):
    """Where dead letters are kept."""

    async def find(self, project: str, notification_id: UUID) -> DeadLetter | None:
        """The dead letter of a project's notification, with its audit trail."""

    async def find_delivery(self, notification_id: UUID) -> bytes | None:
        """The serialized Delivery that a requeue would continue from."""

    async def find_payload(self, notification_id: UUID) -> bytes | None:
        """The serialized Delivery of the notification's run."""

    async def list_page(self, filters: DeadLetterFilters, *, size: int, token: str) -> Page[DeadLetter]:
        """A page, newest first. Raises InvalidArgument for a token that does not fit."""

    async def decide(self, notification_id: UUID, decision: Decision, *, lease_s: float, edit: Edit) -> Decided:
        """Decides an open one, and starts its notification's next run where that is the decision; or does neither and says why."""

    async def note(self, letter: DeadLetter, action: Action, actor: Actor, words: str) -> None:
        """Writes an entry of the audit trail that decides nothing."""


class Publisher(Protocol):
    """Brings committed notifications to the bus."""

    def offer(self, jobs: list[OutboxItem]) -> None:
        """Publishes in the background."""


class PreviewSource(Protocol):
    """What would be sent."""

    async def preview(self, payload: bytes | None, *, full: bool) -> Preview:
        """The preview of a serialized Delivery; masked unless it is `full`."""

    async def check(self, payload: bytes | None, edit: Edit) -> None:
        """Raises InvalidArgument where no text can be made of the variables that an edit would leave."""


class People(Protocol):
    """Who exists."""

    async def find(self, project: str, reference: str) -> str | None:
        """Our id of the project's person who has this id, ours or the project's own. Raises Unavailable when that can't be found out."""


# Beside the one for reviewing: who repairs a delivery needs neither what it says nor to choose who gets it.
CONTENT_SCOPE, REDIRECT_SCOPE = "deadletters:content", "deadletters:redirect"


class Requeue(NamedTuple):
    """What a reviewer asks for. `user_id` and `email` are empty unless the recipient is edited, `key` is an idempotency key or empty,
    `variables` are those that are to be other ones.
    """

    note: str = ""
    user_id: str = ""
    email: str = ""
    key: str = ""
    variables: Struct | None = None


class DeadLetters:
    """The desk of the reviewers. Every decision keeps who made it, when and why; repeating one changes nothing."""

    def __init__(self, store: DeadLetterStore, publisher: Publisher, *, previews: PreviewSource, people: People, lease_s: float) -> None:
        self._store = store
        self._publisher = publisher
        self._previews = previews
        self._people = people
        self._lease_s = lease_s

    async def list_dead_letters(self, filters: DeadLetterFilters, size: int, token: str) -> Page[DeadLetter]:
        """A page, newest first."""
        page = await self._store.list_page(filters, size=page_size(size), token=token)
        return Page(tuple(map(_scrubbed, page.items)), page.next_token)

    async def get(self, caller: Caller, notification_id: str, view: View) -> DeadLetter:
        """The dead letter of a notification; who looks at personal data is noted first. Raises DeadLetterNotFound or ScopeMissing."""
        if view is View.FULL:
            _check_scope(caller, CONTENT_SCOPE)
        found = await self._find(caller, notification_id)
        payload = await self._store.find_delivery(found.notification_id)
        if view is View.FULL:
            await self._store.note(found, Action.VIEWED, actor_of(caller), "")
            found = await self._find(caller, notification_id)
        else:
            found = _scrubbed(found, payload)
        if view is View.BASIC:
            return found
        return replace(found, preview=await self._previews.preview(payload, full=view is View.FULL))

    async def requeue(self, caller: Caller, notification_id: str, wanted: Requeue) -> DeadLetter:
        """Sends the notification on its way again with fresh attempts, to another recipient and with other variables where they are given.

        Raises DeadLetterNotFound, AlreadyResolved, NotRequeuable, ScopeMissing, Unavailable, or InvalidArgument for a recipient that can't
        be, or variables of which no text can be made.
        """
        if wanted.user_id or wanted.email or wanted.variables is not None:
            _check_scope(caller, REDIRECT_SCOPE)
        identifier = (await self._find(caller, notification_id)).notification_id
        edit = await self._edit_of(caller, wanted)
        if edit.variables is not None:
            await self._previews.check(await self._store.find_delivery(identifier), edit)
        actor = actor_of(caller)
        request = _digest_of(actor, wanted.key) if wanted.key else None
        decision = Decision(State.REQUEUED, actor, tidy(wanted.note), request=request, test=caller.test)
        decided = await self._store.decide(identifier, decision, lease_s=self._lease_s, edit=edit)
        if decided.job is not None:
            self._publisher.offer([decided.job])
        refusal = decided.refusal
        if refusal is not None and refusal not in {models.NO_LETTER, models.DECIDED, models.REPEATED}:
            raise NotRequeuable(refusal.words)
        found = await self._get(caller, notification_id)
        if refusal is models.DECIDED and not (found.state is State.REQUEUED and await self._is_on_its_way(found, edit)):
            raise AlreadyResolved(found.state.name.lower())
        return found

    async def discard(self, caller: Caller, notification_id: str, note: str) -> DeadLetter:
        """Gives the notification up; it stays FAILED. Raises DeadLetterNotFound or AlreadyResolved."""
        decision = Decision(State.DISCARDED, actor_of(caller), tidy(note))
        identifier = (await self._find(caller, notification_id)).notification_id
        await self._store.decide(identifier, decision, lease_s=self._lease_s, edit=models.NO_EDIT)
        found = await self._get(caller, notification_id)
        if found.state is not State.DISCARDED:
            raise AlreadyResolved(found.state.name.lower())
        return found

    async def annotate(self, caller: Caller, notification_id: str, note: str) -> DeadLetter:
        """Adds a note to the audit trail. Raises DeadLetterNotFound."""
        found = await self._get(caller, notification_id)
        await self._store.note(found, Action.NOTED, actor_of(caller), tidy(note))
        return await self._get(caller, notification_id)

    async def _find(self, caller: Caller, notification_id: str) -> DeadLetter:
        found = await self._store.find(caller.project, _id_of(notification_id))
        if found is None:
            raise DeadLetterNotFound
        return found

    async def _get(self, caller: Caller, notification_id: str) -> DeadLetter:
        return _scrubbed(await self._find(caller, notification_id))

    async def _edit_of(self, caller: Caller, wanted: Requeue) -> Edit:
        user_id = None
        if wanted.user_id:
            found = await self._people.find(caller.project, wanted.user_id)
            if found is None:
                raise NewRecipientNotFound.of("user_id", "there is no such user")
            user_id = UUID(found)
        return Edit(user_id, check_email("email", wanted.email) if wanted.email else None, wanted.variables)

    async def _is_on_its_way(self, letter: DeadLetter, edit: Edit) -> bool:
        """Whether the last requeue sent what this one was to send to where it was to go, so that a repeated one is no error."""
        if not _is_on_its_way_to(letter, edit):
            return False
        return edit.variables is None or edit.varied(variables_of(await self._store.find_payload(letter.notification_id)))


def _scrubbed(letter: DeadLetter, payload: bytes | None = None) -> DeadLetter:
    """Without addresses in what providers and reviewers wrote, and without the values of the delivery's variables in the former."""
    audit = tuple(replace(entry, note=scrub(entry.note)) for entry in letter.audit)
    return replace(letter, detail=scrub(letter.detail, variables_of(payload)), note=scrub(letter.note), audit=audit)


def _is_on_its_way_to(letter: DeadLetter, edit: Edit) -> bool:
    """Whether the last requeue went where this one was to go, so that a repeated one is no error. Without an edit anywhere will do."""
    if edit == models.NO_EDIT:
        return True
    last = next((entry for entry in reversed(letter.audit) if entry.action is Action.REQUEUED), None)
    wanted = {name for name, value in edit._asdict().items() if value is not None}
    return (
        last is not None
        and set(last.changed) == wanted
        and edit.user_id in {None, letter.user_id}
        and (edit.email is None or last.redirected_to == mask(edit.email))
    )


def _check_scope(caller: Caller, scope: str) -> None:
    if not caller.has(scope):
        raise ScopeMissing(scope)


def actor_of(caller: Caller) -> Actor:
    """How the audit trail names a caller."""
    return Actor(caller.kind.value, caller.id)


def tidy(note: str) -> str:
    """A note as it can be stored."""
    return note.replace("\0", " ")


def _digest_of(actor: Actor, key: str) -> bytes:
    return hashlib.sha256(f"RequeueDeadLetter\n{actor}\n{key}".encode()).digest()


def _id_of(text: str) -> UUID:
    parsed = parse(text)
    if parsed is None:
        raise DeadLetterNotFound
    return parsed
