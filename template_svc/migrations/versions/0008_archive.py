"""Templates and versions that are archived."""

from alembic import op

revision = "0008"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The defaults stay until the last process of the release before is gone: it archives nothing."""
    for table in ("templates", "template_versions"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN archive_time timestamptz, ADD COLUMN archived_by text NOT NULL DEFAULT ''")


def downgrade() -> None:
    """What was archived is in use again."""
    for table in ("templates", "template_versions"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN archive_time, DROP COLUMN archived_by")
