"""Owns the texts that Clarion sends: templates, their immutable versions, and turning them into finished messages."""
