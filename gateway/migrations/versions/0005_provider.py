"""Which provider took or refused a notification, in its timeline."""

from alembic import op

revision = "0005_provider"
down_revision = "0004_in_turn"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE timeline ADD COLUMN provider text NOT NULL DEFAULT ''")


def downgrade() -> None:
    op.execute("ALTER TABLE timeline DROP COLUMN provider")
