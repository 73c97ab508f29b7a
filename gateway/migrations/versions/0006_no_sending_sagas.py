"""Ends the sagas of kind "sending": what an unsent notification took of its recipient's limit is given back without one."""

from alembic import op

revision = "0006_no_sending_sagas"
down_revision = "0005_provider"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DELETE FROM sagas WHERE kind = 'sending'")


def downgrade() -> None:
    """What was given back stays given back."""
