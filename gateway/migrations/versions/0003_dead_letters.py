"""Causes of dead letters, their audit trail, and jobs that decide about many."""

from alembic import op

revision = "0003_dead_letters"
down_revision = "0002_sagas"
branch_labels = None
depends_on = None

_STATEMENTS = (
    "ALTER TABLE dead_letters ADD COLUMN cause smallint NOT NULL DEFAULT 8 CHECK (cause BETWEEN 1 AND 8)",
    # what was filed before there were causes, as the code would class it
    """
    UPDATE dead_letters SET cause = CASE
        WHEN reason = 'OUTCOME_UNKNOWN' THEN 6
        WHEN reason = 'DELIVERY_LIMIT' THEN 5
        WHEN reason IN ('USER_NOT_FOUND', 'NO_DEVICE', 'UNREGISTERED', 'INVALID_TOKEN', 'ADDRESS_INVALID') THEN 4
        WHEN reason ~ '^(TEMPLATE_|RENDER_|(MISSING|INVALID)_VARIABLE$)' THEN 3
        WHEN reason IN ('VERSION_NOT_FOUND', 'NO_VERSION', 'OUTPUT_TOO_LARGE', 'SUBJECT_INVALID') THEN 3
        WHEN reason ~ '^(SMTP_5|SMTP_NO_SMTPUTF8$|SENDER_|THIRD_PARTY_AUTH_ERROR$|INVALID_ARGUMENT$)' THEN 1
        WHEN reason ~ '^(SMTP_|FCM_|QUOTA_EXCEEDED$|UNAVAILABLE$)' THEN 2
        WHEN reason IN ('INTERNAL', 'UNKNOWN', 'DATA_LOSS', 'RESOURCE_EXHAUSTED', 'WORKER_FAILED') THEN 7
        ELSE 8
    END
    """,
    "CREATE INDEX dead_letters_by_cause ON dead_letters (state, cause, create_time, notification_id)",
    "CREATE INDEX dead_letters_by_reason ON dead_letters (state, reason, create_time, notification_id)",
    "CREATE INDEX dead_letters_by_template ON dead_letters (state, template, create_time, notification_id)",
    "CREATE INDEX dead_letters_by_channel ON dead_letters (state, channel, create_time, notification_id)",
    # counted every 15 s for the metrics: 1 is OPEN
    "CREATE INDEX dead_letters_open ON dead_letters (channel, cause, create_time) WHERE state = 1",
    """
    CREATE TABLE dead_letter_audit (
        id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
        notification_id uuid NOT NULL REFERENCES dead_letters ON DELETE CASCADE,
        run smallint NOT NULL,
        action smallint NOT NULL CHECK (action BETWEEN 1 AND 4),
        actor_kind text NOT NULL,
        actor_id text NOT NULL,
        note text NOT NULL,
        time timestamptz NOT NULL,
        job_id uuid,
        changed text[] NOT NULL,
        former_user_id uuid,
        request bytea
    )
    """,
    "CREATE INDEX dead_letter_audit_by_letter ON dead_letter_audit (notification_id, id)",
    # a job decides a letter once, and so does a request
    "CREATE UNIQUE INDEX dead_letter_audit_once_a_job ON dead_letter_audit (notification_id, job_id) WHERE job_id IS NOT NULL",
    "CREATE UNIQUE INDEX dead_letter_audit_once_a_request ON dead_letter_audit (notification_id, request) WHERE request IS NOT NULL",
    """
    CREATE TABLE dead_letter_jobs (
        id uuid PRIMARY KEY,
        decision smallint NOT NULL CHECK (decision IN (2, 3)),
        state smallint NOT NULL CHECK (state BETWEEN 1 AND 3),
        filters jsonb NOT NULL,
        rate_per_s integer NOT NULL CHECK (rate_per_s > 0),
        note text NOT NULL,
        actor_kind text NOT NULL,
        actor_id text NOT NULL,
        digest bytea UNIQUE,
        fingerprint bytea NOT NULL,
        create_time timestamptz NOT NULL,
        finish_time timestamptz,
        total integer NOT NULL DEFAULT 0,
        done integer NOT NULL DEFAULT 0,
        skipped integer NOT NULL DEFAULT 0,
        lease_by uuid,
        lease_until timestamptz
    )
    """,
    "CREATE INDEX dead_letter_jobs_running ON dead_letter_jobs (id) WHERE state = 1",
    "CREATE INDEX dead_letter_jobs_finished ON dead_letter_jobs (finish_time) WHERE finish_time IS NOT NULL",
    """
    CREATE TABLE dead_letter_job_items (
        job_id uuid NOT NULL REFERENCES dead_letter_jobs ON DELETE CASCADE,
        position integer NOT NULL,
        notification_id uuid NOT NULL,
        result text,
        PRIMARY KEY (job_id, position),
        UNIQUE (job_id, notification_id)
    )
    """,
    "CREATE INDEX dead_letter_job_items_left ON dead_letter_job_items (job_id, position) WHERE result IS NULL",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("dead_letter_job_items", "dead_letter_jobs", "dead_letter_audit"):
        op.execute(f"DROP TABLE {table}")
    for index in ("by_cause", "by_reason", "by_template", "by_channel", "open"):
        op.execute(f"DROP INDEX dead_letters_{index}")
    op.execute("ALTER TABLE dead_letters DROP COLUMN cause")
