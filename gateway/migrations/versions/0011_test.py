"""Which notifications a test key has sent: whatever becomes of their payload, they reach no provider."""

from alembic import op

revision = "0011_test"
down_revision = "0010_changes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE notifications ADD COLUMN test boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    op.execute("ALTER TABLE notifications DROP COLUMN test")
