"""Preferences: what a person wants to receive, per channel and category."""
