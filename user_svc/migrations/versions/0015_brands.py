"""How a project's pages look."""

from alembic import op

revision = "0015"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE brands (
            project text COLLATE "C" PRIMARY KEY REFERENCES projects (id), name text NOT NULL, color text NOT NULL, logo text NOT NULL,
            home_url text NOT NULL, update_time timestamptz NOT NULL
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE brands")
