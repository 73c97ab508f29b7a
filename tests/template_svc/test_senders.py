"""Senders and their domains: one contract for the store in memory and the one in PostgreSQL, and a real DNS on loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from mesh.context import FIRST_PROJECT
from mesh.errors import InvalidArgument, ServiceError, Unavailable
from mesh.sealing import SealBroken, Sealer
from mesh.stores.database import Database
from template_svc.canaries.models import Share, Unit
from template_svc.canaries.repository import CanaryRepository
from template_svc.models import NO_MARK, VersionKey
from template_svc.repository import TemplateRepository
from template_svc.schedules.models import NewPlan, PlanKey
from template_svc.schedules.repository import PlanRepository
from template_svc.senders.book import FRESH_S, SenderBook
from template_svc.senders.dns import Dns
from template_svc.senders.errors import (
    DnsUnavailable,
    DomainInUse,
    DomainNotFound,
    DomainNotVerified,
    SenderInUse,
    SenderMissing,
    SenderNotFound,
    TooMany,
)
from template_svc.senders.keys import SEALED_FOR, new_signing_key
from template_svc.senders.models import (
    MAX_PER_PROJECT,
    DomainKey,
    Identities,
    Look,
    NewSender,
    SenderDomain,
    SenderKey,
    SigningKey,
    key_in,
    parents_of,
)
from template_svc.senders.repository import SenderRepository
from template_svc.senders.use_cases import SenderDomains, Senders, SenderStore
from tests.dns_server import DnsServer, open_dns_server
from tests.template_svc.factories import Clock, make_template, make_version
from tests.template_svc.memory_senders import MemorySenders

BILLING = SenderKey(FIRST_PROJECT, "billing")
SECRET = "a-sealing-secret-of-32-characters"


def sender(email: str = "billing@example.com", name: str = "Acme Billing", reply_to: str = "", *, default: bool = False) -> NewSender:
    return NewSender(email, name, reply_to, default, None)


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.processes)])
def store(request: pytest.FixtureRequest) -> SenderStore:
    """Both, one after the other."""
    if request.param == "memory":
        return MemorySenders()
    return SenderRepository(request.getfixturevalue("database"), Sealer(SECRET, SEALED_FOR))


@pytest.fixture
async def dns() -> AsyncIterator[DnsServer]:
    async with open_dns_server() as server:
        yield server


@pytest.fixture
def domains(store: SenderStore, dns: DnsServer, clock: Clock) -> SenderDomains:
    return SenderDomains(store, Dns([("127.0.0.1", dns.port)]), clock=clock)


@pytest.fixture
def senders(store: SenderStore, clock: Clock) -> Senders:
    return Senders(store, clock=clock, trusted={"trusted.example"})


async def verified(domains: SenderDomains, dns: DnsServer, name: str = "example.com", project: str = FIRST_PROJECT) -> None:
    added = await domains.add(project, name)
    dns.texts[added.record.name] = [added.record.value]
    assert (await domains.verify(project, name)).verified


async def test_a_domain_is_verified_by_its_record(domains: SenderDomains, dns: DnsServer, clock: Clock) -> None:
    added = await domains.add(FIRST_PROJECT, "Bücher.Example")
    assert (added.domain, added.verified, added.problem, added.check_time) == ("xn--bcher-kva.example", False, "", None)
    assert await domains.add(FIRST_PROJECT, "bücher.example") == added
    clock.advance(minutes=1)
    missing = await domains.verify(FIRST_PROJECT, "bücher.example")
    assert (missing.verified, missing.check_time) == (False, clock())
    assert added.record.name in missing.problem
    dns.texts[added.record.name] = ["v=DKIM1; k=rsa; p=AAAA"]
    assert "another key" in (await domains.verify(FIRST_PROJECT, "bücher.example")).problem
    # as providers' pages write it: split, with spaces, beside texts that are something else
    dns.texts[added.record.name] = ["hello", added.record.value.replace("; ", " ;") + " ; "]
    found = await domains.verify(FIRST_PROJECT, "bücher.example")
    assert (found.verified, found.problem) == (True, "")
    del dns.texts[added.record.name]
    gone = await domains.verify(FIRST_PROJECT, "bücher.example")
    assert (gone.verified, bool(gone.problem)) == (True, True)
    assert [each.domain for each in await domains.list(FIRST_PROJECT)] == ["xn--bcher-kva.example"]


async def test_a_record_of_another_project_verifies_nothing(domains: SenderDomains, dns: DnsServer) -> None:
    await verified(domains, dns)
    other = await domains.add("other", "example.com")
    assert not (await domains.verify("other", "example.com")).verified
    assert dns.texts.keys() == {(await domains.get(FIRST_PROJECT, "example.com")).record.name}
    dns.texts[other.record.name] = [(await domains.get(FIRST_PROJECT, "example.com")).record.value]
    assert not (await domains.verify("other", "example.com")).verified


async def test_dns_that_gives_no_answer_changes_nothing(domains: SenderDomains, dns: DnsServer) -> None:
    added = await domains.add(FIRST_PROJECT, "example.com")
    dns.broken = True
    with pytest.raises(DnsUnavailable):
        await domains.verify(FIRST_PROJECT, "example.com")
    assert await domains.get(FIRST_PROJECT, "example.com") == added


@pytest.mark.parametrize("name", ["", "com", "a b.example", "example.com/", "*.example.com", "-a.example", "1.2.3.4", "a\0.example"])
async def test_what_is_no_domain_is_refused(domains: SenderDomains, name: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await domains.add(FIRST_PROJECT, name)
    assert caught.value.violations[0].field == "domain"
    with pytest.raises(DomainNotFound):
        await domains.get(FIRST_PROJECT, name)


async def test_a_sender_needs_a_verified_domain_of_its_project(senders: Senders, domains: SenderDomains, dns: DnsServer) -> None:
    with pytest.raises(DomainNotVerified):
        await senders.put(BILLING, sender())
    await domains.add(FIRST_PROJECT, "example.com")
    with pytest.raises(DomainNotVerified):
        await senders.put(BILLING, sender())
    await verified(domains, dns)
    made = await senders.put(BILLING, sender("billing@example.com", "Acme Billing ", "help@elsewhere.example"))
    assert (made.email, made.display_name, made.reply_to_email) == ("billing@example.com", "Acme Billing", "help@elsewhere.example")
    for below in ("a@news.example.com", "a@NEWS.Example.COM"):
        assert (await senders.put(BILLING, sender(below))).domain == "example.com"
    for other in ("a@example.org", "a@badexample.com", "a@example.com.evil.example"):
        with pytest.raises(DomainNotVerified):
            await senders.put(BILLING, sender(other))
    with pytest.raises(DomainNotVerified):
        await senders.put(SenderKey("other", "billing"), sender())
    assert (await senders.put(SenderKey("other", "billing"), sender("a@mail.trusted.example"))).domain is None


@pytest.mark.parametrize(
    ("new", "field"),
    [
        (sender("nothing"), "sender.email"),
        (sender("a@example.com\r\nBcc: b@example.com"), "sender.email"),
        (sender("ä@example.com"), "sender.email"),
        (sender(name="Acme\nBilling"), "sender.display_name"),
        (sender(name="  "), "sender.display_name"),
        (sender(name="Acme\u2028Billing"), "sender.display_name"),
        (sender(name="Acme \u202emoc.knab"), "sender.display_name"),
        (sender(reply_to="x"), "sender.reply_to_email"),
    ],
)
async def test_what_can_not_be_a_header_is_refused(
    senders: Senders, domains: SenderDomains, dns: DnsServer, new: NewSender, field: str
) -> None:
    await verified(domains, dns)
    with pytest.raises(InvalidArgument) as caught:
        await senders.put(BILLING, new)
    assert caught.value.violations[0].field == field


async def test_one_sender_is_the_default(senders: Senders, store: SenderStore, domains: SenderDomains, dns: DnsServer) -> None:
    await verified(domains, dns)
    await verified(domains, dns, project="other")
    await asyncio.gather(*(senders.put(SenderKey(FIRST_PROJECT, name), sender(f"{name}@example.com", default=True)) for name in "abcde"))
    await senders.put(SenderKey("other", "z"), sender("z@example.com", default=True))
    found = await senders.list(FIRST_PROJECT)
    assert ([each.name for each in found], sum(each.is_default for each in found)) == (list("abcde"), 1)
    identities = await store.identities(FIRST_PROJECT)
    assert identities.default is not None
    assert identities.by_name["a"].email == "a@example.com"
    assert identities.of("none") == identities.of("") == identities.default
    assert identities.default.dkim_domain == "example.com"
    assert identities.default.dkim_selector == (await domains.get(FIRST_PROJECT, "example.com")).selector


async def test_what_is_in_use_stays(senders: Senders, domains: SenderDomains, dns: DnsServer) -> None:
    await verified(domains, dns)
    await senders.put(BILLING, sender())
    with pytest.raises(DomainInUse, match="billing"):
        await domains.delete(FIRST_PROJECT, "example.com")
    await senders.delete(BILLING)
    with pytest.raises(SenderNotFound):
        await senders.delete(BILLING)
    await domains.delete(FIRST_PROJECT, "example.com")
    with pytest.raises(DomainNotFound):
        await domains.signing_key(FIRST_PROJECT, "example.com")


async def test_a_key_signs_only_for_a_verified_domain(domains: SenderDomains, dns: DnsServer) -> None:
    added = await domains.add(FIRST_PROJECT, "example.com")
    with pytest.raises(DomainNotFound):
        await domains.signing_key(FIRST_PROJECT, "example.com")
    await verified(domains, dns)
    key = await domains.signing_key(FIRST_PROJECT, "example.com")
    assert (key.selector, key.public_key) == (added.selector, added.record.public_key)
    assert key.private_key.hex() not in repr(key)


async def test_the_next_key_signs_once_dns_shows_it(
    domains: SenderDomains, store: SenderStore, senders: Senders, dns: DnsServer, clock: Clock
) -> None:
    await verified(domains, dns)
    await senders.put(BILLING, sender())
    first = await domains.signing_key(FIRST_PROJECT, "example.com")
    begun = await domains.rotate(FIRST_PROJECT, "Example.com")
    assert begun.next is not None
    assert (begun.selector, begun.next.selector == first.selector) == (first.selector, False)
    assert (await domains.rotate(FIRST_PROJECT, "example.com")).next == begun.next  # not one more at each repetition
    waiting = await domains.verify(FIRST_PROJECT, "example.com")
    assert (waiting.problem, begun.next.name in waiting.next_problem, waiting.former) == ("", True, None)
    assert await domains.signing_key(FIRST_PROJECT, "example.com") == first
    # another key under the next selector is no proof
    dns.texts[begun.next.name] = [begun.record.value]
    assert "another key" in (await domains.verify(FIRST_PROJECT, "example.com")).next_problem
    dns.texts[begun.next.name] = [begun.next.value]
    clock.advance(minutes=1)
    done = await domains.verify(FIRST_PROJECT, "example.com")
    assert (done.record, done.next, done.next_problem, done.former, done.rotate_time) == (begun.next, None, "", begun.record, clock())
    second = await domains.signing_key(FIRST_PROJECT, "example.com")
    assert (second.selector, second.private_key == first.private_key) == (begun.next.selector, False)
    assert (await store.identities(FIRST_PROJECT)).by_name["billing"].dkim_selector == second.selector
    # the former record may go, and the next rotation is one like the first
    del dns.texts[begun.record.name]
    assert (await domains.verify(FIRST_PROJECT, "example.com")).problem == ""
    third = (await domains.rotate(FIRST_PROJECT, "example.com")).next
    assert third is not None
    assert third.selector not in {first.selector, second.selector}


async def test_a_present_record_that_is_gone_does_not_keep_the_next_one_from_signing(domains: SenderDomains, dns: DnsServer) -> None:
    """Who has overwritten it has a domain that is whole again."""
    await verified(domains, dns)
    begun = await domains.rotate(FIRST_PROJECT, "example.com")
    assert begun.next is not None
    dns.texts = {begun.next.name: [begun.next.value]}
    done = await domains.verify(FIRST_PROJECT, "example.com")
    assert (done.record, done.problem, done.verified) == (begun.next, "", True)


async def test_looks_and_rotations_at_the_same_time_end_with_one_key(domains: SenderDomains, store: SenderStore, dns: DnsServer) -> None:
    await verified(domains, dns)
    begun = await asyncio.gather(*(domains.rotate(FIRST_PROJECT, "example.com") for _ in range(4)))
    (waiting,) = {each.next for each in begun}
    assert waiting is not None
    dns.texts[waiting.name] = [waiting.value]
    ends = await asyncio.gather(*(domains.verify(FIRST_PROJECT, "example.com") for _ in range(4)))
    assert {each.record for each in ends} == {waiting}
    found = await domains.get(FIRST_PROJECT, "example.com")
    assert (found.record, found.former, found.problem) == (waiting, begun[0].record, "")
    # what was looked for before the rotation says nothing of the key that signs now
    late = await store.record_look(DomainKey(FIRST_PROJECT, "example.com"), Look(begun[0].selector, "gone"), found.create_time)
    assert late is not None
    assert late.problem == ""


async def test_there_is_nothing_to_rotate_of_a_domain_of_another_project(domains: SenderDomains, dns: DnsServer) -> None:
    await verified(domains, dns)
    with pytest.raises(DomainNotFound):
        await domains.rotate("other", "example.com")


async def test_a_project_has_so_many_and_no_more(store: SenderStore, clock: Clock) -> None:
    signing = SigningKey("s", b"k", "p")
    for number in range(MAX_PER_PROJECT):
        await store.add_domain(DomainKey(FIRST_PROJECT, f"d{number}.example"), signing, clock())
        await store.put(SenderKey(FIRST_PROJECT, f"s{number}"), sender(), clock())
    await store.add_domain(DomainKey(FIRST_PROJECT, "d0.example"), signing, clock())
    await store.put(SenderKey(FIRST_PROJECT, "s0"), sender(), clock())
    await store.check_room("another-project")
    with pytest.raises(TooMany):
        await store.check_room(FIRST_PROJECT)
    with pytest.raises(TooMany):
        await store.add_domain(DomainKey(FIRST_PROJECT, "one-more.example"), signing, clock())
    with pytest.raises(TooMany):
        await store.put(SenderKey(FIRST_PROJECT, "one-more"), sender(), clock())
    assert len(await store.list_domains(FIRST_PROJECT)) == len(await store.list(FIRST_PROJECT)) == MAX_PER_PROJECT


async def test_no_key_is_made_for_a_domain_that_is_one_too_many(clock: Clock) -> None:
    class FullStore(MemorySenders):
        async def check_room(self, project: str) -> None:
            raise TooMany("sender domains", MAX_PER_PROJECT)

        async def add_domain(self, key: DomainKey, signing: SigningKey, now: datetime) -> SenderDomain:
            raise AssertionError("a key was made")

    with pytest.raises(TooMany):
        await SenderDomains(FullStore(), Dns([]), clock=clock).add(FIRST_PROJECT, "one-more.example")


@pytest.mark.processes
async def test_keys_are_sealed_and_senders_of_published_versions_stay(database: Database, clock: Clock) -> None:
    store, templates = SenderRepository(database, Sealer(SECRET, SEALED_FOR)), TemplateRepository(database)
    key, signing = DomainKey(FIRST_PROJECT, "example.com"), new_signing_key()
    await store.add_domain(key, signing, clock())
    await store.record_look(key, Look(signing.selector, ""), clock())
    async with database.connect() as connection:
        rows = (await connection.exec_driver_sql("SELECT sealed_key FROM sender_domains")).all()
    assert signing.private_key[40:80] not in rows[0][0]
    with pytest.raises(SealBroken):
        await SenderRepository(database, Sealer("another-secret-of-32-characters!", SEALED_FOR)).signing_key(key)
    await store.put(BILLING, sender(), clock())
    template = await templates.insert(make_template(), clock())
    assert template is not None
    await templates.add_version(template, make_version(sender="billing"), True, clock())
    with pytest.raises(SenderInUse, match="welcome"):
        await store.delete(BILLING)
    await templates.add_version(template, make_version(), True, clock())
    assert await store.delete(BILLING)


@pytest.mark.processes
async def test_senders_of_versions_that_are_tried_or_planned_stay(database: Database, clock: Clock) -> None:
    """And a version whose sender is gone does not come into use: its mails would be from another one without a word."""
    store, templates = SenderRepository(database, None), TemplateRepository(database)
    await store.put(BILLING, sender(), clock())
    template = await templates.insert(make_template(), clock())
    assert template is not None
    await templates.add_version(template, make_version(), True, clock())
    await templates.add_version(template, make_version(sender="billing"), False, clock())
    second = VersionKey(*template.key, 2)
    canaries, plans = CanaryRepository(database), PlanRepository(database)
    assert await canaries.start(second, Share(10, Unit.NOTIFICATION), NO_MARK)
    with pytest.raises(SenderInUse, match="welcome"):
        await store.delete(BILLING)
    await canaries.stop(template.key, "")
    planned = NewPlan(PlanKey(FIRST_PROJECT, uuid4()), second, clock() + timedelta(days=1), NO_MARK, 0, None)
    assert await plans.add(planned)
    with pytest.raises(SenderInUse, match="welcome"):
        await store.delete(BILLING)
    await plans.cancel(planned.key, "")
    assert await store.delete(BILLING)
    uses: list[Awaitable[object]] = [
        templates.publish(second, clock()),
        canaries.start(second, Share(10, Unit.NOTIFICATION), NO_MARK),
        plans.add(planned._replace(key=PlanKey(FIRST_PROJECT, uuid4()))),
        templates.add_version(template, make_version(sender="billing"), True, clock()),
    ]
    for use in uses:
        with pytest.raises(SenderMissing, match="billing"):
            await use
    await store.put(BILLING, sender(), clock())
    assert await templates.publish(second, clock())


@pytest.mark.processes
async def test_a_sender_is_not_deleted_while_its_version_is_published(database: Database, clock: Clock) -> None:
    """Whichever comes first."""
    store, templates = SenderRepository(database, None), TemplateRepository(database)
    template = await templates.insert(make_template(), clock())
    assert template is not None
    await templates.add_version(template, make_version(), True, clock())
    await store.put(BILLING, sender(), clock())
    await templates.add_version(template, make_version(sender="billing"), False, clock())
    for _ in range(10):
        await store.put(BILLING, sender(), clock())
        await templates.publish(VersionKey(*template.key, 1), clock())
        results = await asyncio.gather(
            templates.publish(VersionKey(*template.key, 2), clock()), store.delete(BILLING), return_exceptions=True
        )
        assert [type(result) for result in results if isinstance(result, Exception)] in ([SenderInUse], [SenderMissing])


async def test_what_is_known_of_senders_is_read_again_and_outlives_the_store(clock: Clock) -> None:
    class Store(MemorySenders):
        reads, down = 0, False

        async def identities(self, project: str) -> Identities:
            self.reads += 1
            if self.down:
                raise Unavailable("down")
            return await super().identities(project)

    store = Store()
    book = SenderBook(store, lambda: clock().timestamp())
    await store.put(BILLING, sender(), clock())
    first = (await book.of([FIRST_PROJECT]))[FIRST_PROJECT]
    assert first == (await book.of([FIRST_PROJECT]))[FIRST_PROJECT]
    assert store.reads == 1
    store.down = True
    clock.advance(seconds=FRESH_S + 1)
    both = await book.of([FIRST_PROJECT, "other"])
    assert both[FIRST_PROJECT] == first
    assert isinstance(both["other"], ServiceError)
    store.down = False
    await store.delete(BILLING)
    assert (await book.of([FIRST_PROJECT]))[FIRST_PROJECT] != first


@pytest.mark.parametrize(
    ("record", "key"),
    [
        ("v=DKIM1; k=rsa; p=AB CD", "ABCD"),
        ("p=ABCD", "ABCD"),
        ("v=DKIM1;p=", ""),
        ("v=DKIM2; p=ABCD", ""),
        ("v=spf1 -all", ""),
        ("", ""),
        (";;=;p", ""),
    ],
)
def test_the_key_in_a_record(record: str, key: str) -> None:
    assert key_in(record) == key


def test_domains_above() -> None:
    assert parents_of("a.b.example.com") == ["a.b.example.com", "b.example.com", "example.com"]
    assert parents_of("com") == []
