"""Alembic migrations of the template database."""
