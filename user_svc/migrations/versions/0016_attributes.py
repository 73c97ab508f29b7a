"""Free data about people."""

from alembic import op

revision = "0016"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE users ADD COLUMN attributes jsonb")


def downgrade() -> None:
    op.execute("ALTER TABLE users DROP COLUMN attributes")
