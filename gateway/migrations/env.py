"""Alembic environment; everything is in mesh/migrations.py."""

from gateway.tables import metadata
from mesh.migrations import run_environment

run_environment(metadata)
