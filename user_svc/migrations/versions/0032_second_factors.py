"""Second factors of people who sign in by password: the sealed secret of their app, and hashes of recovery codes."""

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE second_factors (
            user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE, sealed_secret bytea NOT NULL,
            create_time timestamptz NOT NULL DEFAULT now(), confirm_time timestamptz, last_step bigint,
            wrong_count integer NOT NULL DEFAULT 0, wrong_time timestamptz
        )
    """)
    op.execute("""
        CREATE TABLE recovery_codes (
            user_id uuid NOT NULL REFERENCES second_factors (user_id) ON DELETE CASCADE, code_sha256 bytea NOT NULL,
            PRIMARY KEY (user_id, code_sha256)
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE recovery_codes")
    op.execute("DROP TABLE second_factors")
