"""Entries of the audit log by their kind: one that is rare is found without reading all that is newer, such as guessed passwords."""

from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX audit_events_of_kind ON audit_events (project, kind, time, id)")


def downgrade() -> None:
    op.execute("DROP INDEX audit_events_of_kind")
