"""Webhooks: an endpoint for the notifications to one person."""

from alembic import op

revision = "0013_webhook_person"
down_revision = "0012_webhooks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE webhook_endpoints ADD COLUMN user_id uuid")


def downgrade() -> None:
    op.execute("ALTER TABLE webhook_endpoints DROP COLUMN user_id")
