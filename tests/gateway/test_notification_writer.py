"""Group commit on a real PostgreSQL."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from gateway.accepting.models import Row
from gateway.accepting.notification_writer import NotificationWriter
from mesh.errors import Unavailable
from mesh.stores.database import Database, open_database
from mesh.stores.settings import DatabaseSettings
from mesh.testing import free_port
from tests.gateway.factories import make_row


class Heard:
    """What was committed, in batches."""

    def __init__(self) -> None:
        self.batches: list[list[Row]] = []

    def __call__(self, rows: Sequence[Row]) -> None:
        self.batches.append(list(rows))

    @property
    def ids(self) -> set[object]:
        return {row.id for batch in self.batches for row in batch}


async def count(database: Database, table: str) -> int:
    async with database.connect() as connection:
        return int((await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


async def test_rows_that_arrive_together_are_committed_together(database: Database) -> None:
    heard = Heard()
    journal = NotificationWriter(database, heard)
    rows = [make_row() for _ in range(50)]
    assert await asyncio.gather(*(journal.store(row) for row in rows)) == [None] * 50
    assert await count(database, "notifications") == 50
    assert heard.ids == {row.id for row in rows}
    assert len(heard.batches) < 10
    await journal.close()


async def test_fifty_rows_with_one_key_store_one(database: Database) -> None:
    """Also within one batch and across concurrent batches."""
    heard = Heard()
    journal, other = NotificationWriter(database, heard, max_batch=4), NotificationWriter(database, heard)
    rows = [make_row(key=b"k") for _ in range(50)]
    results = await asyncio.gather(*(store.store(row) for row, store in zip(rows, [journal, other] * 25, strict=True)))
    winners = [row for row, result in zip(rows, results, strict=True) if result is None]
    assert len(winners) == 1
    assert {result.response for result in results if result is not None} == {winners[0].response}
    assert await count(database, "notifications") == 1
    assert heard.ids == {winners[0].id}
    found = await journal.find(b"k" * 32)
    assert found is not None
    assert found.response == winners[0].response
    assert await journal.find(b"z" * 32) is None


async def test_a_batch_mixes_rows_with_and_without_keys(database: Database) -> None:
    heard = Heard()
    journal = NotificationWriter(database, heard)
    await journal.store(make_row(key=b"a"))
    results = await asyncio.gather(*(journal.store(row) for row in (make_row(), make_row(key=b"a"), make_row(key=b"b"))))
    assert [result is None for result in results] == [True, False, True]
    assert await count(database, "notifications") == 3


async def test_a_key_past_its_retention_is_free_again(database: Database) -> None:
    journal = NotificationWriter(database, Heard())
    await journal.store(make_row(key=b"a", create_time=datetime.now(UTC) - timedelta(hours=25)))
    assert await journal.find(b"a" * 32) is None
    assert await journal.store(make_row(key=b"a")) is None
    assert await journal.clean() == 0
    await journal.store(make_row(key=b"b", create_time=datetime.now(UTC) - timedelta(hours=25)))
    assert await journal.clean() == 1


async def test_a_row_that_postgresql_refuses_takes_no_neighbour_along(database: Database) -> None:
    journal = NotificationWriter(database, Heard())
    rows = [make_row(), make_row(category="nul\0"), make_row()]
    results = await asyncio.gather(*(journal.store(row) for row in rows), return_exceptions=True)
    assert results[0] is None
    assert isinstance(results[1], Exception)
    assert results[2] is None


async def test_a_database_that_is_down_answers_unavailable() -> None:
    async with open_database(DatabaseSettings(f"postgresql://127.0.0.1:{free_port()}/none")) as database:
        with pytest.raises(Unavailable):
            await NotificationWriter(database, Heard()).store(make_row())


async def test_labels_are_kept_as_json(database: Database) -> None:
    journal = NotificationWriter(database, Heard())
    await journal.store(make_row(metadata='{"order":"17"}'))
    async with database.connect() as connection:
        assert (await connection.execute(text("SELECT metadata->>'order' FROM notifications"))).scalar_one() == "17"


async def test_what_follows_a_commit_can_not_undo_it(database: Database) -> None:
    def fail(_: Sequence[Row]) -> None:
        raise LookupError

    journal = NotificationWriter(database, fail)
    assert await asyncio.gather(journal.store(make_row()), journal.store(make_row())) == [None, None]
    assert await count(database, "notifications") == 2
