"""Roles as named sets of scopes, whom they are assigned to, and those that groups of issuers give."""

from alembic import op

revision = "0034"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE roles (
            project text COLLATE "C" NOT NULL REFERENCES projects (id), id text COLLATE "C" NOT NULL, description text NOT NULL,
            scopes text[] NOT NULL, create_time timestamptz NOT NULL, update_time timestamptz NOT NULL, PRIMARY KEY (project, id)
        )
    """)
    op.execute("""ALTER TABLE users ADD COLUMN assigned_role text COLLATE "C" """)
    # every row is NULL here: nothing to check, so that the lock is short
    op.execute("""
        ALTER TABLE users ADD CONSTRAINT users_assigned_role FOREIGN KEY (project, assigned_role) REFERENCES roles (project, id) NOT VALID
    """)
    op.execute("CREATE INDEX users_by_role ON users (project, assigned_role) WHERE assigned_role IS NOT NULL")
    op.execute("ALTER TABLE identities ADD COLUMN roles text[] NOT NULL DEFAULT '{}'")
    op.execute("ALTER TABLE refresh_tokens ADD COLUMN roles text[] NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    op.execute("ALTER TABLE refresh_tokens DROP COLUMN roles")
    op.execute("ALTER TABLE identities DROP COLUMN roles")
    op.execute("DROP INDEX users_by_role")
    op.execute("ALTER TABLE users DROP COLUMN assigned_role")
    op.execute("DROP TABLE roles")
