"""What a project decides for its people: defaults, quiet hours, categories with their limits."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_PROJECT = 'project text COLLATE "C" NOT NULL REFERENCES projects (id)'


def upgrade() -> None:
    op.execute("ALTER TABLE users ADD COLUMN quiet_hours text")
    op.execute(f"""
        CREATE TABLE delivery_policies ({_PROJECT} PRIMARY KEY, rules jsonb NOT NULL, quiet_hours text, update_time timestamptz NOT NULL)
    """)
    op.execute(f"""
        CREATE TABLE categories (
            {_PROJECT}, id text COLLATE "C" NOT NULL, texts jsonb NOT NULL, mandatory boolean NOT NULL, limit_count integer,
            limit_window_s integer, create_time timestamptz NOT NULL, update_time timestamptz NOT NULL, PRIMARY KEY (project, id)
        )
    """)
    op.execute("""
        CREATE TABLE limited_notifications (
            user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE, category text COLLATE "C" NOT NULL, test boolean NOT NULL,
            notification_id uuid NOT NULL, time timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (user_id, category, test, notification_id)
        )
    """)
    op.execute("CREATE INDEX limited_notifications_by_time ON limited_notifications (time)")


def downgrade() -> None:
    op.execute("DROP TABLE limited_notifications")
    op.execute("DROP TABLE categories")
    op.execute("DROP TABLE delivery_policies")
    op.execute("ALTER TABLE users DROP COLUMN quiet_hours")
