"""When a project was taken out of use."""

from alembic import op

revision = "0035"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE projects ADD COLUMN archive_time timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE projects DROP COLUMN archive_time")
