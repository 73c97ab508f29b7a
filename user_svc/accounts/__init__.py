"""Proof by mail: a new password for who has lost theirs, and that an address is its person's."""
