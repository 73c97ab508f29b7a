"""Many questions, one answer each, in a constant number of statements."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from mesh import ids
from naming.email_address import check_email, email_key
from naming.text import check_name
from user_svc.audit.models import AuditKind, KeepEvent, NewEvent, person
from user_svc.fields import locale_or_default, timezone_or_default
from user_svc.policies.models import FrequencyLimit, ProjectRules
from user_svc.preferences.models import Channel
from user_svc.recipients.models import (
    Address,
    Contact,
    Decision,
    Ended,
    Ensured,
    Limited,
    NewDevice,
    NewUser,
    Query,
    Recipient,
    Token,
    UserReference,
    Verdict,
    decide,
)
from user_svc.suppressions.models import Hold
from user_svc.users.errors import UserNotFound


class ContactStore(Protocol):
    """Where contacts are read, each method in one statement however many are asked for."""

    async def contacts(self, wants_devices: Mapping[str, bool]) -> Mapping[str, Contact]:
        """The people among the ids, by id; with their devices only where the value is true."""

    async def holds(self, addresses: Collection[Address]) -> Mapping[Address, tuple[Hold, ...]]:
        """What the suppression list has of those among the addresses that are on it."""

    async def projects(self, user_ids: Collection[str]) -> Mapping[str, str]:
        """The projects of those of the ids that are people."""

    async def resolve(self, references: Collection[UserReference]) -> Mapping[UserReference, str]:
        """Our ids of those of the references that belong to people."""

    async def has_address(self, user_id: str, address: str) -> bool:
        """Whether it is one of the person's, in whichever case, verified or not."""

    async def admit(self, asked: Sequence[Limited]) -> Collection[Limited]:
        """Counts those that their limits leave room for, and which those are. One that was counted before is, and counts no more."""

    async def admissible(self, asked: Sequence[Limited]) -> Collection[Limited]:
        """Which of these, each for itself, their limits leave room for; counts none."""

    async def uncount(self, ended: Collection[Ended]) -> None:
        """These count for no limit any more; most have counted for none."""

    async def ensure(self, users: Sequence[NewUser], *, only_existing: bool = False) -> Mapping[Address, str]:
        """Our ids of the users with these addresses, which differ; makes those that there are not, or leaves them out."""

    async def ensure_devices(self, devices: Sequence[NewDevice], *, only_existing: bool = False) -> Mapping[Token, Ensured]:
        """Who has these devices, which differ; makes users with those that no one has, or leaves them out. A removed one stays removed."""

    async def remove_devices(self, device_ids: Collection[str], reason: str = "") -> None:
        """Leaves a tombstone of each."""


class Rules(Protocol):
    """What projects have decided."""

    async def rules_of(self, projects: Collection[str]) -> Mapping[str, ProjectRules]:
        """The rules of each of the projects."""


