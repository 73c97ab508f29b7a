"""Tests of the console in a real browser, in front of the whole system."""
