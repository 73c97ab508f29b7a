"""What the tests rely on: a database that another test had is as a new one, or is not used again."""

import subprocess
from uuid import uuid4

import asyncpg
import pytest

from devstack.postgres import BINARIES
from tests.fixtures_postgres import NewDatabase
from tests.pooled_databases import DatabasePool

_AUDITED = """INSERT INTO audit_events (project, kind, actor, subject, details, correlation_id) VALUES ('p', 'k', 'a', 's', '{}', 'c')"""
_ROWS = {
    # rows that a trigger protects, rows that migrations made, sequences
    "user_svc": f"""
        {_AUDITED}; INSERT INTO revocations (subject) SELECT 'key:' || n FROM generate_series(1, 3) n;
        DELETE FROM projects; INSERT INTO bootstraps (name) VALUES ('key'); UPDATE alembic_version SET version_num = '0000'
    """,
    "gateway": "DELETE FROM change_horizon; SELECT nextval('changes_seq_seq'); SELECT setval('dead_letter_audit_id_seq', 70)",
}
# The schema, the settings of the database, what the planner knows, and so much that scans become slow.
_LASTING = [
    "CREATE TABLE extra (id int)",
    "CREATE INDEX extra ON users (create_time)",
    "DROP INDEX audit_events_by_time",
    "ALTER TABLE bootstraps ALTER create_time SET DEFAULT '2020-01-01'",
    "ALTER TABLE bootstraps ALTER create_time DROP DEFAULT",
    "ALTER TABLE bootstraps ADD CHECK (name <> '')",
    "ALTER TABLE audit_events DISABLE TRIGGER ALL",
    "DROP TRIGGER audit_events_kept ON audit_events",
    "CREATE OR REPLACE FUNCTION keep_audit_events() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
    "ALTER SEQUENCE revocations_id_seq INCREMENT 2",
    "CREATE ROLE reader_of_pool; GRANT SELECT ON users TO reader_of_pool",
    "CREATE TYPE colour AS ENUM ('red')",
    "CREATE SCHEMA extra",
    "CREATE TEMP TABLE extra (id int)",
    "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET jit = on', current_database()); END $$",
    "INSERT INTO bootstraps (name) VALUES ('key'); ANALYZE bootstraps",
    "INSERT INTO revocations (subject) SELECT repeat('x', 100) FROM generate_series(1, 10000)",
]


@pytest.mark.parametrize("package", _ROWS)
async def test_a_database_whose_rows_were_changed_is_as_new(package: str, postgres_url: NewDatabase, _postgres_base_url: str) -> None:
    """Rows, sequences and sessions of the test before are gone, what the migrations wrote is there."""
    new = _dump(await postgres_url(package))
    pool, template = DatabasePool(_postgres_base_url, _prefix()), f"clarion_{package}"
    name = await pool.take(template)
    left_open = await asyncpg.connect(_postgres_base_url + name)
    await left_open.execute(_ROWS[package])
    assert _dump(_postgres_base_url + name) != new
    await left_open.execute("BEGIN; LOCK TABLE alembic_version")

    await pool.give_back(template, name)
    assert await pool.take(template) == name
    assert _dump(_postgres_base_url + name) == new
    with pytest.raises(asyncpg.InterfaceError, match="closed"):
        await left_open.execute("SELECT 1")


@pytest.mark.parametrize("statement", _LASTING)
async def test_a_database_with_another_schema_is_dropped(statement: str, postgres_url: NewDatabase, _postgres_base_url: str) -> None:
    """Its settings, what the planner knows of its rows, and its size count, too."""
    await postgres_url("user_svc")
    pool = DatabasePool(_postgres_base_url, _prefix())
    name = await pool.take("clarion_user_svc")
    connection = await asyncpg.connect(_postgres_base_url + name)
    await connection.execute(statement)
    await connection.close()

    await pool.give_back("clarion_user_svc", name)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(_postgres_base_url + name)


def _prefix() -> str:
    return f"pool_{uuid4().hex}"


def _dump(url: str) -> str:
    """Schema, rows and sequences. The key keeps pg_dump from drawing one, which would make each dump another."""
    command = [str(BINARIES / "pg_dump"), "--restrict-key=pool", "--dbname", url]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
