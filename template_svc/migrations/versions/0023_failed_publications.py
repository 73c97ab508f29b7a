"""Which publication of its template was the last one when a plan failed, so that it is known whether one came after it."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE scheduled_publications ADD COLUMN last_publication bigint")


def downgrade() -> None:
    op.execute("ALTER TABLE scheduled_publications DROP COLUMN last_publication")
