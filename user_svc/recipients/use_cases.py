"""Many questions, one answer each, in a constant number of statements."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from mesh import ids
from naming.email_address import email_key
from user_svc.preferences.models import Channel
from user_svc.recipients.models import Address, Contact, Query, Recipient, UserReference, decide


class ContactStore(Protocol):
    """Where contacts are read, each method in one statement however many are asked for."""

    async def contacts(self, wants_devices: Mapping[str, bool]) -> Mapping[str, Contact]:
        """The people among the ids, by id; with their devices only where the value is true."""

    async def suppressed(self, addresses: Collection[Address]) -> Mapping[Address, str]:
        """Why those among the addresses that are suppressed are so."""

    async def projects(self, user_ids: Collection[str]) -> Mapping[str, str]:
        """The projects of those of the ids that are people."""

    async def resolve(self, references: Collection[UserReference]) -> Mapping[UserReference, str]:
        """Our ids of those of the references that belong to people."""

    async def remove_devices(self, device_ids: Collection[str], reason: str = "") -> None:
        """Leaves a tombstone of each."""


class Recipients:
    """Answers the other services of the mesh; never a person."""

    def __init__(self, store: ContactStore) -> None:
        self._store = store

    async def resolve_recipients(self, queries: Sequence[Query]) -> list[Recipient]:
        """One answer per query, in the same order."""
        asked = {query.user_id: ids.canonical(query.user_id) for query in queries}
        wants_devices: dict[str, bool] = {}
        for query in queries:
            user_id = asked[query.user_id]
            if user_id is not None:
                wants_devices[user_id] = wants_devices.get(user_id, False) or query.channel is Channel.PUSH
        contacts = await self._store.contacts(wants_devices) if wants_devices else {}
        known = [(query, contacts.get(asked[query.user_id] or "")) for query in queries]
        given = {_given(query, contact) for query, contact in known if query.email and contact is not None}
        suppressed = await self._store.suppressed(given) if given else {}
        return [_answer(query, contact, suppressed) for query, contact in known]

    async def check_users(self, user_ids: Sequence[str]) -> dict[str, str]:
        """The projects of those of the ids that are people, by the id as it was asked."""
        asked = {user_id: canonical for user_id in user_ids if (canonical := ids.canonical(user_id)) is not None}
        projects = await self._store.projects(set(asked.values())) if asked else {}
        return {user_id: projects[canonical] for user_id, canonical in asked.items() if canonical in projects}

    async def resolve(self, references: Sequence[UserReference]) -> Mapping[UserReference, str]:
        """Our ids of those of the references that belong to people of their projects."""
        asked = {one for one in references if "\0" not in one.reference}
        return await self._store.resolve(asked) if asked else {}

    async def remove_devices(self, device_ids: Sequence[str], reason: str = "") -> None:
        """Marks devices as removed; unknown ids are no error."""
        known_form = {canonical for device_id in device_ids if (canonical := ids.canonical(device_id)) is not None}
        if known_form:
            await self._store.remove_devices(known_form, reason)


def _given(query: Query, contact: Contact) -> Address:
    """The address that stands in for the person's own."""
    return Address(contact.project, email_key(query.email) or query.email)


def _answer(query: Query, contact: Contact | None, suppressed: Mapping[Address, str]) -> Recipient:
    if query.email and contact is not None:
        contact = replace(contact, email=query.email, suppressed_for=suppressed.get(_given(query, contact), ""))
    decision, rule = decide(query, contact)
    return Recipient(decision, rule, query.channel, contact)
