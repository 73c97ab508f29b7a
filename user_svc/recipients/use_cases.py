"""Many questions, one answer each, in a constant number of statements."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from mesh import ids
from naming.email_address import email_key
from user_svc.preferences.models import Channel
from user_svc.recipients.models import Contact, Query, Recipient, decide


class ContactStore(Protocol):
    """Where contacts are read, each method in one statement however many are asked for."""

    async def contacts(self, wants_devices: Mapping[str, bool]) -> Mapping[str, Contact]:
        """The people among the ids, by id; with their devices only where the value is true."""

    async def suppressed(self, addresses: Collection[str]) -> Mapping[str, str]:
        """Why those among the lower-case addresses that are suppressed are so, by address."""

    async def existing(self, user_ids: Collection[str]) -> Collection[str]: ...

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
        given = {email_key(query.email) or query.email for query in queries if query.email}
        suppressed = await self._store.suppressed(given) if given else {}
        return [_answer(query, contacts.get(asked[query.user_id] or ""), suppressed) for query in queries]

    async def check_users(self, user_ids: Sequence[str]) -> list[str]:
        """Those of the ids that are people, spelled as they were asked."""
        asked = {user_id: canonical for user_id in user_ids if (canonical := ids.canonical(user_id)) is not None}
        existing = set(await self._store.existing(set(asked.values()))) if asked else set()
        return [user_id for user_id, canonical in asked.items() if canonical in existing]

    async def remove_devices(self, device_ids: Sequence[str], reason: str = "") -> None:
        """Marks devices as removed; unknown ids are no error."""
        known_form = {canonical for device_id in device_ids if (canonical := ids.canonical(device_id)) is not None}
        if known_form:
            await self._store.remove_devices(known_form, reason)


def _answer(query: Query, contact: Contact | None, suppressed: Mapping[str, str]) -> Recipient:
    if query.email and contact is not None:
        contact = replace(contact, email=query.email, suppressed_for=suppressed.get(email_key(query.email) or query.email, ""))
    decision, rule = decide(query, contact)
    return Recipient(decision, rule, query.channel, contact)
