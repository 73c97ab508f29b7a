"""Catalogues, and what is derived of contents when a version is created. Versions from before have neither."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COLUMNS = {"derived": "{}", "catalogs": "{}", "messages": "[]", "unused_variables": "{}"}


def upgrade() -> None:
    """The defaults stay until the last process of the release before is gone: it knows none of these."""
    columns = ", ".join(f"ADD COLUMN {name} jsonb NOT NULL DEFAULT '{empty}'" for name, empty in _COLUMNS.items())
    op.execute(f"ALTER TABLE template_versions {columns}")


def downgrade() -> None:
    """Only where no version has a catalogue or MJML: the release before can't render it."""
    columns = ", ".join(f"DROP COLUMN {name}" for name in _COLUMNS)
    op.execute(f"ALTER TABLE template_versions {columns}")
