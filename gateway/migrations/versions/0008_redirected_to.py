"""Where a reviewer has redirected a dead letter to: the address, masked."""

from alembic import op

revision = "0008_redirected_to"
down_revision = "0007_repeatable_calls"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE dead_letter_audit ADD COLUMN redirected_to text NOT NULL DEFAULT ''")


def downgrade() -> None:
    op.execute("ALTER TABLE dead_letter_audit DROP COLUMN redirected_to")
