"""Users, their devices and preferences, suppressions, API keys, signing keys and refresh tokens."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.Uuid(as_uuid=False)
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_users()
    _create_devices_and_preferences()
    op.create_table(
        "suppressions",
        sa.Column("address", sa.Text(collation="C"), primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("create_time", _TIME, nullable=False),
    )
    _create_credentials()


def downgrade() -> None:
    for table in ("refresh_tokens", "signing_keys", "api_keys", "suppressions", "preferences", "devices", "users"):
        op.drop_table(table)


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("email", sa.Text),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("locale", sa.Text, nullable=False),
        sa.Column("timezone", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("password_hash", sa.Text),
        sa.Column("create_time", _TIME, nullable=False),
        sa.Column("update_time", _TIME, nullable=False),
        sa.Column("preferences_time", _TIME),
    )
    op.create_index("users_email", "users", [sa.text("lower(email)")], unique=True)


def _create_devices_and_preferences() -> None:
    op.create_table(
        "devices",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("user_id", _ID, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("token_sha256", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("platform", sa.Text, nullable=False),
        sa.Column("create_time", _TIME, nullable=False),
    )
    op.create_index("devices_of_user", "devices", ["user_id", "id"])
    op.create_table(
        "preferences",
        sa.Column("user_id", _ID, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("channel", sa.Text, primary_key=True),
        sa.Column("category", sa.Text, primary_key=True),
        sa.Column("choice", sa.Text, nullable=False),
    )


def _create_credentials() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("key_sha256", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("scopes", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("create_time", _TIME, nullable=False),
        sa.Column("expire_time", _TIME),
    )
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.Text, primary_key=True),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("sealed_private_key", sa.LargeBinary, nullable=False),
        sa.Column("create_time", _TIME, nullable=False),
        sa.Column("retire_time", _TIME),
    )
    op.create_index(
        "signing_keys_one_active", "signing_keys", [sa.text("(retire_time IS NULL)")], unique=True,
        postgresql_where=sa.text("retire_time IS NULL"),
    )  # fmt: skip
    op.create_table(
        "refresh_tokens",
        sa.Column("token_sha256", sa.LargeBinary, primary_key=True),
        sa.Column("user_id", _ID, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("family", _ID, nullable=False),
        sa.Column("create_time", _TIME, nullable=False),
        sa.Column("expire_time", _TIME, nullable=False),
        sa.Column("use_time", _TIME),
    )
    op.create_index("refresh_tokens_of_user", "refresh_tokens", ["user_id"])
    op.create_index("refresh_tokens_of_family", "refresh_tokens", ["family"])
