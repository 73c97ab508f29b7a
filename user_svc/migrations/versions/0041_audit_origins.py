"""Entries of the audit log that another service has written down first, by their ids there, so that each is kept once."""

from alembic import op

revision = "0041"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE audit_events ADD COLUMN origin uuid")
    op.execute("CREATE UNIQUE INDEX audit_events_by_origin ON audit_events (origin) WHERE origin IS NOT NULL")


def downgrade() -> None:
    op.execute("ALTER TABLE audit_events DROP COLUMN origin")
