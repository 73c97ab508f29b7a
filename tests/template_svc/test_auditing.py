"""Entries for the audit log: written with what they are about, and handed over once, whatever breaks off."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from mesh.context import FIRST_PROJECT, CallContext, Caller, CallerKind, use
from mesh.errors import Unavailable
from mesh.sealing import Sealer
from mesh.stores.database import Database
from template_svc.archiving.repository import ArchiveRepository
from template_svc.auditing.models import WaitingEntry
from template_svc.auditing.repository import OutboxRepository
from template_svc.auditing.use_cases import Handover
from template_svc.canaries.models import Share, Unit
from template_svc.canaries.repository import CanaryRepository
from template_svc.models import NO_MARK, Mark, OnUnknown, TemplateChange, VersionKey
from template_svc.repository import TemplateRepository
from template_svc.schedules.models import DuePlan, NewPlan, PlanKey
from template_svc.schedules.repository import PlanRepository
from template_svc.senders.errors import SenderInUse
from template_svc.senders.models import DomainKey, Look, NewSender, SenderKey, SigningKey
from template_svc.senders.repository import SenderRepository
from tests.template_svc.factories import Clock, make_template, make_version

CALL = CallContext("c-1", "r-1", Caller(CallerKind.API_KEY, "k1", project=FIRST_PROJECT))
KEY, DOMAIN = SenderKey(FIRST_PROJECT, "billing"), DomainKey(FIRST_PROJECT, "example.com")
BILLING = NewSender("billing@example.com", "Billing", "", True, "example.com")


class Log:
    """An audit log that can be away."""

    def __init__(self) -> None:
        self.kept: dict[str, WaitingEntry] = {}
        self.away = False

    async def keep(self, entries: Sequence[WaitingEntry]) -> None:
        if self.away:
            raise Unavailable("away")
        self.kept |= {each.id: each for each in entries}

    @property
    def shown(self) -> list[tuple[str, str, dict[str, str]]]:
        return [(each.entry.kind.value, each.entry.subject, dict(each.entry.details)) for each in self.kept.values()]


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def handover(database: Database, log: Log) -> Handover:
    return Handover(OutboxRepository(database), log)


async def test_senders_and_domains(database: Database, handover: Handover, log: Log, clock: Clock) -> None:
    store = SenderRepository(database, Sealer("a-sealing-secret-of-32-characters", "test"))
    with use(CALL):
        for _ in range(2):  # what changes nothing is no event
            await store.add_domain(DOMAIN, SigningKey("s1", b"key", "public"), clock())
            await store.record_look(DOMAIN, Look("s1", ""), clock())
            await store.put(KEY, BILLING, clock())
            clock.advance(seconds=1)
        await store.put(KEY, NewSender("b@example.com", "", "", False, "example.com"), clock())
        await store.delete(KEY)
        assert not await store.delete(KEY)
        for _ in range(2):
            await store.begin_rotation(DOMAIN, SigningKey("s2", b"key", "next"))
        for _ in range(2):
            await store.record_look(DOMAIN, Look("s1", "", "s2", ""), clock())
        await store.delete_domain(DOMAIN)
    await handover.hand_over()
    domain, sender, of = "sender_domain:example.com", "sender:billing", {"domain": "example.com"}
    assert log.shown == [
        ("sender_domain_added", domain, {}),
        ("sender_domain_verified", domain, {}),
        ("sender_changed", sender, {**of, "default": "true"}),
        ("sender_changed", sender, of),
        ("sender_deleted", sender, {}),
        ("sender_domain_key_changed", domain, {"state": "begun"}),
        ("sender_domain_key_changed", domain, {"state": "done"}),
        ("sender_domain_deleted", domain, {}),
    ]
    entries = list(log.kept.values())
    assert {(each.entry.actor, each.correlation_id, each.entry.project) for each in entries} == {
        ("api_key:k1", CALL.correlation_id, "default")
    }
    assert not any("@" in str(each) for each in entries)


async def test_what_is_done_to_templates(database: Database, handover: Handover, log: Log, clock: Clock) -> None:
    templates, archive, canaries = TemplateRepository(database), ArchiveRepository(database), CanaryRepository(database)
    plans = PlanRepository(database)
    template = await templates.insert(make_template(), clock())
    assert template is not None
    for published in (True, False, False):
        await templates.add_version(template, make_version(), published, clock(), Mark("user:1", ""))
    second, third = (VersionKey(*template.key, number) for number in (2, 3))
    await canaries.start(second, Share(5, Unit.NOTIFICATION), NO_MARK)
    await canaries.stop(template.key, "")
    await canaries.stop(template.key, "")
    plan = PlanKey(FIRST_PROJECT, uuid4())
    await plans.add(NewPlan(plan, second, clock() + timedelta(days=1), Mark("api_key:k1", ""), 0, None))
    async with database.begin() as connection:
        await connection.execute(text("UPDATE scheduled_publications SET publish_at = now()"))
    await plans.carry_out(DuePlan(plan, template.key))
    for _ in range(2):
        await archive.archive_version(third, clock(), "")
    for _ in range(2):
        await archive.restore_version(third)
    for _ in range(2):
        await archive.archive(template.key, clock(), "")
    await archive.restore(template.key, clock())
    for _ in range(2):
        await templates.change(template.key, TemplateChange("news", "for ada@example.com", True, OnUnknown.HOLD), clock())
    await templates.change(template.key, TemplateChange(mandatory=False), clock())
    await templates.delete(template.key, clock())
    await handover.hand_over()
    assert [(kind, details) for kind, _, details in log.shown] == [
        ("template_published", {"version": "1", "previous": "0"}),
        ("canary_started", {"version": "2", "percent": "5"}),
        ("canary_stopped", {"version": "2"}),
        ("template_published", {"version": "2", "previous": "1", "plan": str(plan.id)}),
        ("template_archived", {"version": "3"}),
        ("template_restored", {"version": "3"}),
        ("template_archived", {}),
        ("template_restored", {}),
        (
            "template_updated",
            {"fields": "category,description,mandatory,on_unknown", "category": "news", "mandatory": "true", "on_unknown": "hold"},
        ),
        ("template_updated", {"fields": "mandatory", "mandatory": "false"}),
        ("template_deleted", {}),
    ]
    assert {subject for _, subject, _ in log.shown} == {"template:welcome"}
    # who has published, and who has planned it
    assert [each.entry.actor for each in log.kept.values() if each.entry.kind == "template_published"] == ["user:1", "api_key:k1"]


async def test_what_is_refused_is_no_event(database: Database, handover: Handover, log: Log, clock: Clock) -> None:
    store, templates = SenderRepository(database, None), TemplateRepository(database)
    template = await templates.insert(make_template(), clock())
    assert template is not None
    await store.put(KEY, NewSender("billing@example.com", "", "", False, None), clock())
    await templates.add_version(template, make_version(sender="billing"), True, clock())
    with pytest.raises(SenderInUse):
        await store.delete(KEY)
    await handover.hand_over()
    assert "sender_deleted" not in {kind for kind, _, _ in log.shown}


async def test_while_the_log_is_away_entries_wait_and_come_once(database: Database, handover: Handover, log: Log, clock: Clock) -> None:
    store, outbox = SenderRepository(database, None), OutboxRepository(database)
    names = [f"s{number}" for number in range(130)]
    for name in names:
        await store.put(SenderKey(f"project-{name}", name), NewSender("a@example.com", "", "", False, None), clock())
    log.away = True
    with pytest.raises(Unavailable):
        await handover.hand_over()
    assert len(await outbox.waiting(1000)) == 130
    log.away = False
    # broken off between the two: it is handed over again under the same ids
    await log.keep(await outbox.waiting(100))
    await handover.hand_over()
    assert [subject for _, subject, _ in log.shown] == [f"sender:{name}" for name in names]
    assert list(await outbox.waiting(1)) == []
