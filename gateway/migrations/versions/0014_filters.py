"""Lists of notifications by label, by time of the last change and by correlation id."""

from alembic import op

revision = "0014_filters"
down_revision = "0013_webhook_person"
branch_labels = None
depends_on = None

_UP = (
    # most have no labels, and cost nothing here
    "CREATE INDEX notifications_by_metadata ON notifications USING gin (metadata jsonb_path_ops) WHERE metadata IS NOT NULL",
    "CREATE INDEX notifications_by_update ON notifications (update_time)",
    # with the id, since all items of a bulk stream have one correlation id, and pages are in the order of the id
    "CREATE INDEX notifications_by_correlation ON notifications (correlation_id, id)",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for name in ("metadata", "update", "correlation"):
        op.execute(f"DROP INDEX notifications_by_{name}")
