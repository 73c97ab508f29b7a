"""How many people user_svc decides about and takes in: its use cases on a real PostgreSQL, beside the bare query."""

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time

from devstack.postgres import PostgresServer
from mesh import ids
from mesh.context import FIRST_PROJECT
from mesh.stores import migrations
from mesh.stores.database import Database, open_database
from mesh.stores.settings import DatabaseSettings
from mesh.testing import caller
from user_svc.audit.repository import AuditRepository
from user_svc.policies.models import Category, DeliveryPolicy, FrequencyLimit
from user_svc.policies.repository import PolicyRepository
from user_svc.policies.use_cases import RuleBook
from user_svc.preferences.models import Channel, Choice, PreferenceRule
from user_svc.preferences.quiet_hours import QuietHours
from user_svc.recipients.models import Query
from user_svc.recipients.repository import ContactRepository
from user_svc.recipients.use_cases import Recipients
from user_svc.users.models import UserChanges
from user_svc.users.repository import UserRepository
from user_svc.users.use_cases import Users

_PEOPLE = 5000
_BATCH, _IMPORT_BATCH = 100, 1000
# As `clarion users import` does: while the server writes one, the next one is read and checked.
_IMPORTS_AT_ONCE = 2
_SECONDS = 4.0
_TURNS, _TURN_S = 3, 2.0
_NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
_CALLER = caller("users:write")
_NIGHT = QuietHours(clock_time(22), clock_time(7))
_CHOICES = "INSERT INTO preferences SELECT id, 'email', category, 'allow' FROM users, unnest(ARRAY['news', 'billing']) AS category"
_DELETE_SOME = f"DELETE FROM users WHERE id IN (SELECT id FROM users ORDER BY id OFFSET {_PEOPLE} LIMIT 5000) RETURNING id"
_SUPPRESSIONS = """
INSERT INTO suppressions (project, address, reason, create_time)
SELECT project, lower(email), 'bounce', now() FROM users WHERE abs(hashtext(id::text)) % 20 = 0
"""


async def measure(postgres: PostgresServer) -> dict[str, float]:
    """People/s, and how many of them a second of this process's CPU is enough for.

    `resolve`: batches of 100 with preferences, quiet hours, suppressions and a policy; of one in ten the category has a limit.
    `import`: batches of 1,000 by external id, two under way at a time; `import_alone` the same one after the other, in turn with them.
    """
    name = "bench_people"
    postgres.create_database(name)
    await migrations.upgrade("user_svc", postgres.url(name))
    async with open_database(DatabaseSettings(postgres.url(name))) as database:
        imported = await _import(database)
        await _decide_much(database)
        contacts = ContactRepository(database)
        recipients = Recipients(contacts, RuleBook(PolicyRepository(database)), audit=AuditRepository(database).add, now=lambda: _NOON)
        people = [row["id"] for row in await database.fetch("SELECT id::text AS id FROM users")]

        async def resolve(turn: int) -> int:
            asked = [people[(turn * _BATCH + number) % len(people)] for number in range(_BATCH)]
            queries = [
                Query(user_id, Channel.EMAIL, "news" if number % 10 == 0 else "billing", notification_id=ids.new_id())
                for number, user_id in enumerate(asked)
            ]
            await recipients.resolve_recipients(queries)
            return len(queries)

        async def look(turn: int) -> int:
            await contacts.contacts({people[(turn * _BATCH + number) % len(people)]: False for number in range(_BATCH)})
            return _BATCH

        resolved, resolved_cpu = await _rate(resolve)
        looked, _ = await _rate(look)
    return {
        "resolve_per_s": resolved,
        "resolve_per_cpu_s": resolved_cpu,
        "bare_query_per_s": looked,
        **imported,
    }


async def _import(database: Database) -> dict[str, float]:
    async def refuse(_field: str, _password: str, _words: Collection[str]) -> str:
        raise NotImplementedError

    users = Users(UserRepository(database), hash_password=refuse, now=lambda: datetime.now(UTC))
    batches = itertools.count()

    async def take_in(_turn: int) -> int:
        first = next(batches) * _IMPORT_BATCH
        await users.upsert_users(_CALLER, [_person(number) for number in range(first, first + _IMPORT_BATCH)])
        return _IMPORT_BATCH

    async def take_in_several(turn: int) -> int:
        return sum(await asyncio.gather(*(take_in(turn) for _ in range(_IMPORTS_AT_ONCE))))

    alone, together = zip(*[(await _rate(take_in, _TURN_S), await _rate(take_in_several, _TURN_S)) for _ in range(_TURNS)], strict=True)
    per_s, per_cpu_s = (round(statistics.median(values), 1) for values in zip(*together, strict=True))
    return {
        "import_per_s": per_s,
        "import_per_cpu_s": per_cpu_s,
        "import_alone_per_s": round(statistics.median(rate for rate, _ in alone), 1),
    }


async def _decide_much(database: Database) -> None:
    # in parts, since a statement has its time and a fast machine has taken in a hundred thousand
    while await database.fetch(_DELETE_SOME):
        pass
    for statement in (_CHOICES, _SUPPRESSIONS, "ANALYZE"):
        await database.fetch(statement)
    policies = PolicyRepository(database)
    rules = (PreferenceRule(Channel.ANY, "partners", Choice.DENY),)
    await policies.set_policy(FIRST_PROJECT, lambda _: DeliveryPolicy(rules, _NIGHT, _NOON))
    limit = FrequencyLimit(1000, timedelta(days=1))
    await policies.add(FIRST_PROJECT, Category("news", {}, mandatory=False, limit=limit, create_time=_NOON, update_time=_NOON))


async def _rate(work: Callable[[int], Awaitable[int]], seconds: float = _SECONDS) -> tuple[float, float]:
    await work(0)
    done, turn, began, cpu = 0, 1, time.perf_counter(), time.process_time()
    while (elapsed := time.perf_counter() - began) < seconds:
        done += await work(turn)
        turn += 1
    return round(done / elapsed, 1), round(done / (time.process_time() - cpu), 1)


def _person(number: int) -> UserChanges:
    return UserChanges(external_id=f"crm-{number}", email=f"p{number}@example.com", name="Ada", locale="pt-BR", timezone="Europe/Berlin")
