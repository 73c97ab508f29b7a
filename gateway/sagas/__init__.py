"""Sagas: work that spans services and is finished, or undone, whatever dies meanwhile."""
