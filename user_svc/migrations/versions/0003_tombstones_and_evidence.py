"""What is kept of a device whose token is gone, and why an address is suppressed."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("devices", sa.Column("remove_time", sa.DateTime(timezone=True)))
    op.add_column("devices", sa.Column("remove_reason", sa.Text, nullable=False, server_default=""))
    op.add_column("suppressions", sa.Column("evidence", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("suppressions", "evidence")
    op.execute("DELETE FROM devices WHERE remove_time IS NOT NULL")
    op.drop_column("devices", "remove_reason")
    op.drop_column("devices", "remove_time")
