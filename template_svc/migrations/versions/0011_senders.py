"""From whom mails are, and the domains that these addresses may be of."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The default stays until the last process of the release before is gone: it knows no senders."""
    op.execute("ALTER TABLE template_versions ADD COLUMN sender text NOT NULL DEFAULT ''")
    op.execute("""
        CREATE TABLE sender_domains (
            project text COLLATE "C" NOT NULL, domain text COLLATE "C" NOT NULL, selector text NOT NULL, public_key text NOT NULL,
            sealed_key bytea NOT NULL, verified boolean NOT NULL DEFAULT false, problem text NOT NULL DEFAULT '',
            create_time timestamptz NOT NULL, check_time timestamptz,
            PRIMARY KEY (project, domain)
        )
    """)
    op.execute("""
        CREATE TABLE senders (
            project text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL, email text NOT NULL, display_name text NOT NULL,
            reply_to_email text NOT NULL, is_default boolean NOT NULL, domain text COLLATE "C", update_time timestamptz NOT NULL,
            PRIMARY KEY (project, name),
            FOREIGN KEY (project, domain) REFERENCES sender_domains (project, domain)
        )
    """)
    op.execute("CREATE UNIQUE INDEX senders_one_default ON senders (project) WHERE is_default")
    op.execute("CREATE INDEX senders_by_domain ON senders (project, domain)")


def downgrade() -> None:
    """Senders and keys are lost; mails are from the installation's own sender again."""
    op.execute("DROP TABLE senders")
    op.execute("DROP TABLE sender_domains")
    op.execute("ALTER TABLE template_versions DROP COLUMN sender")
