"""Suppressions: the addresses that get no e-mail."""
