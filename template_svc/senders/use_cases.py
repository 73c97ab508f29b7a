"""What can be done with senders and their domains."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Protocol

from mesh.errors import InvalidArgument
from naming.email_address import check_email, domain_key
from naming.text import check_label, check_name
from template_svc.senders.book import IdentityStore
from template_svc.senders.errors import DomainNotFound, DomainNotVerified, SenderNotFound
from template_svc.senders.keys import new_signing_key
from template_svc.senders.models import DomainKey, Look, NewSender, Record, Sender, SenderDomain, SenderKey, SigningKey, key_in, parents_of


class SenderStore(IdentityStore, Protocol):
    """Where senders and sender domains live."""

    async def put(self, key: SenderKey, new: NewSender, now: datetime) -> Sender | None:
        """None, and nothing is changed, where the domain of `new` is not verified. Raises TooMany."""
        ...

    async def list(self, project: str) -> Sequence[Sender]:
        """By name."""
        ...

    async def find(self, key: SenderKey) -> Sender | None: ...

    async def delete(self, key: SenderKey) -> bool:
        """False when there is none. Raises SenderInUse."""
        ...

    async def check_room(self, project: str) -> None:
        """Raises what `add_domain` would raise for one more domain: TooMany, NoSealingSecret."""
        ...

    async def add_domain(self, key: DomainKey, signing: SigningKey, now: datetime) -> SenderDomain:
        """With this key, or as it is where it is there already. Raises TooMany."""
        ...

    async def list_domains(self, project: str) -> Sequence[SenderDomain]:
        """By name."""
        ...

    async def find_domain(self, key: DomainKey) -> SenderDomain | None: ...

    async def record_look(self, key: DomainKey, look: Look, now: datetime) -> SenderDomain | None:
        """What was found of keys that the domain still has: without a problem it is verified, and its next key signs from then on. None
        when the domain is gone.
        """
        ...

    async def begin_rotation(self, key: DomainKey, signing: SigningKey) -> SenderDomain | None:
        """With this key as the next, or as it is where one waits already. None when the domain is gone."""
        ...

    async def delete_domain(self, key: DomainKey) -> bool:
        """False when there is none. Raises DomainInUse."""
        ...

    async def signing_key(self, key: DomainKey) -> SigningKey | None:
        """None for a domain that is not there or not verified."""
        ...


class TextRecords(Protocol):
    """DNS."""

    async def texts(self, name: str) -> Sequence[str]:
        """The TXT records of a name. Raises DnsUnavailable."""
        ...


class Senders:
    """`trusted` are domains that every project may use. `clock` returns the time in UTC."""

    def __init__(self, store: SenderStore, *, clock: Callable[[], datetime], trusted: Collection[str] = ()) -> None:
        self._store = store
        self._clock = clock
        self._trusted = trusted

    async def put(self, key: SenderKey, new: NewSender) -> Sender:
        """Its `domain` is found here. Raises InvalidArgument, DomainNotVerified, TooMany."""
        email = check_email("sender.email", new.email)
        check_label("sender.display_name", check_name("sender.display_name", new.display_name))
        reply_to = check_email("sender.reply_to_email", new.reply_to_email) if new.reply_to_email else ""
        domain = email.rpartition("@")[2].lower()
        candidates = parents_of(domain)
        verified = {each.domain for each in await self._store.list_domains(key.project) if each.verified}
        # one that the project has verified comes before one that is trusted: its mails are signed
        allowed = next((each for each in candidates if each in verified), None)
        if allowed is None and not any(each in self._trusted for each in candidates):
            raise DomainNotVerified(domain)
        checked = NewSender(email, new.display_name.strip(), reply_to, new.is_default, allowed)
        sender = await self._store.put(key, checked, self._clock())
        if sender is None:  # the domain was deleted meanwhile
            raise DomainNotVerified(domain)
        return sender

    async def get(self, key: SenderKey) -> Sender:
        """Raises SenderNotFound."""
        sender = await self._store.find(key) if "\0" not in key.name else None
        if sender is None:
            raise SenderNotFound(key.name)
        return sender

    async def list(self, project: str) -> Sequence[Sender]:
        """By name."""
        return await self._store.list(project)

    async def delete(self, key: SenderKey) -> None:
        """Raises SenderNotFound, SenderInUse."""
        if "\0" in key.name or not await self._store.delete(key):
            raise SenderNotFound(key.name)


class SenderDomains:
    """The domains of a project. `clock` returns the time in UTC."""

    def __init__(self, store: SenderStore, records: TextRecords, *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._records = records
        self._clock = clock

    async def add(self, project: str, name: str) -> SenderDomain:
        """Raises InvalidArgument, TooMany, NoSealingSecret."""
        domain = domain_key(name)
        if domain is None or "." not in domain:
            raise InvalidArgument.of("domain", "must be a domain such as example.com")
        key = DomainKey(project, domain)
        known = await self._store.find_domain(key)
        if known is not None:
            return known
        # takes a tenth of a second, in which others are served: not for a domain that would be refused with it
        await self._store.check_room(project)
        signing = await asyncio.to_thread(new_signing_key)
        return await self._store.add_domain(key, signing, self._clock())

    async def get(self, project: str, name: str) -> SenderDomain:
        """Raises DomainNotFound."""
        return (await self._find(project, name))[1]

    async def list(self, project: str) -> Sequence[SenderDomain]:
        """By name."""
        return await self._store.list_domains(project)

    async def verify(self, project: str, name: str) -> SenderDomain:
        """Looks for the records. Raises DomainNotFound, DnsUnavailable."""
        key, domain = await self._find(project, name)
        look = Look(domain.selector, "")
        if domain.next is None:
            look = look._replace(problem=await self._problem(domain.record, "record"))
        else:
            both = self._problem(domain.record, "record"), self._problem(domain.next, "next_record")
            problem, next_problem = await asyncio.gather(*both)
            look = Look(domain.selector, problem, domain.next.selector, next_problem)
        return _there(await self._store.record_look(key, look, self._clock()), name)

    async def rotate(self, project: str, name: str) -> SenderDomain:
        """Has a key wait to take the present one's place. Raises DomainNotFound."""
        key, domain = await self._find(project, name)
        if domain.next is not None:
            return domain
        signing = await asyncio.to_thread(new_signing_key)
        return _there(await self._store.begin_rotation(key, signing), name)

    async def _problem(self, record: Record, field: str) -> str:
        """Empty where DNS shows the record. Raises DnsUnavailable."""
        keys = [found for text in await self._records.texts(record.name) if (found := key_in(text))]
        if not keys:
            return f"there is no DKIM record at {record.name}; add it as `{field}` says; DNS may take hours to show it"
        if keys != [record.public_key]:
            return f"the DKIM record at {record.name} holds another key, or more than one; replace it with the value of `{field}`"
        return ""

    async def delete(self, project: str, name: str) -> None:
        """Raises DomainNotFound, DomainInUse."""
        key, domain = await self._find(project, name)
        if not await self._store.delete_domain(key):
            raise DomainNotFound(domain.domain)

    async def signing_key(self, project: str, name: str) -> SigningKey:
        """Raises DomainNotFound, also for a domain that is not verified."""
        key = await self._store.signing_key(DomainKey(project, name)) if "\0" not in project + name else None
        if key is None:
            raise DomainNotFound(name)
        return key

    async def _find(self, project: str, name: str) -> tuple[DomainKey, SenderDomain]:
        key = DomainKey(project, domain_key(name) or "")
        domain = await self._store.find_domain(key)
        if domain is None:
            raise DomainNotFound(name)
        return key, domain


def _there(domain: SenderDomain | None, name: str) -> SenderDomain:
    """Raises DomainNotFound for one that was deleted meanwhile."""
    if domain is None:
        raise DomainNotFound(name)
    return domain
