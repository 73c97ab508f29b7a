"""What becomes known of a notification after it was sent, and the place of such facts in the feed."""

from alembic import op

revision = "0015_delivery_facts"
down_revision = "0014_filters"
branch_labels = None
depends_on = None

_UP = (
    """
    CREATE TABLE delivery_facts (
        project text COLLATE "C" NOT NULL,
        notification_id uuid NOT NULL,
        source_key text COLLATE "C" NOT NULL,
        fact smallint NOT NULL,
        time timestamptz NOT NULL,
        provider text NOT NULL,
        reason text NOT NULL,
        detail text NOT NULL,
        create_time timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (project, notification_id, source_key)
    )
    """,
    "CREATE INDEX delivery_facts_by_age ON delivery_facts (create_time)",
    "ALTER TABLE changes ADD COLUMN fact smallint NOT NULL DEFAULT 0",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DELETE FROM changes WHERE fact <> 0")
    op.execute("ALTER TABLE changes DROP COLUMN fact")
    op.execute("DROP TABLE delivery_facts")
