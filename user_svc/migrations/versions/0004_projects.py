"""Projects: every person, device, suppression and API key belongs to one. What is there already belongs to the first."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_OF_PROJECT = """ADD COLUMN project text COLLATE "C" NOT NULL DEFAULT 'default' REFERENCES projects (id)"""
_OWNED = ("users", "devices", "suppressions", "api_keys")


def upgrade() -> None:
    """The default stays until the last process of the release before is gone: it names no project."""
    op.execute("""
        CREATE TABLE projects (id text COLLATE "C" PRIMARY KEY, display_name text NOT NULL, create_time timestamptz NOT NULL DEFAULT now())
    """)
    op.execute("INSERT INTO projects (id, display_name) VALUES ('default', '')")
    for table in _OWNED:
        op.execute(f"ALTER TABLE {table} {_OF_PROJECT}")
    op.execute("DROP INDEX users_email")
    op.execute("CREATE UNIQUE INDEX users_email ON users (project, lower(email))")
    op.execute("CREATE INDEX users_of_project ON users (project, id)")
    op.execute("ALTER TABLE suppressions DROP CONSTRAINT suppressions_pkey, ADD PRIMARY KEY (project, address)")
    op.execute("ALTER TABLE devices DROP CONSTRAINT devices_token_sha256_key")
    op.execute("CREATE UNIQUE INDEX devices_by_token ON devices (project, token_sha256)")


def downgrade() -> None:
    """Only where everything is of the first project: two projects may have the same address."""
    op.execute("DROP INDEX devices_by_token")
    op.execute("ALTER TABLE devices ADD CONSTRAINT devices_token_sha256_key UNIQUE (token_sha256)")
    op.execute("ALTER TABLE suppressions DROP CONSTRAINT suppressions_pkey, ADD PRIMARY KEY (address)")
    op.execute("DROP INDEX users_of_project")
    op.execute("DROP INDEX users_email")
    op.execute("CREATE UNIQUE INDEX users_email ON users (lower(email))")
    for table in _OWNED:
        op.execute(f"ALTER TABLE {table} DROP COLUMN project")
    op.execute("DROP TABLE projects")
