"""The answers to calls with an idempotency key, sealed, for 24 hours."""

from alembic import op

revision = "0007_repeatable_calls"
down_revision = "0006_no_sending_sagas"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE repeatable_calls (
            digest bytea PRIMARY KEY,
            fingerprint bytea NOT NULL,
            token bytea NOT NULL,
            lease_until timestamptz NOT NULL,
            create_time timestamptz NOT NULL,
            response bytea,
            subject uuid
        )
    """)
    op.execute("CREATE INDEX repeatable_calls_create_time ON repeatable_calls (create_time)")
    op.execute("CREATE INDEX repeatable_calls_subject ON repeatable_calls (subject) WHERE subject IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP TABLE repeatable_calls")
