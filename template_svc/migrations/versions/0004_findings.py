"""What a check finds in a version, and the schema of its variables. Versions from before have neither."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COLUMNS = {"findings": "[]", "variables_schema": "{}"}


def upgrade() -> None:
    """The defaults stay until the last process of the release before is gone: it knows none of these."""
    columns = ", ".join(f"ADD COLUMN {name} jsonb NOT NULL DEFAULT '{empty}'" for name, empty in _COLUMNS.items())
    op.execute(f"ALTER TABLE template_versions {columns}")


def downgrade() -> None:
    """Sends are no longer checked by a schema."""
    columns = ", ".join(f"DROP COLUMN {name}" for name in _COLUMNS)
    op.execute(f"ALTER TABLE template_versions {columns}")
