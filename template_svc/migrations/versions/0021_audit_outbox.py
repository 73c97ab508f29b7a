"""Entries for the audit log of user_svc, kept with what they are about until they are handed over."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE audit_outbox (
            seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id uuid NOT NULL DEFAULT gen_random_uuid(),
            project text COLLATE "C" NOT NULL, kind text NOT NULL, actor text NOT NULL, subject text NOT NULL, details jsonb NOT NULL,
            correlation_id text NOT NULL, create_time timestamptz NOT NULL DEFAULT now()
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE audit_outbox")
