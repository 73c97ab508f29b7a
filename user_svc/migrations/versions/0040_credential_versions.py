"""How often a person's credentials were changed: a sign-in and a link that began before a change end with it."""

from alembic import op

revision = "0040"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE users ADD COLUMN credential_version integer NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE account_links ADD COLUMN credential_version integer NOT NULL DEFAULT 0")


def downgrade() -> None:
    op.execute("ALTER TABLE account_links DROP COLUMN credential_version")
    op.execute("ALTER TABLE users DROP COLUMN credential_version")
