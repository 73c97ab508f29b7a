"""Which app a device has, and when it was seen last."""

from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE devices ADD COLUMN app text NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE devices ADD COLUMN seen_time timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE devices DROP COLUMN seen_time")
    op.execute("ALTER TABLE devices DROP COLUMN app")
