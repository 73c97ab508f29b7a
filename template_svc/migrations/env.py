"""Alembic's entry point; `mesh.stores.migrations.upgrade` runs it."""

from mesh.stores.migrations import run_environment
from template_svc.tables import metadata

run_environment(metadata)
