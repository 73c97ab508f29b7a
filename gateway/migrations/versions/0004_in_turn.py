"""The backlog by caller, so that the sweeper can give each of them its turn."""

from alembic import op

revision = "0004_in_turn"
down_revision = "0003_dead_letters"
branch_labels = None
depends_on = None

_UP = (
    # 1 and 2 are SCHEDULED and PENDING, priority 1 is NORMAL; the urgent ones have notifications_to_dispatch_first
    "CREATE INDEX notifications_in_turn ON notifications (channel, caller, dispatch_at) WHERE status IN (1, 2) AND priority = 1",
    # of the old one only the part is left that metrics ask: accepting a send that is not scheduled writes no more indexes than before
    "DROP INDEX notifications_to_dispatch",
    "CREATE INDEX notifications_scheduled ON notifications (dispatch_at) WHERE status = 1",
)
_DOWN = (
    "DROP INDEX notifications_in_turn",
    "DROP INDEX notifications_scheduled",
    "CREATE INDEX notifications_to_dispatch ON notifications (dispatch_at) WHERE status IN (1, 2)",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
