"""The id that a person has in the caller's own system, unique within a project."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute('ALTER TABLE users ADD COLUMN external_id text COLLATE "C"')
    op.execute("CREATE UNIQUE INDEX users_external_id ON users (project, external_id)")


def downgrade() -> None:
    op.execute("ALTER TABLE users DROP COLUMN external_id")
