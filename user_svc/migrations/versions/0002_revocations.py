"""Tombstones: revoked keys stay, revocations are published, and what was bootstrapped once is not made again."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("revoke_time", _TIME))
    op.create_index("api_keys_of_maker", "api_keys", ["created_by"])
    op.create_table(
        "revocations",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("create_time", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("published", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_index("revocations_by_time", "revocations", ["create_time"])
    op.create_index("revocations_unpublished", "revocations", ["id"], postgresql_where=sa.text("NOT published"))
    op.create_table(
        "bootstraps", sa.Column("name", sa.Text, primary_key=True), sa.Column("create_time", _TIME, server_default=sa.func.now())
    )
    # A database in use was bootstrapped before: what was deleted since must not come back with this release.
    op.execute(
        "INSERT INTO bootstraps (name) SELECT name FROM (VALUES ('administrator'), ('api_key')) AS v (name) "
        "WHERE EXISTS (SELECT FROM users) OR EXISTS (SELECT FROM api_keys)"
    )


def downgrade() -> None:
    op.drop_table("bootstraps")
    op.drop_table("revocations")
    op.drop_index("api_keys_of_maker", "api_keys")
    # Without the column a revoked key would work again.
    op.execute("DELETE FROM api_keys WHERE revoke_time IS NOT NULL")
    op.drop_column("api_keys", "revoke_time")
