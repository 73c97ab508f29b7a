"""The feed of changes: what happened to notifications, and the order in which readers see it.

A trigger records each change with the statement that makes it, so that none can be left out, whichever statement that is. `seq` is taken
while the notification's row is locked: of one notification it is the order of what happened. Of different ones it is not the order of
their commits, so readers do not go by it: `change_batches` lists what became visible, batch by batch (`gateway/changes/repository.py`).
"""

from alembic import op

revision = "0010_changes"
down_revision = "0009_projects"
branch_labels = None
depends_on = None

_UP = (
    """
    CREATE TABLE changes (
        seq bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
        xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
        project text COLLATE "C" NOT NULL,
        notification_id uuid NOT NULL,
        status smallint NOT NULL,
        run smallint NOT NULL,
        attempt smallint NOT NULL,
        reason text NOT NULL,
        time timestamptz NOT NULL
    )
    """,
    "CREATE INDEX changes_by_xid ON changes (xid)",
    """
    CREATE TABLE change_batches (
        project text COLLATE "C" NOT NULL,
        first_position bigint NOT NULL,
        seqs bigint[] NOT NULL,
        create_time timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (project, first_position)
    )
    """,
    "CREATE INDEX change_batches_by_age ON change_batches (create_time)",
    # one row: what the last batch could see
    "CREATE TABLE change_horizon (snapshot pg_snapshot NOT NULL, seq bigint NOT NULL)",
    "INSERT INTO change_horizon SELECT pg_current_snapshot(), 0",
    """
    CREATE FUNCTION record_changes() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO changes (project, notification_id, status, run, attempt, reason, time)
            SELECT project, id, status, run, attempt, reason, update_time FROM new_rows;
        ELSE
            INSERT INTO changes (project, notification_id, status, run, attempt, reason, time)
            SELECT n.project, n.id, n.status, n.run, n.attempt, n.reason, n.update_time FROM new_rows n JOIN old_rows o ON o.id = n.id
            WHERE n.status <> o.status OR n.run <> o.run OR n.attempt <> o.attempt;
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER notifications_inserted AFTER INSERT ON notifications
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_changes()
    """,
    """
    CREATE TRIGGER notifications_updated AFTER UPDATE ON notifications
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_changes()
    """,
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER notifications_inserted ON notifications")
    op.execute("DROP TRIGGER notifications_updated ON notifications")
    op.execute("DROP FUNCTION record_changes")
    for table in ("change_horizon", "change_batches", "changes"):
        op.execute(f"DROP TABLE {table}")
