"""Links that prove by mail whose an address is, and which addresses were proved."""

from alembic import op

revision = "0031"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE account_links (
            id uuid PRIMARY KEY, project text COLLATE "C" NOT NULL REFERENCES projects (id), purpose text NOT NULL,
            user_id uuid REFERENCES users (id) ON DELETE CASCADE, address text NOT NULL, token_sha256 bytea NOT NULL,
            create_time timestamptz NOT NULL DEFAULT now(), expire_time timestamptz NOT NULL,
            claim_time timestamptz, send_time timestamptz, use_time timestamptz
        )
    """)
    op.execute("CREATE UNIQUE INDEX account_links_by_token ON account_links (token_sha256)")
    op.execute("CREATE INDEX account_links_of_user ON account_links (user_id, purpose, create_time)")
    op.execute("CREATE INDEX account_links_to_send ON account_links (create_time) WHERE send_time IS NULL AND user_id IS NOT NULL")
    op.execute("CREATE INDEX account_links_by_end ON account_links (expire_time)")
    op.execute("ALTER TABLE users ADD COLUMN email_verify_time timestamptz")
    # whichever statement changes an address, and whichever release: what was proved is the old one
    op.execute("""
        CREATE FUNCTION forget_verified_email() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.email_verify_time := NULL;
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER users_email_changed BEFORE UPDATE OF email ON users FOR EACH ROW
        WHEN (lower(OLD.email) IS DISTINCT FROM lower(NEW.email)) EXECUTE FUNCTION forget_verified_email()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER users_email_changed ON users")
    op.execute("DROP FUNCTION forget_verified_email()")
    op.execute("ALTER TABLE users DROP COLUMN email_verify_time")
    op.execute("DROP TABLE account_links")
