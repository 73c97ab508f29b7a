"""Facts about the user database: migrations make the tables that the code believes in, and no listed query reads a whole table."""

from collections.abc import Awaitable, Callable

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from mesh import ids
from mesh.context import FIRST_PROJECT
from mesh.stores.database import Database
from mesh.stores.migrations import upgrade
from tests.fixtures_postgres import NewDatabase
from tests.user_svc.conftest import Statements, Stores, explain
from tests.user_svc.factories import START
from user_svc.auth.models import RefreshToken
from user_svc.recipients.models import Address
from user_svc.tables import metadata

ID = ids.new_id()
QUERIES: dict[str, Callable[[Stores], Awaitable[object]]] = {
    "users": lambda stores: stores.users.list_newest_first(FIRST_PROJECT, "", ID, 51),
    "users by address": lambda stores: stores.users.list_newest_first(FIRST_PROJECT, "ada@example.com", None, 51),
    "a user": lambda stores: stores.users.find(FIRST_PROJECT, ID),
    "devices": lambda stores: stores.devices.list_newest_first(FIRST_PROJECT, ID),
    "preferences": lambda stores: stores.preferences.find(FIRST_PROJECT, ID),
    "suppressions": lambda stores: stores.suppressions.list_in_order(FIRST_PROJECT, ("ada@example.com", ""), 51, now=START),
    "suppressions of an address": lambda stores: stores.suppressions.list_in_order(
        FIRST_PROJECT, ("", ""), 51, now=START, address="ada@example.com"
    ),
    "ended suppressions": lambda stores: stores.suppressions.forget_ended(START),
    "api keys": lambda stores: stores.api_keys.list_working(FIRST_PROJECT, ID, 51, START),
    "an api key": lambda stores: stores.api_keys.find(b"hash"),
    "a login": lambda stores: stores.sessions.find_login(FIRST_PROJECT, "ada@example.com"),
    "a refresh": lambda stores: stores.sessions.rotate_refresh_token(b"a", b"b", now=START, expire_time=START),
    "a logout": lambda stores: stores.sessions.revoke_family_of(b"a"),
    "recipients": lambda stores: stores.contacts.contacts({ID: True}),
    "suppressed addresses": lambda stores: stores.contacts.holds([Address(FIRST_PROJECT, "ada@example.com")]),
    "known users": lambda stores: stores.contacts.projects([ID]),
    "dead devices": lambda stores: stores.contacts.remove_devices([ID]),
}
PAGED = {"users", "suppressions", "api keys"}


@pytest.mark.parametrize("name", QUERIES)
async def test_no_query_reads_a_whole_table(name: str, postgres_stores: Stores, database: Database, statements: Statements) -> None:
    """Each has an index for what it asks and for the order in which it answers."""
    await QUERIES[name](postgres_stores)
    for statement, parameters in list(statements.seen):
        plan = await explain(database, statement, parameters)
        assert "Seq Scan" not in plan, plan
        # What is not paged is sorted in memory: at most 50 devices or 200 rules of one person.
        assert "Sort" not in plan or name not in PAGED, plan


async def test_a_login_forgets_expired_tokens_by_index(postgres_stores: Stores, database: Database, statements: Statements) -> None:
    """The one statement that is no query of its own."""
    await postgres_stores.sessions.add_refresh_token(RefreshToken(b"a", ID, ID, START, START), 0)
    for statement, parameters in [each for each in statements.seen if each[0].startswith("DELETE")]:
        assert "Seq Scan" not in await explain(database, statement, parameters)


async def test_migrations_make_the_tables_of_the_code(database: Database) -> None:
    """Autogenerate would have nothing to add."""

    def differences(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), metadata)

    async with database.begin() as connection:
        assert await connection.run_sync(differences) == []


async def test_migrating_twice_changes_nothing(postgres_url: NewDatabase) -> None:
    """Every start of a deployment may do it."""
    url = await postgres_url("user_svc")
    await upgrade("user_svc", url)
