"""Who is who at issuers of OpenID Connect, which sign-ins have come back, and what a session may do for how long."""

from alembic import op

revision = "0030"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE identities (
            project text COLLATE "C" NOT NULL REFERENCES projects (id), issuer text COLLATE "C" NOT NULL, subject text COLLATE "C" NOT NULL,
            user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE, create_time timestamptz NOT NULL,
            PRIMARY KEY (project, issuer, subject)
        )
    """)
    op.execute("CREATE INDEX identities_of_user ON identities (user_id)")
    op.execute("CREATE TABLE used_sign_ins (id uuid PRIMARY KEY, expire_time timestamptz NOT NULL)")
    op.execute("CREATE INDEX used_sign_ins_by_time ON used_sign_ins (expire_time)")
    op.execute("ALTER TABLE refresh_tokens ADD COLUMN scopes text[], ADD COLUMN session_end timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE refresh_tokens DROP COLUMN scopes, DROP COLUMN session_end")
    op.execute("DROP TABLE used_sign_ins")
    op.execute("DROP TABLE identities")
