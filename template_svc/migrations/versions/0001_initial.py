"""Templates and their versions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "templates",
        sa.Column("name", sa.Text(collation="C"), primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("mandatory", sa.Boolean, nullable=False),
        sa.Column("on_unknown", sa.Text, nullable=False),
        sa.Column("default_locale", sa.Text, nullable=False),
        sa.Column("published_version", sa.Integer, nullable=False),
        sa.Column("latest_version", sa.Integer, nullable=False),
        sa.Column("last_number", sa.Integer, nullable=False),
        sa.Column("create_time", _TIME, nullable=False),
        sa.Column("update_time", _TIME, nullable=False),
        sa.Column("delete_time", _TIME),
    )
    op.create_index("templates_by_channel", "templates", ["channel", "name"], postgresql_where=sa.text("delete_time IS NULL"))
    op.create_table(
        "template_versions",
        sa.Column("template", sa.Text(collation="C"), sa.ForeignKey("templates.name", ondelete="CASCADE"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("contents", postgresql.JSONB, nullable=False),
        sa.Column("locales", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("required_variables", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("create_time", _TIME, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("template_versions")
    op.drop_table("templates")