class Recipients:
    """Answers the other services of the mesh; never a person."""

    def __init__(self, store: ContactStore, rules: Rules, *, audit: KeepEvent, now: Callable[[], datetime]) -> None:
        self._store = store
        self._rules = rules
        self._audit = audit
        self._now = now

    async def resolve_recipients(self, queries: Sequence[Query]) -> list[Recipient]:
        """One answer per query, in the same order. What is to be sent counts for the limit of its category, where it has a name."""
        asked = {query.user_id: ids.canonical(query.user_id) for query in queries}
        wants_devices: dict[str, bool] = {}
        for query in queries:
            user_id = asked[query.user_id]
            if user_id is not None:
                wants_devices[user_id] = wants_devices.get(user_id, False) or query.channel is Channel.PUSH
        contacts = await self._store.contacts(wants_devices) if wants_devices else {}
        known = [(query, contacts.get(asked[query.user_id] or "")) for query in queries]
        given = {_given(query, contact) for query, contact in known if query.email and contact is not None}
        holds = await self._store.holds(given) if given else {}
        rules = await self._rules.rules_of({contact.project for contact in contacts.values()}) if contacts else {}
        now = self._now()
        answers = [_answer(query, contact, holds, rules, now) for query, contact in known]
        await self._keep_limits(queries, answers)
        return answers

    async def _keep_limits(self, queries: Sequence[Query], answers: list[Recipient]) -> None:
        """Skips those of which their people have had enough."""
        asked = {
            index: _limited(queries[index], answer.contact, answer.verdict.limit)
            for index, answer in enumerate(answers)
            if answer.verdict.limit is not None and answer.contact is not None
        }
        named = dict.fromkeys(one for one in asked.values() if one.notification_id)
        others = [one for one in asked.values() if not one.notification_id]
        room = {*(await self._store.admit(list(named)) if named else ()), *(await self._store.admissible(others) if others else ())}
        for index, one in asked.items():
            if one not in room:
                verdict = Verdict(Decision.SKIP, f"limit:{one.category}:{one.limit}")
                answers[index] = replace(answers[index], verdict=verdict)

    async def uncount(self, ended: Sequence[Ended]) -> None:
        """What ended unsent leaves room for another one. What is no id is no one's."""
        known_form = {
            Ended(user_id, notification_id)
            for one in ended
            if (user_id := ids.canonical(one.user_id)) and (notification_id := ids.canonical(one.notification_id))
        }
        if known_form:
            await self._store.uncount(known_form)

    async def check_users(self, user_ids: Sequence[str]) -> dict[str, str]:
        """The projects of those of the ids that are people, by the id as it was asked."""
        asked = {user_id: canonical for user_id in user_ids if (canonical := ids.canonical(user_id)) is not None}
        projects = await self._store.projects(set(asked.values())) if asked else {}
        return {user_id: projects[canonical] for user_id, canonical in asked.items() if canonical in projects}

    async def concerns(self, project: str, user_id: str, address: str, *, only_their_own: bool) -> bool:
        """Whether the project has this person; with `only_their_own`, whether the address is one of theirs, too."""
        canonical = ids.canonical(user_id)
        if canonical is None or (await self._store.projects([canonical])).get(canonical) != project:
            return False
        return not only_their_own or await self._store.has_address(canonical, email_key(address) or address)

    async def resolve(self, references: Sequence[UserReference]) -> Mapping[UserReference, str]:
        """Our ids of those of the references that belong to people of their projects."""
        asked = {one for one in references if "\0" not in one.reference}
        return await self._store.resolve(asked) if asked else {}

    async def find(self, project: str, reference: str) -> Contact | None:
        """The project's person who has this id, ours or the project's own; without devices."""
        user_id = (await self.resolve([UserReference(project, reference)])).get(UserReference(project, reference))
        return (await self._store.contacts({user_id: False})).get(user_id) if user_id is not None else None

    async def describe(self, project: str, reference: str, *, content_of: str = "", asked_by: str = "", audit_id: str = "") -> Contact:
        """As `find`. That the text of a notification is shown to `asked_by` is on record before this answers, once for each `audit_id`.

        Raises UserNotFound.
        """
        contact = await self.find(project, reference)
        if contact is None:
            raise UserNotFound
        if content_of:
            details = {"notification": content_of}
            origin = ids.canonical(audit_id)
            await self._audit(NewEvent(project, AuditKind.CONTENT_READ, person(contact.user_id), asked_by or None, details, origin))
        return contact

    async def ensure_users(self, users: Sequence[NewUser | NewDevice], *, only_existing: bool = False) -> list[Ensured]:
        """The users with these addresses or devices, in the same order; of two who have the same one the first one's name counts.

        With `only_existing` no one is made, and the ids are empty where there is no one.

        Raises InvalidArgument for what can be no address, language, time zone or name.
        """
        checked = [_checked(index, user) for index, user in enumerate(users)]
        people = {user.address: user for user in reversed(checked) if isinstance(user, NewUser)}
        devices = {device.key: device for device in reversed(checked) if isinstance(device, NewDevice)}
        found = await self._store.ensure(list(people.values()), only_existing=only_existing) if people else {}
        known = await self._store.ensure_devices(list(devices.values()), only_existing=only_existing) if devices else {}
        return [Ensured(found.get(one.address, "")) if isinstance(one, NewUser) else known.get(one.key, Ensured()) for one in checked]

    async def remove_devices(self, device_ids: Sequence[str], reason: str = "") -> None:
        """Marks devices as removed; unknown ids are no error."""
        known_form = {canonical for device_id in device_ids if (canonical := ids.canonical(device_id)) is not None}
        if known_form:
            await self._store.remove_devices(known_form, reason)


def _checked(index: int, user: NewUser | NewDevice) -> NewUser | NewDevice:
    field = f"users[{index}]"
    checked = user._replace(
        name=check_name(f"{field}.name", user.name),
        locale=locale_or_default(f"{field}.locale", user.locale),
        timezone=timezone_or_default(f"{field}.timezone", user.timezone),
    )
    return checked._replace(email=check_email(f"{field}.email", checked.email)) if isinstance(checked, NewUser) else checked


def _given(query: Query, contact: Contact) -> Address:
    """The address that stands in for the person's own."""
    return Address(contact.project, email_key(query.email) or query.email)


def _limited(query: Query, contact: Contact, limit: FrequencyLimit) -> Limited:
    return Limited(contact.user_id, query.category, query.test, query.notification_id, limit, query.at)


def _answer(
    query: Query, contact: Contact | None, holds: Mapping[Address, tuple[Hold, ...]], rules: Mapping[str, ProjectRules], now: datetime
) -> Recipient:
    if contact is None:
        return Recipient(decide(query, None), query.channel, None)
    if query.device_ids:
        contact = replace(contact, devices=tuple(one for one in contact.devices if one.device_id in query.device_ids))
    if query.email:
        contact = replace(contact, email=query.email, holds=holds.get(_given(query, contact), ()))
    return Recipient(decide(query, contact, rules[contact.project], now), query.channel, contact)
