"""Alembic's entry point; `mesh.migrations.upgrade` runs it."""

from mesh.migrations import run_environment
from template_svc.tables import metadata

run_environment(metadata)
