"""A sender domain's next key, which waits for its record, and the record of the one before, which receivers may still look for."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_COLUMNS = ("next_selector text", "next_public_key text", "next_sealed_key bytea", "next_problem text NOT NULL DEFAULT ''",
            "former_selector text", "former_public_key text", "rotate_time timestamptz")  # fmt: skip


def upgrade() -> None:
    for column in _COLUMNS:
        op.execute(f"ALTER TABLE sender_domains ADD COLUMN {column}")


def downgrade() -> None:
    """A rotation that has begun is given up; the domain signs with the key that it has."""
    for column in _COLUMNS:
        op.execute(f"ALTER TABLE sender_domains DROP COLUMN {column.split()[0]}")
