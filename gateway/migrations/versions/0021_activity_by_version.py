"""Counts by the version of the template, so that one that is tried can be compared with the published one."""

from alembic import op

revision = "0021_activity_by_version"
down_revision = "0018_activity"
branch_labels = None
depends_on = None

_KEY = "project, test, time, span_s, channel, template, {}status, fact, bucket"


def upgrade() -> None:
    """No release before this one counts. What is counted so far is of version 0."""
    op.execute("ALTER TABLE activity ADD COLUMN template_version integer NOT NULL DEFAULT 0")
    op.execute(f"ALTER TABLE activity DROP CONSTRAINT activity_pkey, ADD PRIMARY KEY ({_KEY.format('template_version, ')})")


def downgrade() -> None:
    """Versions become one again."""
    columns = _KEY.format("")
    op.execute(f"CREATE TEMPORARY TABLE kept AS SELECT {columns}, sum(count) AS count FROM activity GROUP BY {columns}")
    op.execute("TRUNCATE activity")
    op.execute("ALTER TABLE activity DROP COLUMN template_version")  # takes the key along
    op.execute(f"ALTER TABLE activity ADD PRIMARY KEY ({columns})")
    op.execute(f"INSERT INTO activity ({columns}, count) SELECT {columns}, count FROM kept")
    op.execute("DROP TABLE kept")
