"""Tests of naming/."""
