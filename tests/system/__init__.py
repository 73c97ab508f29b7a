"""Tests of the whole system: real processes on real stores."""
