"""Notifications with their timeline, idempotency records and dead letters."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE notifications (
        id uuid PRIMARY KEY,
        user_id uuid NOT NULL,
        channel smallint NOT NULL,
        template text NOT NULL,
        template_version integer NOT NULL,
        locale text NOT NULL,
        priority smallint NOT NULL,
        category text NOT NULL,
        status smallint NOT NULL CHECK (status BETWEEN 1 AND 10),
        reason text NOT NULL DEFAULT '',
        run smallint NOT NULL DEFAULT 0,
        attempt smallint NOT NULL DEFAULT 0,
        metadata jsonb,
        create_time timestamptz NOT NULL,
        update_time timestamptz NOT NULL,
        send_at timestamptz,
        expires_at timestamptz,
        dispatch_at timestamptz NOT NULL,
        queued_at timestamptz,
        caller text NOT NULL,
        correlation_id text NOT NULL,
        payload bytea
    ) PARTITION BY RANGE (id)
    """,
    "CREATE TABLE notifications_default PARTITION OF notifications DEFAULT",
    "CREATE INDEX notifications_by_user ON notifications (user_id, id)",
    "CREATE INDEX notifications_by_template ON notifications (template, id)",
    "CREATE INDEX notifications_by_channel ON notifications (channel, id)",
    "CREATE INDEX notifications_by_status ON notifications (status, id)",
    # 1 and 2 are SCHEDULED and PENDING: what the sweeper looks for
    "CREATE INDEX notifications_to_dispatch ON notifications (dispatch_at) WHERE status IN (1, 2)",
    # a one-time code whose process died must not wait behind a campaign
    "CREATE INDEX notifications_to_dispatch_first ON notifications (dispatch_at) WHERE status IN (1, 2) AND priority = 2",
    """
    CREATE TABLE timeline (
        notification_id uuid NOT NULL,
        run smallint NOT NULL,
        attempt smallint NOT NULL,
        status smallint NOT NULL,
        mark bigint NOT NULL,
        time timestamptz NOT NULL,
        start_time timestamptz,
        next_attempt_time timestamptz,
        reason text NOT NULL DEFAULT '',
        detail text NOT NULL DEFAULT '',
        devices jsonb,
        PRIMARY KEY (notification_id, run, attempt, status, mark)
    ) PARTITION BY RANGE (notification_id)
    """,
    "CREATE TABLE timeline_default PARTITION OF timeline DEFAULT",
    """
    CREATE TABLE idempotency_records (
        digest bytea PRIMARY KEY,
        fingerprint bytea NOT NULL,
        response bytea NOT NULL,
        notification_id uuid NOT NULL,
        create_time timestamptz NOT NULL
    )
    """,
    "CREATE INDEX idempotency_records_by_age ON idempotency_records (create_time)",
    """
    CREATE TABLE dead_letters (
        notification_id uuid PRIMARY KEY,
        user_id uuid NOT NULL,
        channel smallint NOT NULL,
        template text NOT NULL,
        state smallint NOT NULL CHECK (state BETWEEN 1 AND 3),
        run smallint NOT NULL,
        reason text NOT NULL,
        detail text NOT NULL,
        attempts smallint NOT NULL,
        create_time timestamptz NOT NULL,
        resolve_time timestamptz,
        resolved_by text NOT NULL DEFAULT '',
        note text NOT NULL DEFAULT '',
        correlation_id text NOT NULL,
        delivery bytea
    )
    """,
    "CREATE INDEX dead_letters_by_state ON dead_letters (state, create_time, notification_id)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("dead_letters", "idempotency_records", "timeline", "notifications"):
        op.execute(f"DROP TABLE {table}")
