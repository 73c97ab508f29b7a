"""Suppressions that are about one category, and such as end."""

from alembic import op

revision = "0017"
down_revision = "0018"
branch_labels = None
depends_on = None

_LISTS = ("suppressions", "category_suppressions")


def upgrade() -> None:
    op.execute("ALTER TABLE suppressions ADD COLUMN expire_time timestamptz")
    op.execute("""
        CREATE TABLE category_suppressions (
            project text COLLATE "C" NOT NULL REFERENCES projects (id), address text COLLATE "C" NOT NULL,
            category text COLLATE "C" NOT NULL, reason text NOT NULL, create_time timestamptz NOT NULL,
            evidence text NOT NULL DEFAULT '', expire_time timestamptz,
            PRIMARY KEY (project, address, category)
        )
    """)
    for table in _LISTS:
        op.execute(f"CREATE INDEX {table}_by_end ON {table} (expire_time) WHERE expire_time IS NOT NULL")


def downgrade() -> None:
    """What would have ended goes: without an end it would forbid for good."""
    op.execute("DROP TABLE category_suppressions")
    op.execute("DELETE FROM suppressions WHERE expire_time IS NOT NULL")
    op.execute("ALTER TABLE suppressions DROP COLUMN expire_time")
