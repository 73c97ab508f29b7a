"""What a key is narrowed to."""

from alembic import op

revision = "0021"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE api_keys ADD COLUMN restrictions jsonb")


def downgrade() -> None:
    op.execute("ALTER TABLE api_keys DROP COLUMN restrictions")
