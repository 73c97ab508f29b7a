"""What an issuer's groups last let each of its people do."""

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # NULL where the last sign-in was before this was kept
    op.execute("ALTER TABLE identities ADD COLUMN scopes text[]")


def downgrade() -> None:
    op.execute("ALTER TABLE identities DROP COLUMN scopes")
