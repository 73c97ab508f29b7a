"""Pieces of source that templates share: kept by name, and put into versions when these are created."""
