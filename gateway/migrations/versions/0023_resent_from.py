"""Which notification one sends again."""

from alembic import op

revision = "0023_resent_from"
down_revision = "0021_activity_by_version"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE notifications ADD COLUMN resent_from uuid")


def downgrade() -> None:
    op.execute("ALTER TABLE notifications DROP COLUMN resent_from")
