"""Partials: sources that templates share, and which revision of each a version has taken in."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The default stays until the last process of the release before is gone: it knows no partials."""
    op.execute("ALTER TABLE template_versions ADD COLUMN partials jsonb NOT NULL DEFAULT '{}'")
    op.execute("""
        CREATE TABLE template_partials (
            project text COLLATE "C" NOT NULL,
            name text COLLATE "C" NOT NULL,
            source text NOT NULL,
            revision integer NOT NULL,
            update_time timestamptz NOT NULL,
            delete_time timestamptz,
            PRIMARY KEY (project, name)
        )
    """)


def downgrade() -> None:
    """Versions keep the texts that they have taken in."""
    op.execute("DROP TABLE template_partials")
    op.execute("ALTER TABLE template_versions DROP COLUMN partials")
