"""Further e-mail addresses of people. One that is verified is no other person's, neither as a further nor as the primary one.

That last rule spans two tables. Who writes `users` has the row in its unique index before a trigger looks for the address here; who
verifies one here has had a row with it in that index, too. So one of two waits for the other, and then sees what it has done.
"""

from alembic import op

revision = "0042"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE user_addresses (
            project text COLLATE "C" NOT NULL REFERENCES projects (id), user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
            address text NOT NULL, address_key text NOT NULL GENERATED ALWAYS AS (lower(address)) STORED,
            becomes_primary boolean NOT NULL DEFAULT false, verify_time timestamptz, expire_time timestamptz,
            PRIMARY KEY (user_id, address_key)
        )
    """)
    op.execute("CREATE UNIQUE INDEX user_addresses_verified ON user_addresses (project, address_key) WHERE verify_time IS NOT NULL")
    op.execute("CREATE INDEX user_addresses_by_end ON user_addresses (expire_time) WHERE expire_time IS NOT NULL")
    op.execute("ALTER TABLE account_links ADD COLUMN notification_id uuid")
    op.execute("CREATE INDEX account_links_of_address ON account_links (project, lower(address), create_time)")
    _on_insert()
    _on_update()


def _on_insert() -> None:
    # once for all rows of a statement: people are imported by the thousand
    op.execute("""
        CREATE FUNCTION refuse_further_addresses() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (
                SELECT 1 FROM added JOIN user_addresses a ON a.project = added.project AND a.address_key = lower(added.email)
                WHERE a.verify_time IS NOT NULL
            ) THEN
                RAISE unique_violation USING MESSAGE = 'this is a further address of another person', CONSTRAINT = 'users_email';
            END IF;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER users_added AFTER INSERT ON users REFERENCING NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_further_addresses()
    """)


def _on_update() -> None:
    # a further address that becomes the primary one takes along that it is verified
    op.execute("""
        CREATE OR REPLACE FUNCTION forget_verified_email() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.email_verify_time := (SELECT verify_time FROM user_addresses WHERE user_id = NEW.id AND address_key = lower(NEW.email));
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE FUNCTION take_further_address() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            DELETE FROM user_addresses WHERE user_id = NEW.id AND address_key = lower(NEW.email);
            IF EXISTS (
                SELECT 1 FROM user_addresses WHERE project = NEW.project AND address_key = lower(NEW.email) AND verify_time IS NOT NULL
            ) THEN
                RAISE unique_violation USING MESSAGE = 'this is a further address of another person', CONSTRAINT = 'users_email';
            END IF;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER users_address_taken AFTER UPDATE OF email ON users FOR EACH ROW
        WHEN (lower(OLD.email) IS DISTINCT FROM lower(NEW.email)) EXECUTE FUNCTION take_further_address()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER users_address_taken ON users")
    op.execute("DROP FUNCTION take_further_address()")
    op.execute("""
        CREATE OR REPLACE FUNCTION forget_verified_email() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.email_verify_time := NULL;
            RETURN NEW;
        END $$
    """)
    op.execute("DROP TRIGGER users_added ON users")
    op.execute("DROP FUNCTION refuse_further_addresses()")
    op.execute("DELETE FROM account_links WHERE purpose = 'new_address'")
    op.execute("DROP INDEX account_links_of_address")
    op.execute("ALTER TABLE account_links DROP COLUMN notification_id")
    op.execute("DROP TABLE user_addresses")
