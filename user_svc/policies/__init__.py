"""Policies: what a project decides for its people."""
