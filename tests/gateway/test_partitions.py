"""Partitions: made ahead, filled from the default one, dropped past the retention."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from gateway.accepting.notification_writer import NotificationWriter
from gateway.notifications.models import Entry, Outcome, Status
from gateway.partitions import Maintenance
from gateway.settling.outcomes import Outcomes
from mesh.ids import least_at
from mesh.stores.database import Database
from tests.gateway.factories import make_row

NOW = datetime(2026, 11, 23, tzinfo=UTC)


async def partitions(database: Database) -> set[str]:
    query = "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relkind = 'r'"
    async with database.connect() as connection:
        return set((await connection.execute(text(query))).scalars())


async def count(database: Database, table: str) -> int:
    async with database.connect() as connection:
        return int((await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


async def test_months_are_made_ahead_and_old_ones_dropped(database: Database) -> None:
    journal = NotificationWriter(database, lambda _: None)
    maintenance = Maintenance(database, [journal.clean], retention_days=100)
    row = make_row(id=least_at(NOW), create_time=NOW)
    await journal.store(row)
    await Outcomes(database).apply([Outcome(row.id, Entry(NOW, Status.SENT, 0, 1))])
    assert await count(database, "notifications_default") == 1
    for _ in range(2):
        await maintenance.run_once(NOW)
    months = ("2026_11", "2026_12", "2027_01")
    assert await partitions(database) == {f"{table}_{m}" for table in ("notifications", "timeline") for m in (*months, "default")}
    assert await count(database, "notifications_2026_11") == await count(database, "timeline_2026_11") == 1
    assert await count(database, "notifications_default") == 0
    await maintenance.run_once(datetime(2027, 3, 1, tzinfo=UTC))
    assert "notifications_2026_11" in await partitions(database)
    await maintenance.run_once(datetime(2027, 3, 31, tzinfo=UTC))
    assert not {"notifications_2026_11", "timeline_2026_11"} & await partitions(database)
    assert await count(database, "notifications") == 0


async def test_indexes_reach_new_partitions(database: Database) -> None:
    await Maintenance(database, [NotificationWriter(database, lambda _: None).clean], retention_days=100).run_once(
        NOW + timedelta(days=400)
    )
    query = "SELECT count(*) FROM pg_indexes WHERE tablename = :name"
    async with database.connect() as connection:
        counts = [(await connection.execute(text(query), {"name": f"notifications_{m}"})).scalar_one() for m in ("default", "2027_12")]
    assert counts[0] == counts[1] > 5
