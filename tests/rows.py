"""Looks for words in every row of every table of a database: what was erased must not be found anywhere."""

from collections.abc import Sequence

from sqlalchemy import text

from mesh.stores.database import Database

_TABLES = text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1")


async def rows_that_hold(database: Database, words: Sequence[str]) -> list[tuple[str, str]]:
    """Table and word of each find. Bytes are searched as they are, everything else as PostgreSQL prints it; case does not matter."""
    found: list[tuple[str, str]] = []
    async with database.connect() as connection:
        for table in (await connection.execute(_TABLES)).scalars():
            for row in (await connection.execute(text(f'SELECT * FROM "{table}"'))).all():
                printed = " ".join(_printed(value) for value in row).lower()
                found += [(table, word) for word in words if word.lower() in printed]
    return sorted(set(found))


def _printed(value: object) -> str:
    return bytes(value).decode("utf-8", "replace") if isinstance(value, bytes | memoryview) else str(value)
