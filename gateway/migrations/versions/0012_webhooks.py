"""Webhooks: who is called with changes, and what came of the calls."""

from alembic import op

revision = "0012_webhooks"
down_revision = "0011_test"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # 1 is ENABLED; a lease is that of the process that works for the endpoint, under PostgreSQL's clock
    op.execute("""
        CREATE TABLE webhook_endpoints (
            id uuid PRIMARY KEY, project text COLLATE "C" NOT NULL, url text NOT NULL, description text NOT NULL,
            statuses smallint[] NOT NULL, channel smallint, template text NOT NULL, category text NOT NULL, metadata jsonb NOT NULL,
            state smallint NOT NULL, state_reason text NOT NULL DEFAULT '', sealed_secret bytea NOT NULL, old_secret bytea,
            old_secret_until timestamptz, position bigint NOT NULL, failures integer NOT NULL DEFAULT 0, failing_since timestamptz,
            hold_until timestamptz, lease_by bytea, lease_until timestamptz, create_time timestamptz NOT NULL,
            update_time timestamptz NOT NULL
        )
    """)
    op.execute("CREATE INDEX webhook_endpoints_of_project ON webhook_endpoints (project, id)")
    op.execute("""
        CREATE TABLE webhook_deliveries (
            id text COLLATE "C" NOT NULL, endpoint_id uuid NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE, type text NOT NULL,
            position bigint, notification_id uuid, state smallint NOT NULL, due_at timestamptz, create_time timestamptz NOT NULL,
            attempts jsonb NOT NULL, tries smallint NOT NULL, PRIMARY KEY (endpoint_id, id)
        )
    """)
    op.execute("CREATE INDEX webhook_deliveries_by_time ON webhook_deliveries (endpoint_id, create_time, (COALESCE(position, 0)), id)")
    # 1 is WAITING
    op.execute("CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, due_at) WHERE state = 1")
    op.execute("CREATE INDEX webhook_deliveries_old ON webhook_deliveries (create_time)")


def downgrade() -> None:
    op.execute("DROP TABLE webhook_deliveries")
    op.execute("DROP TABLE webhook_endpoints")
