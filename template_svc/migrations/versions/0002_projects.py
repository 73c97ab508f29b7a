"""Projects: a template's name is unique within one. What is there already belongs to the first."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OF_PROJECT = """ADD COLUMN project text COLLATE "C" NOT NULL DEFAULT 'default'"""


def upgrade() -> None:
    """The default stays until the last process of the release before is gone: it names no project."""
    op.execute("ALTER TABLE template_versions DROP CONSTRAINT template_versions_template_fkey")
    op.execute(f"ALTER TABLE templates {_OF_PROJECT}, DROP CONSTRAINT templates_pkey, ADD PRIMARY KEY (project, name)")
    op.execute(f"ALTER TABLE template_versions {_OF_PROJECT}, DROP CONSTRAINT template_versions_pkey")
    op.execute("""
        ALTER TABLE template_versions ADD PRIMARY KEY (project, template, version),
            ADD FOREIGN KEY (project, template) REFERENCES templates (project, name) ON DELETE CASCADE
    """)
    op.execute("DROP INDEX templates_by_channel")
    op.execute("CREATE INDEX templates_by_channel ON templates (project, channel, name) WHERE delete_time IS NULL")


def downgrade() -> None:
    """Only where everything is of the first project: two projects may have templates of one name."""
    op.execute("DROP INDEX templates_by_channel")
    op.execute("CREATE INDEX templates_by_channel ON templates (channel, name) WHERE delete_time IS NULL")
    op.execute("ALTER TABLE template_versions DROP CONSTRAINT template_versions_project_template_fkey")
    op.execute("ALTER TABLE template_versions DROP CONSTRAINT template_versions_pkey, ADD PRIMARY KEY (template, version)")
    op.execute("ALTER TABLE templates DROP CONSTRAINT templates_pkey, ADD PRIMARY KEY (name)")
    op.execute("ALTER TABLE template_versions ADD FOREIGN KEY (template) REFERENCES templates (name) ON DELETE CASCADE")
    op.execute("ALTER TABLE template_versions DROP COLUMN project")
    op.execute("ALTER TABLE templates DROP COLUMN project")
