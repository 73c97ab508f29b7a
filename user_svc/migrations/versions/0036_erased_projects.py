"""Projects that are being erased, and what is left of those that were."""

from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE projects ADD COLUMN erase_time timestamptz, ADD COLUMN gone boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    op.execute("ALTER TABLE projects DROP COLUMN gone, DROP COLUMN erase_time")
