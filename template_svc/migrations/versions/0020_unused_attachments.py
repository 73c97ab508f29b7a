"""Which attachments no notification has carried yet: a project has so many of these and no more."""

from alembic import op

revision = "0020"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE attachments ADD COLUMN used boolean NOT NULL DEFAULT false")
    op.execute("""
        UPDATE attachments a SET used = true
        WHERE EXISTS (SELECT 1 FROM attachment_uses u WHERE u.project = a.project AND u.attachment = a.id)
    """)
    op.execute("CREATE INDEX attachments_unused ON attachments (project) WHERE NOT used")


def downgrade() -> None:
    op.execute("ALTER TABLE attachments DROP COLUMN used")
