"""Counts of what happened to notifications, by the minute and later by the hour.

They are written when changes are put in order (`gateway/changes/repository.py`): by one process at a time, each change exactly once, and
beside the paths on which notifications are accepted and settled.
"""

from alembic import op

revision = "0018_activity"
down_revision = "0015_delivery_facts"
branch_labels = None
depends_on = None

_UP = (
    """
    CREATE TABLE activity (
        project text COLLATE "C" NOT NULL,
        test boolean NOT NULL,
        span_s integer NOT NULL,
        time timestamptz NOT NULL,
        channel smallint NOT NULL,
        template text COLLATE "C" NOT NULL,
        status smallint NOT NULL,
        fact smallint NOT NULL,
        bucket smallint NOT NULL,
        count bigint NOT NULL,
        PRIMARY KEY (project, test, time, span_s, channel, template, status, fact, bucket)
    )
    """,
    "CREATE INDEX activity_by_age ON activity (span_s, time)",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE activity")
