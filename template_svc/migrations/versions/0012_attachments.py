"""Files that mails carry, once per project and content, and the notifications that use them."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE attachments (
            project text COLLATE "C" NOT NULL, id bytea NOT NULL, size_bytes integer NOT NULL, content bytea NOT NULL,
            keep_until timestamptz NOT NULL,
            PRIMARY KEY (project, id)
        )
    """)
    # compressed files stay as they are, and those that are not cost a processor more than a disk
    op.execute("ALTER TABLE attachments ALTER COLUMN content SET STORAGE EXTERNAL")
    op.execute("CREATE INDEX attachments_by_end ON attachments (keep_until)")
    op.execute("""
        CREATE TABLE attachment_uses (
            project text COLLATE "C" NOT NULL, attachment bytea NOT NULL, notification_id uuid NOT NULL, user_id uuid NOT NULL,
            keep_until timestamptz NOT NULL,
            PRIMARY KEY (project, attachment, notification_id),
            FOREIGN KEY (project, attachment) REFERENCES attachments (project, id) ON DELETE CASCADE
        )
    """)
    op.execute("CREATE INDEX attachment_uses_by_person ON attachment_uses (user_id)")
    op.execute("CREATE INDEX attachment_uses_by_end ON attachment_uses (keep_until)")


def downgrade() -> None:
    """Mails that wait with attachments fail."""
    op.execute("DROP TABLE attachment_uses")
    op.execute("DROP TABLE attachments")
