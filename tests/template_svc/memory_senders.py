"""The in-memory stand-in for the senders in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime

from template_svc.senders.errors import DomainInUse, TooMany
from template_svc.senders.models import (
    MAX_PER_PROJECT,
    NO_IDENTITIES,
    DomainKey,
    Identities,
    Identity,
    Look,
    NewSender,
    Record,
    Sender,
    SenderDomain,
    SenderKey,
    SigningKey,
)


class MemorySenders:
    """Implements `use_cases.SenderStore`, without the templates that use senders."""

    def __init__(self) -> None:
        self._senders: dict[SenderKey, Sender] = {}
        self._domains: dict[DomainKey, SenderDomain] = {}
        self._keys: dict[DomainKey, SigningKey] = {}
        self._next: dict[DomainKey, SigningKey] = {}

    async def put(self, key: SenderKey, new: NewSender, now: datetime) -> Sender | None:
        if new.domain is not None and not self._verified(DomainKey(key.project, new.domain)):
            return None
        if key not in self._senders and len(await self.list(key.project)) == MAX_PER_PROJECT:
            raise TooMany("senders", MAX_PER_PROJECT)
        for each in [each for each in self._senders if new.is_default and each.project == key.project]:
            self._senders[each] = replace(self._senders[each], is_default=False)
        parts = {each.name: getattr(new, each.name) for each in fields(new)}
        self._senders[key] = Sender(**parts, name=key.name, update_time=now)
        return self._senders[key]

    async def list(self, project: str) -> Sequence[Sender]:
        return [sender for key, sender in sorted(self._senders.items(), key=lambda item: item[0]) if key.project == project]

    async def find(self, key: SenderKey) -> Sender | None:
        return self._senders.get(key)

    async def delete(self, key: SenderKey) -> bool:
        return self._senders.pop(key, None) is not None

    async def identities(self, project: str) -> Identities:
        found = {sender.name: self._identity(project, sender) for sender in await self.list(project)}
        default = next((found[sender.name] for sender in await self.list(project) if sender.is_default), None)
        return Identities(found, default) if found else NO_IDENTITIES

    async def check_room(self, project: str) -> None:
        if len(await self.list_domains(project)) >= MAX_PER_PROJECT:
            raise TooMany("sender domains", MAX_PER_PROJECT)

    async def add_domain(self, key: DomainKey, signing: SigningKey, now: datetime) -> SenderDomain:
        if key not in self._domains:
            if len(await self.list_domains(key.project)) == MAX_PER_PROJECT:
                raise TooMany("sender domains", MAX_PER_PROJECT)
            self._domains[key] = SenderDomain(Record(key.domain, signing.selector, signing.public_key), False, "", now, None)
            self._keys[key] = signing
        return self._domains[key]

    async def list_domains(self, project: str) -> Sequence[SenderDomain]:
        return [domain for key, domain in sorted(self._domains.items(), key=lambda item: item[0]) if key.project == project]

    async def find_domain(self, key: DomainKey) -> SenderDomain | None:
        return self._domains.get(key)

    async def record_look(self, key: DomainKey, look: Look, now: datetime) -> SenderDomain | None:
        known = self._domains.get(key)
        if known is None:
            return None
        found = replace(known, check_time=now)
        if known.selector == look.selector:
            found = replace(found, verified=known.verified or not look.problem, problem=look.problem)
        if known.next is not None and known.next.selector == look.next_selector:
            found = replace(found, next_problem=look.next_problem) if look.next_problem else self._rotated(key, found, now)
        self._domains[key] = found
        return found

    async def begin_rotation(self, key: DomainKey, signing: SigningKey) -> SenderDomain | None:
        known = self._domains.get(key)
        if known is None or known.next is not None:
            return known
        self._next[key] = signing
        self._domains[key] = replace(known, next=Record(key.domain, signing.selector, signing.public_key), next_problem="")
        return self._domains[key]

    def _rotated(self, key: DomainKey, known: SenderDomain, now: datetime) -> SenderDomain:
        assert known.next is not None
        self._keys[key] = self._next.pop(key)
        rotated = replace(known, record=known.next, verified=True, problem="", former=known.record, rotate_time=now)
        return replace(rotated, next=None, next_problem="")

    async def delete_domain(self, key: DomainKey) -> bool:
        names = [sender.name for sender in await self.list(key.project) if sender.domain == key.domain]
        if names:
            raise DomainInUse(names)
        return self._domains.pop(key, None) is not None

    async def signing_key(self, key: DomainKey) -> SigningKey | None:
        return self._keys[key] if self._verified(key) else None

    def _verified(self, key: DomainKey) -> bool:
        return key in self._domains and self._domains[key].verified

    def _identity(self, project: str, sender: Sender) -> Identity:
        domain = self._domains.get(DomainKey(project, sender.domain or ""))
        signed = (domain.domain, domain.selector) if domain is not None else ()
        return Identity(sender.email, sender.display_name, sender.reply_to_email, *signed)
