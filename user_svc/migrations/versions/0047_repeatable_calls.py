"""What was answered to calls with an idempotency key, kept where they are carried out."""

from alembic import op

revision = "0047"
down_revision = "0044"
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
