"""Versions that a share of the notifications gets before they are published."""
