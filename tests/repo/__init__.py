"""Tests that read the repository itself: the rules that no compiler checks."""
