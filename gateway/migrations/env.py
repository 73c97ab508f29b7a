"""Alembic environment; everything is in mesh/stores/migrations.py."""

from gateway.tables import metadata
from mesh.stores.migrations import run_environment

run_environment(metadata)
