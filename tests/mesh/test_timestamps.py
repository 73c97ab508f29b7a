"""Moments between datetime and Timestamp."""

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import text

from mesh.errors import InvalidArgument
from mesh.rpc.timestamps import from_timestamp
from mesh.stores.database import open_database
from mesh.stores.settings import DatabaseSettings
from tests.fixtures_postgres import NewDatabase

FIRST_S, LAST_S = -62_135_596_800, 253_402_300_799  # the years 1 to 9999


@pytest.mark.parametrize(("seconds", "nanos"), [(FIRST_S, 0), (FIRST_S, 1000), (FIRST_S + 1, 0), (LAST_S, 0), (LAST_S, 999_999_999)])
async def test_every_time_that_is_taken_comes_back_from_postgresql(seconds: int, nanos: int, postgres_url: NewDatabase) -> None:
    """Go's zero time too, which the driver would make an infinity without a zone."""
    moment = from_timestamp("t", Timestamp(seconds=seconds, nanos=nanos))
    async with open_database(DatabaseSettings(await postgres_url("gateway"))) as database, database.connect() as connection:
        stored = (await connection.execute(text("SELECT CAST(:moment AS timestamptz)"), {"moment": moment})).scalar_one()
    assert stored == moment
    assert stored < datetime.now(UTC) or seconds > 0


@pytest.mark.parametrize(("seconds", "nanos"), [(FIRST_S - 1, 0), (LAST_S + 1, 0), (0, -1), (0, 2_000_000_000), (2**62, 0)])
def test_a_time_that_can_not_be_is_refused(seconds: int, nanos: int) -> None:
    with pytest.raises(InvalidArgument, match="t: must be a time"):
        from_timestamp("t", Timestamp(seconds=seconds, nanos=nanos))
