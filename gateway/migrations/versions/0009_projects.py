"""Projects: every notification, dead letter, bulk operation and saga belongs to one. What is there already belongs to the first."""

from alembic import op

revision = "0009_projects"
down_revision = "0008_redirected_to"
branch_labels = None
depends_on = None

_OF_PROJECT = """ADD COLUMN project text COLLATE "C" NOT NULL DEFAULT 'default'"""

# Lists are of one project, so that each index which serves one begins with it. The one by status serves a sweep over all of them.
_NOTIFICATIONS = {"notifications_by_template": "template, id", "notifications_by_channel": "channel, id"}
_DEAD_LETTERS = {
    "dead_letters_by_state": "state",
    "dead_letters_by_cause": "state, cause",
    "dead_letters_by_reason": "state, reason",
    "dead_letters_by_template": "state, template",
    "dead_letters_by_channel": "state, channel",
}
_SAGAS = {"sagas_by_state": "state, id", "sagas_by_kind": "kind, id"}


def upgrade() -> None:
    """The default stays until the last process of the release before is gone: it names no project."""
    for table in ("notifications", "dead_letters", "dead_letter_jobs"):
        op.execute(f"ALTER TABLE {table} {_OF_PROJECT}")
    op.execute("""
        ALTER TABLE sagas ADD COLUMN project text COLLATE "C" GENERATED ALWAYS AS (COALESCE(data->>'project', 'default')) STORED
    """)
    for table, indexes in (("notifications", _NOTIFICATIONS), ("sagas", _SAGAS)):
        for name, columns in indexes.items():
            op.execute(f"DROP INDEX {name}")
            op.execute(f"CREATE INDEX {name} ON {table} (project, {columns})")
        op.execute(f"CREATE INDEX {table}_by_project ON {table} (project, id)")
    for name, columns in _DEAD_LETTERS.items():
        op.execute(f"DROP INDEX {name}")
        op.execute(f"CREATE INDEX {name} ON dead_letters (project, {columns}, create_time, notification_id)")
    op.execute("CREATE INDEX dead_letter_jobs_by_project ON dead_letter_jobs (project, id)")


def downgrade() -> None:
    for table, indexes in (("notifications", _NOTIFICATIONS), ("sagas", _SAGAS)):
        op.execute(f"DROP INDEX {table}_by_project")
        for name, columns in indexes.items():
            op.execute(f"DROP INDEX {name}")
            op.execute(f"CREATE INDEX {name} ON {table} ({columns})")
    for name, columns in _DEAD_LETTERS.items():
        op.execute(f"DROP INDEX {name}")
        op.execute(f"CREATE INDEX {name} ON dead_letters ({columns}, create_time, notification_id)")
    for table in ("sagas", "dead_letter_jobs", "dead_letters", "notifications"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN project")
