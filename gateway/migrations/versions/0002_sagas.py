"""Sagas, and dead letters by the person they were for."""

from alembic import op

revision = "0002_sagas"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE sagas (
        id uuid PRIMARY KEY,
        kind text NOT NULL,
        key text NOT NULL,
        state smallint NOT NULL CHECK (state BETWEEN 1 AND 5),
        position smallint NOT NULL,
        steps jsonb NOT NULL,
        data jsonb NOT NULL,
        attempts integer NOT NULL DEFAULT 0,
        faults smallint NOT NULL DEFAULT 0,
        reason text NOT NULL DEFAULT '',
        correlation_id text NOT NULL DEFAULT '',
        version integer NOT NULL DEFAULT 0,
        create_time timestamptz NOT NULL,
        update_time timestamptz NOT NULL,
        due_at timestamptz NOT NULL
    )
    """,
    # 1 RUNNING, 2 COMPENSATING, 5 PARKED: of one kind and key one is open
    "CREATE UNIQUE INDEX sagas_open ON sagas (kind, key) WHERE state IN (1, 2, 5)",
    "CREATE INDEX sagas_due ON sagas (due_at) WHERE state IN (1, 2)",
    "CREATE INDEX sagas_by_state ON sagas (state, id)",
    "CREATE INDEX sagas_by_kind ON sagas (kind, id)",
    "CREATE INDEX dead_letters_by_user ON dead_letters (user_id)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP INDEX dead_letters_by_user")
    op.execute("DROP TABLE sagas")
